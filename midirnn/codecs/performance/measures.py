"""The controls of a piece, measured from its tokens: density, loudness and pitch classes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from midirnn.codecs.base import BoolArray, Tokens
from midirnn.codecs.controls import (
    DENSITY,
    HISTOGRAM,
    HORIZON_SECONDS,
    LOUDNESS,
    NUM_CONTROL_INPUTS,
    PITCH_CLASSES,
    FloatArray,
    density_inputs,
    loudness_inputs,
)
from midirnn.codecs.performance.layout import PerformanceLayout
from midirnn.codecs.performance.vocabulary import TokenType


def measured_controls(
    tokens: Tokens, layout: PerformanceLayout, begin: int, stop: int
) -> FloatArray:
    """Return the controls of a piece from each of its tokens ``begin`` to ``stop - 1`` on.

    Shape ``(stop - begin, 28)``. Notes are counted from the token itself on, for
    :data:`HORIZON_SECONDS`. Where no note begins, loudness and pitch classes are all 0.
    """
    vocabulary = layout.vocabulary
    first_bin = _bin_before(tokens, layout, begin)
    tokens = tokens[begin:]
    step = np.cumsum(layout.token_steps[tokens])
    ons = np.flatnonzero(vocabulary.is_type(tokens, TokenType.NOTE_ON))
    loudness, classes = _running_sums(tokens, ons, first_bin, layout)

    count = stop - begin
    at = np.arange(count)
    low = np.searchsorted(ons, at)
    # A token's passage begins before its own time shift.
    begun = np.concatenate([[0], step])[at]
    high = np.searchsorted(step[ons], begun + round(HORIZON_SECONDS * layout.steps_per_second))
    high = np.maximum(high, low)
    notes = (high - low).astype(np.float64)
    rows = np.zeros((count, NUM_CONTROL_INPUTS), np.float32)
    rows[:, DENSITY] = density_inputs(notes / HORIZON_SECONDS)
    some = notes > 0
    mean = (loudness[high] - loudness[low])[some] / notes[some]
    rows[some, LOUDNESS] = loudness_inputs(mean)
    rows[some, HISTOGRAM] = (classes[high] - classes[low])[some] / notes[some, None]
    return rows


def _running_sums(
    tokens: Tokens, ons: npt.NDArray[np.int64], first_bin: int, layout: PerformanceLayout
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the sums over the first n note-ons of velocities (N + 1,) and pitch classes."""
    value = layout.vocabulary.values[tokens]
    is_velocity = layout.vocabulary.is_type(tokens, TokenType.VELOCITY)
    velocities = layout.bin_velocity(_bins(is_velocity, value, first_bin)[ons])
    loudness = np.concatenate([[0.0], np.cumsum(velocities)])
    classes = np.zeros((len(ons) + 1, PITCH_CLASSES))
    classes[np.arange(1, len(ons) + 1), value[ons] % PITCH_CLASSES] = 1.0
    return loudness, classes.cumsum(axis=0)


def _bin_before(tokens: Tokens, layout: PerformanceLayout, position: int) -> int:
    """Return the velocity bin in force before that position."""
    before = tokens[:position]
    set_at = np.flatnonzero(layout.vocabulary.is_type(before, TokenType.VELOCITY))
    if not len(set_at):
        return int(layout.default_bin)
    return int(layout.vocabulary.values[before[set_at[-1]]])


def _bins(
    is_velocity: BoolArray, value: npt.NDArray[np.int64], first_bin: int
) -> npt.NDArray[np.int64]:
    """Return the velocity bin in force at each token."""
    last = np.maximum.accumulate(np.where(is_velocity, np.arange(len(value)), -1))
    return np.where(last >= 0, value[last], first_bin)
