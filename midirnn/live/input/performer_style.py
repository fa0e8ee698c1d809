"""The style of the performer's last seconds or last phrase."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.style import Notes, Style, measured
from midirnn.live.base.messages import HeardStep
from midirnn.sampling.following import HEARD_SECONDS

LATEST_SECONDS = 15.0
"""The style of the last seconds is measured over these; that of a phrase over up to
:data:`~midirnn.sampling.following.HEARD_SECONDS`, as a primer's."""

LONGEST_REST_SECONDS = 1.0
"""A longer rest counts as one of this length: a performer who waits does not play sparsely."""

PHRASE_NOTES = 6
"""A phrase with fewer notes is measured with what came before it."""

MOST_STEPS = 2000
"""The number of steps that are remembered: at ten a second, more than three minutes."""


class PerformerStyle:
    """Measures the performer's style. Owns the steps that it was given.

    Steps are those of the codec, as the model hears them: with the pedal applied.
    """

    def __init__(self, codec: PerformanceCodec) -> None:
        self._codec = codec
        self._steps: dict[int, HeardStep] = {}
        self._phrase_from = 0
        self.last_step = -math.inf
        """The step of the last note-on; minus infinity before the first."""

    def hear(self, steps: Sequence[HeardStep]) -> bool:
        """Take what happened in some steps, in order; return True if notes began.

        A step may be given again: the last version counts.
        """
        begun = False
        for step in steps:
            self._steps[step.step] = step
            if step.note_ons:
                begun, self.last_step = True, step.step
        while len(self._steps) > MOST_STEPS:
            del self._steps[next(iter(self._steps))]
        return begun

    def end_phrase(self) -> None:
        """Take note that a phrase has ended, and the next one begins."""
        self._phrase_from = max(self._steps, default=0) + 1

    def forget(self) -> None:
        """Forget what was played."""
        self._steps.clear()
        self.last_step = -math.inf

    def last_seconds(self, seconds: float = LATEST_SECONDS) -> Style | None:
        """Return the style of the last seconds of playing; None before the first note."""
        return self._measure(0, seconds)

    def phrase(self) -> Style | None:
        """Return the style of the present phrase; of the last seconds if the phrase is short."""
        notes = sum(len(s.note_ons) for n, s in self._steps.items() if n >= self._phrase_from)
        return self._measure(self._phrase_from if notes >= PHRASE_NOTES else 0)

    def _measure(self, first_step: int, seconds: float = HEARD_SECONDS) -> Style | None:
        notes = _notes_of([s for n, s in self._steps.items() if n >= first_step], self._codec)
        if not len(notes.onset):
            return None
        begin = max(0, notes.end - round(seconds * notes.steps_per_second))
        span = max((notes.end - begin) / notes.steps_per_second, 1.0)
        first = np.searchsorted(notes.onset, [begin])
        return Style.of(measured(notes, first, np.array([begin]), span))


def _notes_of(steps: Sequence[HeardStep], codec: PerformanceCodec) -> Notes:
    """Return the notes of steps in order, counted from 0, with long rests shortened.

    A rest is a time in which no note sounds. Notes that still sound end with the last step.
    """
    longest = round(LONGEST_REST_SECONDS * codec.steps_per_second)
    rows: list[list[int]] = []
    sounding: dict[int, int] = {}
    last = now = steps[0].step if steps else 0
    left_out = now
    for step in steps:
        if not sounding:
            left_out += max(step.step - last - longest, 0)
        last, now = step.step, step.step - left_out
        for pitch in (*step.note_offs, *(pitch for pitch, _ in step.note_ons)):
            if (index := sounding.pop(pitch, None)) is not None:
                rows[index][1] = now - rows[index][0]
        for pitch, velocity_bin in step.note_ons:
            sounding[pitch] = len(rows)
            rows.append([now, 0, pitch, velocity_bin])
    for index in sounding.values():
        rows[index][1] = now - rows[index][0]
    table = np.array(rows, np.int64).reshape(-1, 4)
    velocity = codec.bin_velocity(np.maximum(table[:, 3], 1))
    return Notes(table[:, 0], table[:, 1], table[:, 2], velocity, now, codec.steps_per_second)
