"""Which note of a performance is which note of its score, given the beats of both."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from midirnn.performance import FloatArray

IntArray = npt.NDArray[np.int64]

_WINDOWS = (0.6, 0.25, 0.2)
"""Seconds: how far a note may be from where it is expected, in each round."""

_NEIGHBOURS = 9
"""Notes around a note that say how early or late it is expected in the next round."""

_APART = 1e6
"""Seconds: puts the notes of each pitch into a stretch of time of their own."""


def match_notes(
    expected: FloatArray, pitch: IntArray, start: FloatArray, played: IntArray
) -> IntArray:
    """Return the index of the played note of each written one, -1 where there is none; ``(N,)``.

    ``expected`` are the seconds at which the notes of the score are expected by its beats, in
    order, ``start`` and ``played`` the seconds and pitches of the performance's notes. Two notes
    of one pitch are a pair if each is the nearest to the other of those that are not yet in one.
    A second and a third round expect each note where the notes around it were found.
    """
    matched = np.full(len(expected), -1)
    if not len(start):
        return matched
    for window in _WINDOWS:
        matched = _nearest_pairs(expected + _APART * pitch, start + _APART * played, window)
        expected = expected + _lateness(expected, matched, start)
    return matched


def _nearest_pairs(written: FloatArray, sounding: FloatArray, window: float) -> IntArray:
    """Return the partner of each written note, -1 for none."""
    matched = np.full(len(written), -1)
    free = np.ones(len(sounding), bool)
    while True:
        left, right = np.flatnonzero(matched < 0), np.flatnonzero(free)
        if not len(left) or not len(right):
            return matched
        to_right = _nearest(written[left], sounding[right])
        to_left = _nearest(sounding[right], written[left])
        mutual = to_left[to_right] == np.arange(len(left))
        mutual &= np.abs(written[left] - sounding[right][to_right]) <= window
        if not mutual.any():
            return matched
        matched[left[mutual]] = right[to_right[mutual]]
        free[right[to_right[mutual]]] = False


def _nearest(values: FloatArray, among: FloatArray) -> IntArray:
    """Return the index of the nearest of ``among`` to each value."""
    order = np.argsort(among, kind="stable")
    ordered = among[order]
    after = np.clip(np.searchsorted(ordered, values), 1, max(1, len(ordered) - 1))
    if len(ordered) == 1:
        return np.zeros(len(values), np.int64)
    nearer = values - ordered[after - 1] <= ordered[after] - values
    return order[np.where(nearer, after - 1, after)]


def _lateness(expected: FloatArray, matched: IntArray, start: FloatArray) -> FloatArray:
    """Return how much later than expected the notes around each one are: the median of a few."""
    found = np.flatnonzero(matched >= 0)
    if len(found) < _NEIGHBOURS:
        return np.zeros(len(expected))
    late = start[matched[found]] - expected[found]
    half = _NEIGHBOURS // 2
    padded = np.pad(late, half, mode="edge")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, _NEIGHBOURS), axis=1)
    return smooth[np.clip(np.searchsorted(found, np.arange(len(expected))), 0, len(found) - 1)]
