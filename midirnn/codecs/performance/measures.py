"""The controls of a piece, measured from its tokens: density, loudness and pitch classes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from midirnn.codecs.base import BoolArray, Tokens
from midirnn.codecs.controls import (
    DENSITY,
    HISTOGRAM,
    LOUDNESS,
    NUM_CONTROL_INPUTS,
    FloatArray,
    density_inputs,
    loudness_inputs,
)
from midirnn.codecs.performance.layout import PerformanceLayout
from midirnn.codecs.performance.vocabulary import TokenType
from midirnn.codecs.style import (
    HORIZON_SECONDS,
    PITCH_CLASSES,
    Notes,
    Style,
    measured,
    style_inputs,
)


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


def measured_style(tokens: Tokens, layout: PerformanceLayout, begin: int, stop: int) -> FloatArray:
    """Return the style of a piece from each of its tokens ``begin`` to ``stop - 1`` on.

    Shape ``(stop - begin, NUM_STYLE_INPUTS)``; see :func:`midirnn.codecs.style.measured`.
    """
    notes, at = notes_of(tokens, layout)
    steps = np.concatenate([[0], np.cumsum(layout.token_steps[tokens])])
    places = np.arange(begin, stop)
    values = measured(notes, np.searchsorted(at, places), steps[places])
    return style_inputs(values, stop - begin)


def recent_style(tokens: Tokens, layout: PerformanceLayout, seconds: float) -> Style:
    """Return the style of the last ``seconds`` of a piece, or of all of it if it is shorter."""
    notes, _ = notes_of(tokens, layout)
    begin = max(0, notes.end - round(seconds * layout.steps_per_second))
    span = (notes.end - begin) / layout.steps_per_second
    first = np.searchsorted(notes.onset, [begin])
    return Style.of(measured(notes, first, np.array([begin]), max(span, 1.0)))


def notes_of(tokens: Tokens, layout: PerformanceLayout) -> tuple[Notes, npt.NDArray[np.int64]]:
    """Return the notes of a piece, and the position (N,) of each note-on among the tokens.

    A note that is never released ends with the piece.
    """
    vocabulary = layout.vocabulary
    value = vocabulary.values[tokens]
    step = np.cumsum(layout.token_steps[tokens])
    end = int(step[-1]) if len(step) else 0
    is_on = vocabulary.is_type(tokens, TokenType.NOTE_ON)
    events = np.flatnonzero(is_on | vocabulary.is_type(tokens, TokenType.NOTE_OFF))
    events = events[np.argsort(value[events], kind="stable")]  # of each pitch in turn
    ends = np.append(step[events][1:], end)
    last_of_pitch = np.append(np.diff(value[events]) != 0, True)[: len(events)]
    ended = np.zeros(len(tokens), np.int64)
    ended[events] = np.where(last_of_pitch, end, ends[: len(events)])
    at = np.flatnonzero(is_on)
    is_velocity = vocabulary.is_type(tokens, TokenType.VELOCITY)
    velocity = layout.bin_velocity(_bins(is_velocity, value, int(layout.default_bin))[at])
    notes = Notes(step[at], ended[at] - step[at], value[at], velocity, end, layout.steps_per_second)
    return notes, at


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
