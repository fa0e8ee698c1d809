"""The controls and the style of a piece, measured from its tokens."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from midirnn.arrays import BoolArray, Float32Array
from midirnn.codecs.base import Tokens
from midirnn.codecs.controls import (
    DENSITY,
    HISTOGRAM,
    LOUDNESS,
    NUM_CONTROL_INPUTS,
    density_inputs,
    loudness_inputs,
)
from midirnn.codecs.performance.layout import PerformanceLayout
from midirnn.codecs.performance.vocabulary import TokenType
from midirnn.codecs.style import (
    HORIZON_SECONDS,
    NUM_STYLE_INPUTS,
    PITCH_CLASSES,
    Notes,
    Style,
    measured,
    style_inputs,
)
from midirnn.performance import NUM_PITCHES


def measured_controls(
    tokens: Tokens, layout: PerformanceLayout, begin: int, stop: int
) -> Float32Array:
    """Return the controls of what follows at each token ``begin`` to ``stop - 1`` of a piece.

    Shape ``(stop - begin, 28)``. Notes are counted for :data:`HORIZON_SECONDS`, the token itself
    included. Where no note begins, loudness and pitch classes are all 0.
    """
    vocabulary = layout.vocabulary
    first_bin = _bin_before(tokens, layout, begin)
    if begin >= stop:
        return np.zeros((0, NUM_CONTROL_INPUTS), np.float32)
    horizon = round(HORIZON_SECONDS * layout.steps_per_second)
    step = np.cumsum(layout.token_steps[tokens[begin:]])
    reach = max(stop - begin, int(np.searchsorted(step, step[stop - begin - 1] + horizon)))
    tokens, step = tokens[begin : begin + reach], step[:reach]
    ons = np.flatnonzero(vocabulary.is_type(tokens, TokenType.NOTE_ON))
    loudness, classes = _running_sums(tokens, ons, first_bin, layout)

    # The passage measured at a token begins before the token's own time shift.
    begun = np.concatenate([[0], step])[: stop - begin]
    moment, low, begun = _moments(np.searchsorted(ons, np.arange(stop - begin)), begun)
    high = np.searchsorted(step[ons], begun + horizon)
    high = np.maximum(high, low)
    notes = (high - low).astype(np.float64)
    rows = np.zeros((len(low), NUM_CONTROL_INPUTS), np.float32)
    rows[:, DENSITY] = density_inputs(notes / HORIZON_SECONDS)
    some = notes > 0
    mean = (loudness[high] - loudness[low])[some] / notes[some]
    rows[some, LOUDNESS] = loudness_inputs(mean)
    rows[some, HISTOGRAM] = (classes[high] - classes[low])[some] / notes[some, None]
    return rows.take(moment, axis=0)


def measured_style(
    tokens: Tokens, layout: PerformanceLayout, begin: int, stop: int
) -> Float32Array:
    """Return the style of what follows at each token ``begin`` to ``stop - 1`` of a piece.

    Shape ``(stop - begin, NUM_STYLE_INPUTS)``; see :func:`midirnn.codecs.style.measured`.
    """
    if begin >= stop:
        return np.zeros((0, NUM_STYLE_INPUTS), np.float32)
    steps = np.concatenate([[0], np.cumsum(layout.token_steps[tokens])])
    part = _deciding(tokens, layout, steps[1:], begin, stop)
    first_bin = _bin_before(tokens, layout, part.start)
    notes, at = notes_of(tokens[part], layout, first_bin)
    notes = dataclasses.replace(notes, end=int(steps[-1] - steps[part.start]))
    first = np.searchsorted(at, np.arange(begin, stop) - part.start)
    moment, first, begun = _moments(first, steps[begin:stop] - steps[part.start])
    return style_inputs(measured(notes, first, begun), len(first)).take(moment, axis=0)


def _moments(
    first: npt.NDArray[np.int64], begun: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Group N places into moments; return each place's moment (N,), each moment's note and time.

    Half of all tokens begin no note and take no time: the same notes follow at the next place.
    """
    is_new = np.ones(len(first), np.bool_)
    is_new[1:] = (np.diff(first) != 0) | (np.diff(begun) != 0)
    return np.cumsum(is_new) - 1, first[is_new], begun[is_new]


def _deciding(
    tokens: Tokens, layout: PerformanceLayout, step: npt.NDArray[np.int64], begin: int, stop: int
) -> slice:
    """Return the tokens on which the style at ``begin`` to ``stop - 1`` depends.

    They include all notes that sound at ``begin`` or start within the horizon, from note-on to
    note-off, and the first onset after these. ``step`` (T,) is the time after each token.
    """
    vocabulary = layout.vocabulary
    is_on = vocabulary.is_type(tokens, TokenType.NOTE_ON)
    events = np.flatnonzero(is_on | vocabulary.is_type(tokens, TokenType.NOTE_OFF))
    pitch = vocabulary.values[tokens[events]]

    def sounding(place: int) -> tuple[npt.NDArray[np.int64], int]:
        """Return the note-on (128,) of each pitch sounding at a place, else -1; its event count."""
        count = int(np.searchsorted(events, place))
        latest = np.full(NUM_PITCHES, -1, np.int64)
        latest[pitch[:count]] = events[:count]  # the last event per pitch counts
        return np.where(is_on[latest], latest, -1), count

    latest, _ = sounding(begin)
    first = int(latest[latest >= 0].min(initial=begin))
    limit = step[stop - 1] + round(HORIZON_SECONDS * layout.steps_per_second)
    last = int(np.searchsorted(step, limit, side="right"))
    onsets = np.flatnonzero(is_on)
    next_onset = onsets[int(np.searchsorted(onsets, last)) :][:1]  # none at the piece's end
    last = int(next_onset.max(initial=last)) + 1
    latest, count = sounding(last)
    released = np.full(NUM_PITCHES, len(tokens), np.int64)
    released[pitch[count:][::-1]] = events[count:][::-1]  # the first event per pitch counts
    last = max(last, int(released[latest >= 0].max(initial=0)) + 1)
    return slice(first, min(last, len(tokens)))


def recent_style(tokens: Tokens, layout: PerformanceLayout, seconds: float) -> Style:
    """Return the style of the last ``seconds`` of a piece, or of all of it if it is shorter."""
    notes, _ = notes_of(tokens, layout)
    begin = max(0, notes.end - round(seconds * layout.steps_per_second))
    span = (notes.end - begin) / layout.steps_per_second
    first = np.searchsorted(notes.onset, [begin])
    return Style.of(measured(notes, first, np.array([begin]), max(span, 1.0)))


def notes_of(
    tokens: Tokens, layout: PerformanceLayout, first_bin: int | None = None
) -> tuple[Notes, npt.NDArray[np.int64]]:
    """Return the notes of a piece, and the position (N,) of each note-on among the tokens.

    A note that is never released ends with the piece. ``first_bin`` is the velocity bin in force
    at the beginning, if it is not the default.
    """
    first_bin = int(layout.default_bin) if first_bin is None else first_bin
    vocabulary = layout.vocabulary
    value = vocabulary.values[tokens]
    step = np.cumsum(layout.token_steps[tokens])
    end = int(step[-1]) if len(step) else 0
    is_on = vocabulary.is_type(tokens, TokenType.NOTE_ON)
    events = np.flatnonzero(is_on | vocabulary.is_type(tokens, TokenType.NOTE_OFF))
    events = events[np.argsort(value[events], kind="stable")]  # pitch by pitch
    ends = np.append(step[events][1:], end)
    last_of_pitch = np.append(np.diff(value[events]) != 0, True)[: len(events)]
    ended = np.zeros(len(tokens), np.int64)
    ended[events] = np.where(last_of_pitch, end, ends[: len(events)])
    at = np.flatnonzero(is_on)
    is_velocity = vocabulary.is_type(tokens, TokenType.VELOCITY)
    velocity = layout.bin_velocity(_bins(is_velocity, value, first_bin)[at])
    notes = Notes(step[at], ended[at] - step[at], value[at], velocity, end, layout.steps_per_second)
    return notes, at


def _running_sums(
    tokens: Tokens, ons: npt.NDArray[np.int64], first_bin: int, layout: PerformanceLayout
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return running sums over note-ons: of velocities (N + 1,) and of pitch classes."""
    value = layout.vocabulary.values[tokens]
    is_velocity = layout.vocabulary.is_type(tokens, TokenType.VELOCITY)
    velocities = layout.bin_velocity(_bins(is_velocity, value, first_bin)[ons])
    loudness = np.concatenate([[0.0], np.cumsum(velocities)])
    classes = np.zeros((len(ons) + 1, PITCH_CLASSES))
    classes[np.arange(1, len(ons) + 1), value[ons] % PITCH_CLASSES] = 1.0
    return loudness, classes.cumsum(axis=0)


def _bin_before(tokens: Tokens, layout: PerformanceLayout, position: int) -> int:
    """Return the velocity bin in force before a position."""
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
