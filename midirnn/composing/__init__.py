"""Composing: choosing among many continuations, rewriting a stretch, varying what is there.

``measures`` says how good a continuation is, ``choice`` keeps the best of many.
"""

from __future__ import annotations

from midirnn.composing.choice import Candidate, best_of
from midirnn.composing.measures import MEASURES, find_measure

__all__ = ["MEASURES", "Candidate", "best_of", "find_measure"]
