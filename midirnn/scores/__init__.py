"""Scores: written notes, what performers make of them, and the way from one to the other.

The modules build on one another in this order: ``score`` (notes in quarter notes), ``marks`` (what
dynamics, wedges and accents mean), ``reading`` (MIDI and MusicXML), ``matching`` (which played note
is which written one), ``expression`` (what a performance adds to its score, and a performance made
from it), ``traits`` (what a network reads of a score).
"""

from __future__ import annotations

from midirnn.scores.expression import Expression, measure, perform
from midirnn.scores.matching import match_notes
from midirnn.scores.reading import SCORE_SUFFIXES, check_score, read_score
from midirnn.scores.score import Meter, Score
from midirnn.scores.traits import TRAITS, traits_of

__all__ = [
    "SCORE_SUFFIXES",
    "TRAITS",
    "Expression",
    "Meter",
    "Score",
    "check_score",
    "match_notes",
    "measure",
    "perform",
    "read_score",
    "traits_of",
]
