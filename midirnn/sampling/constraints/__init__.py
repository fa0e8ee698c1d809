"""Constraints on generated music: key, range, chords, curves, silences, length; all combine.

``harmony`` reads keys and chords, ``chart`` chord charts, ``curves`` curves over time. ``rules``
holds the constraints of a piece, and ``masks`` works out which tokens may come next.
"""

from __future__ import annotations

from midirnn.sampling.constraints.chart import ChordChart, parse_chart
from midirnn.sampling.constraints.curves import Curve, read_curves
from midirnn.sampling.constraints.harmony import parse_chord, parse_scale
from midirnn.sampling.constraints.rules import Constraints

__all__ = [
    "ChordChart",
    "Constraints",
    "Curve",
    "parse_chart",
    "parse_chord",
    "parse_scale",
    "read_curves",
]
