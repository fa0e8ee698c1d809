"""The similarity of two passages: the notes that both have, in the same order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from midirnn.judging.recurrence import CHORD_SECONDS
from midirnn.performance import Performance


def likeness(a: Performance, b: Performance) -> float:
    """Return the share of notes that two passages have in common, in order; 1 is note for note.

    That is the longest common subsequence of their pitches, twice its length divided by the notes
    of both. Neither tempo nor loudness counts, nor the order in which the notes of a chord begin.
    """
    if not len(a) or not len(b):
        return 0.0
    return 2.0 * _common(_pitches(a), _pitches(b)) / (len(a) + len(b))


def _pitches(piece: Performance) -> npt.NDArray[np.uint8]:
    """Return the pitches in order: chord by chord, each from its lowest note up."""
    chord: list[int] = []
    begun = -np.inf
    number = -1
    for start in piece.start.tolist():
        if start > begun + CHORD_SECONDS:
            begun, number = start, number + 1
        chord.append(number)
    return piece.pitch[np.lexsort((piece.pitch, np.array(chord)))]


def _common(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> int:
    """Return the length of the longest common subsequence."""
    lengths = np.zeros(len(b) + 1, np.int64)
    for value in a:
        extended = np.where(b == value, lengths[:-1] + 1, lengths[1:])
        lengths[1:] = np.maximum.accumulate(extended)
    return int(lengths[-1])
