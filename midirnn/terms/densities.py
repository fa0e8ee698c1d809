"""How frequent the times that a time shift makes were lately: real inputs, not indices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from midirnn.arrays import Float32Array, IntArray
from midirnn.terms.memory import NoteMemory
from midirnn.terms.moments import NEWEST_HELD, RECENT_INTERVALS, Moments
from midirnn.terms.rules import shifts

RECENT_DURATIONS = 48
"""How many of the last notes make the density of durations, if they have ended."""

INTERVAL_FADING = 0.93 ** np.arange(RECENT_INTERVALS)
DURATION_FADING = 0.96 ** np.arange(RECENT_DURATIONS)
"""The weights of the last inter-onset times and durations, the newest first."""

WIDTHS = (0, 2, 7)
"""The densities are means over boxes that reach this many steps to either side."""

NUM_DENSITIES = 2 * len(WIDTHS)
"""Three of inter-onset times, three of durations."""

LONGEST_DENSITY = 288
"""Longer times than this have no density."""

_LEFT_OUT = 8
"""This many of the longest times are not counted, since boxes around them would be cut off."""


def densities(moments: Moments, most: int) -> Float32Array:
    """Return how frequent the times that each time shift makes were lately (N, 6, shifts).

    These are logarithms: three of the inter-onset time that it would make, among the last 32; three
    of the durations that the newest held notes would have, among those of the last 48 notes that
    have ended.
    """
    rows = [
        _densities_of(memory, moments, index, most) for index, memory in enumerate(moments.memories)
    ]
    return np.stack(rows)


def _densities_of(memory: NoteMemory, moments: Moments, index: int, most: int) -> Float32Array:
    if not memory.begun:
        return np.zeros((2 * len(WIDTHS), most), np.float32)
    onsets = memory.onsets[-(RECENT_INTERVALS + 1) :][::-1]
    durations = memory.durations[-RECENT_DURATIONS:][::-1]
    ended = (durations >= 0) & (memory.onsets[-RECENT_DURATIONS:][::-1] + durations < memory.step)
    intervals = _cumulated(-np.diff(onsets), INTERVAL_FADING[: len(onsets) - 1])
    lasted = _cumulated(durations[ended], DURATION_FADING[: len(durations)][ended])
    at = shifts(most) + int(moments.since_onset[index])
    pitches = moments.newest_held[index]
    ages = moments.age[index][pitches[pitches >= 0]]
    rows = np.empty((2 * len(WIDTHS), most), np.float32)
    for number, width in enumerate(WIDTHS):
        rows[number] = _box(intervals, at, width)
        rows[len(WIDTHS) + number] = _box(lasted, ages[:, None] + shifts(most), width).sum(axis=0)
    logarithms: Float32Array = np.log(np.float32(0.01) + rows) + np.float32(2.5)
    return logarithms


def _cumulated(values: npt.NDArray[np.int32], weights: npt.NDArray[np.floating]) -> Float32Array:
    """Return the cumulative sums of a weighted histogram (289,): index x sums all bins below x."""
    histogram = np.bincount(
        np.minimum(values, LONGEST_DENSITY), weights, minlength=LONGEST_DENSITY + 1
    )
    histogram[LONGEST_DENSITY - _LEFT_OUT :] = 0.0
    below = np.zeros(LONGEST_DENSITY + 1, np.float32)
    np.cumsum(histogram[:LONGEST_DENSITY], out=below[1:])
    return below


def _box(cumulated: Float32Array, at: IntArray, width: int) -> Float32Array:
    """Return the mean of the histogram within ``width`` of each place; 0 past its end."""
    inside = at + width < LONGEST_DENSITY
    high = cumulated[np.where(inside, at + width + 1, 0)]
    low = cumulated[np.where(inside, np.maximum(at - width, 0), 0)]
    means: Float32Array = (high - low) / np.float32(2 * width + 1)
    return means


def interval_boxes(memory: NoteMemory, most: int) -> Float32Array:
    """Return the means over all boxes of the last inter-onset times; see :func:`_boxes`."""
    onsets = memory.onsets[-(RECENT_INTERVALS + 1) :]
    fading = INTERVAL_FADING[: max(len(onsets) - 1, 0)]
    return _boxes(onsets[1:] - onsets[:-1], fading[::-1], most)


def duration_boxes(memory: NoteMemory, most: int) -> Float32Array:
    """Return the same of the durations of those of the last notes that have ended."""
    durations = memory.durations[-RECENT_DURATIONS:]
    ended = (durations >= 0) & (memory.onsets[-RECENT_DURATIONS:] + durations < memory.step)
    fading = DURATION_FADING[: len(durations)][::-1]
    return _boxes(durations[ended], fading[ended], most)


def _boxes(
    values: npt.NDArray[np.int32], weights: npt.NDArray[np.floating], most: int
) -> Float32Array:
    """Return the means over the boxes around each time (3, 288 + most); 0 from 288 on."""
    boxes = np.zeros((len(WIDTHS), LONGEST_DENSITY + most), np.float32)
    if len(values):
        below = np.zeros(_PADDING + LONGEST_DENSITY + 1, np.float32)
        below[_PADDING:] = _cumulated(values, weights)
        boxes[:, :LONGEST_DENSITY] = (below[_HIGH] - below[_LOW]) * _SHARES
    return boxes


_PADDING = 8
"""More than the widest box can reach below 0."""

_AT, _WIDTHS = np.arange(LONGEST_DENSITY), np.array(WIDTHS)[:, None]
_INSIDE = _AT + _WIDTHS < LONGEST_DENSITY
_HIGH = np.where(_INSIDE, _AT + _WIDTHS + 1, -_PADDING) + _PADDING
_LOW = np.where(_INSIDE, _AT - _WIDTHS, -_PADDING) + _PADDING
_SHARES = (1 / (2 * _WIDTHS + 1)).astype(np.float32)


def usual_now(
    intervals: Float32Array,
    durations: Float32Array,
    since_onset: int,
    ages: Sequence[int],
    most: int,
) -> Float32Array:
    """Return the densities, not logarithms, of each time shift at one moment (6, shifts)."""
    rows = np.empty((2, len(WIDTHS), most), np.float32)
    rows[0] = _run(intervals, since_onset, most)
    rows[1] = 0.0
    for age in ages[:NEWEST_HELD]:
        rows[1] += _run(durations, age, most)
    return rows.reshape(NUM_DENSITIES, most)


def add_densities(shifts: Float32Array, weights: Float32Array, usual: Float32Array) -> None:
    """Add the densities (6, shifts), times their ``weights``, to the logits ``shifts``, in place.

    ``usual`` is what :func:`usual_now` returns; its logarithms replace it.
    """
    usual += np.float32(0.01)
    np.log(usual, out=usual)
    usual += np.float32(2.5)
    shifts += weights @ usual


def _run(boxes: Float32Array, after: int, most: int) -> Float32Array:
    """Return the means (3, most) over the boxes around the times that a shift would lead to."""
    first = min(after + 1, LONGEST_DENSITY)
    return boxes[:, first : first + most]
