"""Composing: choosing among many continuations, rewriting a stretch, varying what is there.

``measures`` says how good a continuation is, ``choice`` keeps the best of many, ``beam`` draws them
without replacement, ``form`` puts music together from sections.
"""

from __future__ import annotations

from midirnn.composing.beam import beam_search
from midirnn.composing.choice import Candidate, best_of
from midirnn.composing.form import Form, InForm, Section, begin_form, generate_form
from midirnn.composing.measures import MEASURES, find_measure

__all__ = [
    "MEASURES",
    "Candidate",
    "Form",
    "InForm",
    "Section",
    "beam_search",
    "begin_form",
    "best_of",
    "find_measure",
    "generate_form",
]
