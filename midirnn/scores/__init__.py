"""Scores, performances of scores, and the conversion between the two.

The modules build on one another in this order: ``score`` (notes in quarter notes), ``marks`` (what
dynamics, wedges and accents mean), ``reading`` (MIDI and MusicXML), ``matching`` (which played note
belongs to which written one), ``expression`` (what a performance adds to its score, and the
performance of a score), ``traits`` (what a network reads of a score).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midirnn.lazy import lazy_names as _lazy_names

# Imported on first use: the config of a network that plays scores only needs the traits.
_MODULES = {
    "Expression": "expression",
    "Meter": "score",
    "SCORE_SUFFIXES": "reading",
    "Score": "score",
    "TRAITS": "traits",
    "check_score": "reading",
    "match_notes": "matching",
    "measure": "expression",
    "perform": "expression",
    "read_score": "reading",
    "traits_of": "traits",
}

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

if TYPE_CHECKING:
    from midirnn.scores.expression import Expression, measure, perform
    from midirnn.scores.matching import match_notes
    from midirnn.scores.reading import SCORE_SUFFIXES, check_score, read_score
    from midirnn.scores.score import Meter, Score
    from midirnn.scores.traits import TRAITS, traits_of


__getattr__ = _lazy_names(__name__, _MODULES)
