"""Matching the notes of a performance with those of its score, given the beats of both."""

from __future__ import annotations

import numpy as np

from midirnn.arrays import Float64Array, IntArray

_WINDOWS = (0.6, 0.25, 0.2)
"""Largest distance of a note from its expected time in each round, in seconds."""

_NEIGHBOURS = 9
"""Number of notes around a note that determine its expected time in the next round."""

_APART = 1e6
"""Seconds by which the notes of different pitches are moved apart in time."""


def match_notes(
    expected: Float64Array, pitch: IntArray, start: Float64Array, played: IntArray
) -> IntArray:
    """Return the index of the played note of each written one, -1 where there is none; ``(N,)``.

    ``expected`` are the times in seconds at which the beats put the notes of the score, in order;
    ``start`` and ``played`` are the times and pitches of the performance's notes. Two notes of the
    same pitch are paired if each is the nearest unpaired one to the other. The second and third
    rounds expect each note where the notes around it were found.
    """
    matched = np.full(len(expected), -1)
    if not len(start):
        return matched
    for window in _WINDOWS:
        matched = _nearest_pairs(expected + _APART * pitch, start + _APART * played, window)
        expected = expected + _lateness(expected, matched, start)
    return matched


def _nearest_pairs(written: Float64Array, sounding: Float64Array, window: float) -> IntArray:
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


def _nearest(values: Float64Array, among: Float64Array) -> IntArray:
    """Return the index of the nearest of ``among`` to each value."""
    order = np.argsort(among, kind="stable")
    ordered = among[order]
    after = np.clip(np.searchsorted(ordered, values), 1, max(1, len(ordered) - 1))
    if len(ordered) == 1:
        return np.zeros(len(values), np.int64)
    nearer = values - ordered[after - 1] <= ordered[after] - values
    return order[np.where(nearer, after - 1, after)]


def _lateness(expected: Float64Array, matched: IntArray, start: Float64Array) -> Float64Array:
    """Return the median lateness of the notes around each one."""
    found = np.flatnonzero(matched >= 0)
    if len(found) < _NEIGHBOURS:
        return np.zeros(len(expected))
    late = start[matched[found]] - expected[found]
    half = _NEIGHBOURS // 2
    padded = np.pad(late, half, mode="edge")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, _NEIGHBOURS), axis=1)
    return smooth[np.clip(np.searchsorted(found, np.arange(len(expected))), 0, len(found) - 1)]
