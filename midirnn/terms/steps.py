"""How the step of an engine finds the rows of the terms: each only when it changes.

Most rows change only when a note begins, some when one begins or ends, and the rest are runs of a
longer row, along which they move with time. So a step gathers a few hundred weights and adds them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from midirnn.arrays import IntArray
from midirnn.codecs.recall import LENGTHS
from midirnn.performance import NUM_PITCHES
from midirnn.terms.buckets import FAR, count_bucket, difference_bucket, shifted_bucket, time_bucket
from midirnn.terms.memory import NONE, NUM_VOTES, NoteMemory
from midirnn.terms.moments import RECENT_NOTES, match_interval_of
from midirnn.terms.rules import NEAR

_PITCHES = np.arange(NUM_PITCHES)


class Repeat(NamedTuple):
    """A held note that repeats another one: the note at the same position in the best match."""

    place: int
    """Its index among the held notes."""
    due: int
    """When it would end if it lasted as long as the other one."""
    ended: int
    """When the other one ended: known only after this step."""


class Held(NamedTuple):
    """The notes that sound, the newest first. Changes when a note begins or ends."""

    pitches: IntArray
    onsets: IntArray
    """When each began (H,)."""
    lower: IntArray
    """How many held notes are lower than each (H,)."""
    repeats: tuple[Repeat, ...]

    @classmethod
    def of(cls, memory: NoteMemory) -> Held:
        """Return the notes that sound."""
        (rising,) = (memory.onset >= 0).nonzero()
        latest = memory.latest[rising]
        newest_first = (-latest).argsort()
        pitches = rising[newest_first]
        onsets = memory.onset[pitches].astype(np.int64)
        return cls(pitches, onsets, newest_first, _repeats(memory, latest[newest_first], onsets))


def _repeats(
    memory: NoteMemory, numbers: npt.NDArray[np.int32], onsets: IntArray
) -> tuple[Repeat, ...]:
    """Return which of the held notes repeat one that has ended, or ends now."""
    best, found = memory.recollection.best, []
    if not best.length:
        return ()
    for place, number in enumerate(numbers.tolist()):
        since = memory.begun - 1 - number
        at = best.place - 1 - since - memory.first
        if since >= best.length or at < 0:
            break
        duration = int(memory.durations[at])
        if duration >= 0:
            ended = int(memory.onsets[at]) + duration
            found.append(Repeat(place, int(onsets[place]) + duration, ended))
    return tuple(found)


class Now:
    """A single moment, as a step of an engine sees it. Times are steps."""

    def __init__(self, memory: NoteMemory, held: Held, released: IntArray) -> None:
        self.memory = memory
        self.held = held
        self.released = released
        """When each pitch's note ended; see :func:`released`."""
        self.step = memory.step
        self.since_onset = self.step - int(memory.onsets[-1]) if memory.begun else 0
        self.ages = self.step - held.onsets
        self.overdue = [
            (repeat.place, self.step - repeat.due)
            for repeat in held.repeats
            if repeat.ended < self.step
        ]
        """The places of held notes, and how much longer each sounds than the one it repeats."""

    @property
    def match_interval(self) -> int:
        """The inter-onset time before the note that the best match predicts."""
        return match_interval_of(self.memory)

    def gap(self, back: int) -> int:
        """Return the time between the last note's onset and that of an earlier one."""
        onsets = self.memory.onsets
        return int(onsets[-1] - onsets[-1 - back]) if len(onsets) > back else FAR


@dataclass(frozen=True)
class WithNotes:
    """Rows (layers, tokens) that stay until another note begins."""

    rows: Callable[[NoteMemory], IntArray]


@dataclass(frozen=True)
class WithHeld:
    """Rows (H,) of the held notes, the newest first, that stay until a note begins or ends."""

    rows: Callable[[Held], IntArray]


@dataclass(frozen=True)
class OfHeld:
    """Rows (H,) of the held notes, the newest first, at a moment."""

    rows: Callable[[Now], IntArray]


@dataclass(frozen=True)
class OfSilence:
    """Rows (128,) of the pitches by how long they have been silent."""

    rows: Callable[[Now], IntArray]


@dataclass(frozen=True)
class Runs:
    """Rows for the time shifts: the ``buckets`` of consecutive numbers from ``values`` + 1 on."""

    buckets: Callable[[IntArray], IntArray]
    """Constant below ``low`` and above ``high``."""
    low: int
    high: int
    values: Callable[[Now], Sequence[int]]
    """The current values, one for each layer; :data:`FAR` for none."""


Step = WithNotes | WithHeld | OfHeld | OfSilence | Runs


def interval_step(back: int, reach: int) -> WithNotes:
    """Give each note-on the weight of its interval from one of the last pitches."""
    apart = np.arange(1 - NUM_PITCHES, NUM_PITCHES)
    rows = np.where(np.abs(apart) <= reach, apart + reach, NONE)
    nothing = np.full(NUM_PITCHES, NONE)

    def found(memory: NoteMemory) -> IntArray:
        if len(memory.pitches) <= back:
            return nothing
        first = NUM_PITCHES - 1 - memory.pitches[-1 - back]
        return rows[first : first + NUM_PITCHES]

    return WithNotes(found)


def votes(memory: NoteMemory) -> IntArray:
    """Give each pitch that has votes the weight of the longest context that votes for it."""
    rows = np.full((NUM_VOTES, NUM_PITCHES), NONE, np.int64)
    for view, found in enumerate(memory.recollection.votes):
        rows[view, found.pitches] = found.lengths + view * LENGTHS
    return rows


def recency(memory: NoteMemory) -> IntArray:
    """Give each note-on the weight of how long ago its pitch was played."""
    return count_bucket(notes_since(memory, memory.latest))


def class_recency(memory: NoteMemory) -> IntArray:
    """Give each note-on the weight of how long ago its pitch class was played."""
    return count_bucket(notes_since(memory, memory.class_latest))[_PITCHES % 12]


def notes_since(memory: NoteMemory, latest: npt.NDArray[np.int32]) -> IntArray:
    """Return how many notes have begun since each one of ``latest``; :data:`FAR` for none."""
    since = memory.begun - 1 - latest
    return np.where((latest >= 0) & (since < RECENT_NOTES), since, FAR)


def released(memory: NoteMemory) -> IntArray:
    """Return when each pitch's note ended (128,); -:data:`FAR` where it sounds, or is forgotten."""
    since = memory.begun - 1 - memory.latest
    known = (memory.released >= 0) & (since < RECENT_NOTES)
    return np.where(known, memory.released, -FAR)


def silence(now: Now) -> IntArray:
    """Return the bucket of how long each pitch has been silent."""
    return time_bucket(now.step - now.released)


def order(held: Held) -> IntArray:
    """Return how many held notes are newer than each, 15 at most."""
    return _TO_15[: len(held.pitches)]


def below(held: Held) -> IntArray:
    """Return how many held notes are lower than each, 7 at most."""
    return np.minimum(held.lower, 7)


def above(held: Held) -> IntArray:
    """Return how many held notes are higher than each, 7 at most."""
    return np.minimum(len(held.lower) - 1 - held.lower, 7)


_TO_15 = np.minimum(_PITCHES, 15)


def age(now: Now) -> IntArray:
    """Return the bucket of each held note's age."""
    return time_bucket(now.ages)


def overdue(now: Now) -> IntArray:
    """Give a note-off the weight of how much longer its note sounds than the one it repeats."""
    rows = np.full(len(now.held.pitches), NONE)
    for place, over in now.overdue:
        rows[place] = difference_bucket(np.asarray(over))
    return rows


def new_interval_step() -> Runs:
    """Give each time shift the weight of the inter-onset time that it would make."""
    return Runs(shifted_bucket, 0, 2048, lambda now: (now.since_onset,))


def against_step(interval: Callable[[Now], int]) -> Runs:
    """Give each time shift the weight of its distance from another inter-onset time."""

    def buckets(apart: IntArray) -> IntArray:
        return np.where(np.abs(apart) <= NEAR, apart + NEAR, NONE)

    return Runs(buckets, -NEAR, NEAR, lambda now: (now.since_onset - interval(now),))


def overdue_then_step(layers: int) -> Runs:
    """Give each time shift the weights of how overdue the newest held notes would be."""

    def values(now: Now) -> list[int]:
        known = [over for _, over in now.overdue[:layers]]
        return known + [FAR] * (layers - len(known))

    return Runs(difference_bucket, -128, 128, values)


def velocity_step(velocity: Callable[[NoteMemory], int], bins: int) -> WithNotes:
    """Give each velocity the weight of its distance from another one."""
    rows, nothing = np.arange(2 * bins), np.full(bins, NONE)

    def found(memory: NoteMemory) -> IntArray:
        before = velocity(memory)
        return rows[bins - before : 2 * bins - before] if before else nothing

    return WithNotes(found)


def velocity_back(back: int) -> Callable[[NoteMemory], int]:
    """Return the velocity of one of the last notes, as a function of a memory."""
    return lambda memory: memory.velocities[-1 - back] if len(memory.velocities) > back else 0
