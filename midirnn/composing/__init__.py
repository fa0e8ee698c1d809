"""Composing: choose among continuations, rewrite a stretch, vary a piece, build sections.

``measures`` rates continuations, ``choice`` keeps the best of many, ``beam`` draws them without
replacement, ``form`` builds a piece from sections.
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
