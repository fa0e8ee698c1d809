"""Keeping to a style: a controller that compares what is played with what is wanted.

A model follows its controls only roughly, and its own music carries it away: after a dense passage
it expects another one. So once a second the last seconds are measured, and the controls are
corrected by the difference from the target and by its integral over time (a PI controller).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from itertools import takewhile
from typing import NamedTuple, Self

import numpy as np

from midirnn.codecs import NoteStream
from midirnn.codecs.controls import Controls
from midirnn.codecs.style import Style, rhythm_shares

MEASURED_SECONDS = 10.0
"""The length of the passage that is measured: the last of what was played."""

LEAST_SECONDS = 3.0
"""Nothing is corrected before this much was played. With 4 seconds, what `live` answers to jazz is
a fifth farther from its density."""

EVERY_SECONDS = 1.0
"""The time between two measurements."""


class Gains(NamedTuple):
    """How strongly a trait is corrected, and the limits, in the units of the trait."""

    proportional: float
    per_second: float
    """The integral gain."""
    most_in_time: float
    """The limit on the integral part."""
    most: float
    """The limit on the whole correction."""


NUMBERS = {
    "density": Gains(1.0, 0.6, 1.5, 2.0),
    "polyphony": Gains(1.0, 0.1, 1.5, 2.0),
    "loudness": Gains(0.5, 0.03, 8.0, 12.0),
    "register": Gains(0.5, 0.03, 6.0, 9.0),
}
"""The traits that are corrected, besides rhythm. Correcting articulation as well gained nothing.

After primers of ATEPP and PiJAMA, `piano` plays 15 to 24 % more notes than it heard with an
integral gain of 0.15 for density, and 5 to 11 % more with 0.6. Polyphony reacts more slowly: with
0.3 it oscillates (20 pieces of 120 s without a primer have a mean of 5.6 and a standard deviation
of 1.95; 32 with 0.1 have 5.0 and 1.3), and with 0 it is too low. Correcting loudness and register
brings their median distances to the primer from 0.17 to 0.12 and from 0.36 to 0.25 of those to
another piece. From one passage of 5 s to the next they vary no less.
"""

RHYTHM_GAIN = 2.0
"""The proportional gain of rhythm. With 1.0 rhythm drifts while density is corrected."""

RHYTHM = "rhythm"

CARRIED = 0.5
"""The share of the integral parts that goes on to the next answer: the model errs in a similar way
in each. All of it is too much where the performer changes the style."""

LATELY_SECONDS = 3.0
"""The last seconds, in which notes are counted to find out whether a rest may be long."""

REST_NOTES = 8.0
"""Where too few were played, a rest lasts no longer than this many notes should take."""


class RecentNotes:
    """Counts the notes of the last ``seconds`` of a stream, token by token.

    It begins with the stream, and again with the first note after :meth:`start_over`.
    """

    def __init__(self, codec: NoteStream, seconds: float) -> None:
        self._window = round(seconds * codec.steps_per_second)
        self._steps = codec.token_steps.tolist()
        self._ons, self._offs = codec.note_ons, codec.note_offs
        self._velocities = codec.token_velocities.tolist()
        self._velocity = codec.first_velocity
        self.steps_per_second = codec.steps_per_second
        self._sounding = 0
        self._start: int | None = 0
        """The first step that counts; None until the next note."""
        self._step = 0
        self._notes: deque[tuple[int, int, int]] = deque()
        """Onset step, pitch and velocity."""
        self._sounded: deque[tuple[int, int]] = deque()
        """For each time shift: the step it led to, and how many notes sounded until then."""

    @property
    def seconds(self) -> float:
        """The time since it began."""
        return 0.0 if self._start is None else (self._step - self._start) / self.steps_per_second

    def copy(self) -> Self:
        """Return an independent copy."""
        other = copy(self)
        other._notes, other._sounded = self._notes.copy(), self._sounded.copy()
        return other

    def start_over(self) -> None:
        """Forget what was counted, and begin again with the next note."""
        self._start = None
        self._notes.clear()
        self._sounded.clear()

    def add(self, token: int) -> None:
        """Count the next token."""
        steps = self._steps[token]
        if steps:
            self._step += steps
            if self._start is not None:
                self._sounded.append((self._step, self._sounding))
                self._forget()
        elif self._ons.start <= token < self._ons.stop:
            self._sounding += 1
            self._start = self._step if self._start is None else self._start
            self._notes.append((self._step, token - self._ons.start, self._velocity))
        elif self._offs.start <= token < self._offs.stop:
            self._sounding -= 1
        elif self._velocities[token]:
            self._velocity = self._velocities[token]

    def _forget(self) -> None:
        begin = self._step - self._window
        while self._notes and self._notes[0][0] < begin:
            self._notes.popleft()
        while self._sounded[0][0] <= begin:
            self._sounded.popleft()

    def notes_per_second(self, seconds: float) -> float:
        """Return the density of the last ``seconds``, at most those that are counted."""
        begin = self._step - seconds * self.steps_per_second
        count = sum(1 for _ in takewhile(lambda note: note[0] >= begin, reversed(self._notes)))
        return count / max(min(seconds, self.seconds), 1.0)

    def style(self) -> Style:
        """Return the traits of these notes that are corrected, as far as they have them.

        The result is as :meth:`~midirnn.codecs.base.Steerable.recent_style` measures it.
        """
        begin = max(self._start or 0, self._step - self._window)
        span = max(self._step - begin, self.steps_per_second)
        note_steps, last = 0, begin
        for step, sounding in self._sounded:
            note_steps += (step - last) * sounding
            last = step
        notes = np.array(self._notes, np.int64).reshape(-1, 3)
        notes = notes[notes[:, 0] < self._step]  # the music is measured up to here
        apart = np.diff(notes[:, 0])
        rhythm = rhythm_shares(apart[apart > 0] / self.steps_per_second)
        values: dict[str, float | tuple[float, ...]] = {
            "density": math.log2(1.0 + len(notes) / (span / self.steps_per_second)),
            "polyphony": math.log2(1.0 + note_steps / span),
        }
        if len(notes):
            _, values["register"], values["loudness"] = notes.mean(axis=0).tolist()
        if rhythm.any():
            values[RHYTHM] = tuple(rhythm.tolist())
        return Style(values)


class Keeping:
    """Corrects the controls of a model. Owns what was played, and the corrections."""

    def __init__(self, codec: NoteStream, heard: Iterable[int]) -> None:
        self._played = RecentNotes(codec, MEASURED_SECONDS)
        self._second = 0.0
        self._in_time = dict.fromkeys(NUMBERS, 0.0)
        self._change: dict[str, float] = {}
        self._rhythm_change = np.zeros(1)
        self._wanted: Controls | None = None
        self._asked: Controls | None = None
        for token in heard:
            self.add(token)

    def copy(self) -> Self:
        """Return an independent copy."""
        other = copy(self)
        other._played = self._played.copy()
        other._in_time, other._change = self._in_time.copy(), self._change.copy()
        return other

    def start_over(self) -> None:
        """Begin to keep to another style. Only what is played from the next note on counts."""
        self._played.start_over()
        self._second = 0.0
        self._in_time = {name: CARRIED * change for name, change in self._in_time.items()}
        self._change, self._rhythm_change = self._in_time.copy(), np.zeros(1)
        self._wanted = None

    def add(self, token: int) -> None:
        """Count the next token of the piece."""
        self._played.add(token)

    def asked(self, wanted: Controls | None) -> Controls | None:
        """Return the controls to set now, so that what is ``wanted`` is played."""
        if wanted is None or wanted.style is None:
            return wanted
        seconds = self._played.seconds
        if seconds >= max(self._second + EVERY_SECONDS, LEAST_SECONDS):
            self._second = seconds
            self._compare(wanted.style)
        elif wanted is self._wanted:
            return self._asked
        self._wanted = wanted
        self._asked = replace(wanted, style=self._corrected(wanted.style))
        return self._asked

    def longest_rest(self, wanted: Controls | None) -> int | None:
        """Return the longest rest in steps; None if as many notes were played as are ``wanted``.

        Used at temperatures below 1: see :mod:`midirnn.sampling.rests`.
        """
        density = _density(wanted)
        if not density or self._played.notes_per_second(LATELY_SECONDS) >= density:
            return None
        return round(REST_NOTES / density * self._played.steps_per_second)

    def _compare(self, style: Style) -> None:
        """Update the corrections from the difference between what was played and ``style``."""
        played = self._played.style()
        for name, gains in NUMBERS.items():
            if name in style.values and name in played.values:
                less = played.number(name) - style.number(name)
                in_time = self._in_time[name] - gains.per_second * less
                self._in_time[name] = min(max(in_time, -gains.most_in_time), gains.most_in_time)
                change = self._in_time[name] - gains.proportional * less
                self._change[name] = min(max(change, -gains.most), gains.most)
        if RHYTHM in style.values and RHYTHM in played.values:
            missing = style.histogram(RHYTHM) - played.histogram(RHYTHM)
            self._rhythm_change = RHYTHM_GAIN * missing

    def _corrected(self, style: Style) -> Style:
        asked = dict(style.values)
        for name in NUMBERS:
            if name in asked:
                asked[name] = style.number(name) + self._change.get(name, 0.0)
        if RHYTHM in asked:
            shares = np.maximum(style.histogram(RHYTHM) + self._rhythm_change, 0.0)
            asked[RHYTHM] = tuple((shares / shares.sum()).tolist())
        return Style(asked)


def _density(wanted: Controls | None) -> float | None:
    """Return the notes per second that are wanted; None if that is up to the model."""
    if wanted is None:
        return None
    if wanted.notes_per_second is not None:
        return wanted.notes_per_second
    if wanted.style is None or "density" not in wanted.style.values:
        return None
    return float(2.0 ** wanted.style.number("density")) - 1.0
