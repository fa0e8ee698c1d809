"""A score: written notes in quarter notes, with its metre and its tempos."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from midirnn.arrays import Float64Array, IntArray
from midirnn.performance import Performance, Tempo, TimeSignature

TOGETHER = 1 / 48
"""Notes whose onsets are closer than this, in quarter notes, form a chord."""

LONGEST_BAR = 64.0
"""The longest bar, in quarter notes. Time signatures with longer bars are ignored."""

_GRID = 6720.0
"""Onsets are rounded to 1/6720 of a quarter note: 64ths and tuplets of 3, 5 and 7 are exact."""


@dataclass(frozen=True)
class Meter:
    """A time signature from ``onset`` on, in quarter notes from the start of the score."""

    onset: float
    numerator: int = 4
    denominator: int = 4

    @property
    def bar(self) -> float:
        """The length of a bar in quarter notes."""
        return 4.0 * self.numerator / self.denominator

    @property
    def beat(self) -> float:
        """The length of a beat in quarter notes: a dotted note in compound metre."""
        compound = self.denominator >= 8 and self.numerator % 3 == 0 and self.numerator > 3
        return (12.0 if compound else 4.0) / self.denominator


@dataclass(frozen=True, eq=False)
class Score:
    """The notes of a score, shape ``(N,)`` each, in order of (onset, pitch); no drums.

    ``onset`` and ``duration`` are in quarter notes. ``written`` is the score played without any
    expression, with its parts, tempos and drums; ``of_note`` is the index of each note in it.
    """

    onset: Float64Array
    duration: Float64Array
    pitch: IntArray
    of_note: IntArray
    written: Performance
    meters: tuple[Meter, ...] = (Meter(0.0),)
    louder: Float64Array | None = None
    """Factor of the velocity of each note, from its accents; ``(N,)``."""

    def __len__(self) -> int:
        return len(self.onset)

    @classmethod
    def from_performance(cls, written: Performance) -> Score:
        """Return the score of exactly timed notes, for instance those of a MIDI file.

        Quarter notes are counted with its tempos.
        """
        pitched = [index for index, part in enumerate(written.parts) if not part.is_drum]
        of_note = np.flatnonzero(np.isin(written.part, pitched))
        clock = QuarterClock(written.tempos)
        onset = np.round(clock.quarters(written.start[of_note]) * _GRID) / _GRID
        duration = clock.quarters(written.end[of_note]) - onset
        pitch = written.pitch[of_note].astype(np.int64)
        by_onset = np.argsort(onset, kind="stable")
        onset[by_onset] = _joined(onset[by_onset])
        order = np.lexsort((pitch, onset))
        return cls(
            onset=onset[order],
            duration=np.maximum(duration[order], TOGETHER),
            pitch=pitch[order],
            of_note=of_note[order],
            written=written,
            meters=_meters(written, clock),
        )

    def with_notation(self, meters: tuple[Meter, ...], louder: Float64Array) -> Score:
        """Return the score with other metres, and with accents for each note of ``written``."""
        return replace(self, meters=meters, louder=louder[self.of_note])

    @cached_property
    def chord(self) -> IntArray:
        """The number of each note's chord, from 0: notes with the same onset form a chord."""
        return np.cumsum(np.diff(self.onset, prepend=-1.0) > 0) - 1

    @cached_property
    def velocity(self) -> Float64Array:
        """The written velocity of each note: that of the MIDI file, or from the dynamics."""
        return self.written.velocity[self.of_note].astype(np.float64)

    @cached_property
    def bpm(self) -> Float64Array:
        """The written tempo at each note, in quarter notes per minute."""
        return self.clock.bpm(self.onset)

    @cached_property
    def firsts(self) -> IntArray:
        """The index of the first note of each chord; shape ``(C,)``."""
        return np.flatnonzero(np.diff(self.chord, prepend=-1))

    @cached_property
    def chord_onset(self) -> Float64Array:
        """The onset of each chord in quarter notes; shape ``(C,)``."""
        return self.onset[self.firsts]

    @cached_property
    def chord_seconds(self) -> Float64Array:
        """The onset of each chord in seconds, at the score's own tempos; shape ``(C,)``."""
        return self.clock.seconds(self.chord_onset)

    @cached_property
    def clock(self) -> QuarterClock:
        """The conversion of quarter notes to seconds at the score's own tempos."""
        return QuarterClock(self.written.tempos)


def _joined(onset: Float64Array) -> Float64Array:
    """Return sorted onsets, with those that closely follow another one moved to it."""
    begins = np.diff(onset, prepend=-1.0) > TOGETHER
    joined: Float64Array = onset[np.flatnonzero(begins)][np.cumsum(begins) - 1]
    return joined


def _meters(written: Performance, clock: QuarterClock) -> tuple[Meter, ...]:
    """Return the valid time signatures, with 4/4 at the start if none begins there."""
    signatures = [s for s in written.signatures if isinstance(s, TimeSignature)]
    onsets = clock.quarters(np.array([signature.seconds for signature in signatures]))
    meters = [
        Meter(float(onset), signature.numerator, signature.denominator)
        for onset, signature in zip(onsets, signatures, strict=True)
    ]
    meters = [meter for meter in meters if meter.bar <= LONGEST_BAR]
    return (*(() if meters and meters[0].onset <= 0 else (Meter(0.0),)), *meters)


class QuarterClock:
    """Converts between seconds and quarter notes, by tempos."""

    def __init__(self, tempos: tuple[Tempo, ...]) -> None:
        first = () if tempos and tempos[0].seconds == 0 else (Tempo(0.0, 120.0),)
        tempos = (*first, *tempos)
        self._seconds = np.array([tempo.seconds for tempo in tempos])
        self._rate = np.array([tempo.bpm / 60 for tempo in tempos])
        steps = np.diff(self._seconds) * self._rate[:-1]
        self._quarters = np.append(0.0, np.cumsum(steps))

    def quarters(self, seconds: Float64Array) -> Float64Array:
        """Return times in quarter notes from the start."""
        i = np.maximum(np.searchsorted(self._seconds, seconds, side="right") - 1, 0)
        quarters: Float64Array = self._quarters[i] + (seconds - self._seconds[i]) * self._rate[i]
        return quarters

    def bpm(self, quarters: Float64Array) -> Float64Array:
        """Return the tempo at times in quarter notes."""
        i = np.maximum(np.searchsorted(self._quarters, quarters, side="right") - 1, 0)
        rate: Float64Array = self._rate[i] * 60
        return rate

    def seconds(self, quarters: Float64Array) -> Float64Array:
        """Return times in seconds from the start."""
        i = np.maximum(np.searchsorted(self._quarters, quarters, side="right") - 1, 0)
        seconds: Float64Array = self._seconds[i] + (quarters - self._quarters[i]) / self._rate[i]
        return seconds
