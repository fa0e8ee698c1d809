"""What the rules of the terms look at, for many moments of a token stream at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from midirnn.arrays import IntArray
from midirnn.performance import NUM_PITCHES
from midirnn.terms.buckets import FAR
from midirnn.terms.memory import NONE, NoteMemory

LAST_NOTES = 4
"""How many of the last notes are looked at individually."""

RECENT_NOTES = 256
"""A pitch that is not among this many last notes counts as never played."""

RECENT_INTERVALS = 32
"""How many of the last inter-onset times make a density."""

NEWEST_HELD = 6
"""How many of the newest held notes add to the density of durations."""


@dataclass(frozen=True)
class Moments:
    """What the terms look at, at N moments. Times are in steps; :data:`FAR` means never."""

    memories: tuple[NoteMemory, ...]

    @cached_property
    def step(self) -> IntArray:
        """Return the current time (N,)."""
        return np.array([memory.step for memory in self.memories], np.int64)

    @cached_property
    def count(self) -> IntArray:
        """Return how many notes have begun (N,)."""
        return np.array([memory.begun for memory in self.memories], np.int64)

    @cached_property
    def pitch(self) -> IntArray:
        """Return the last notes' pitches (N, 4), the newest first; -FAR where there is none."""
        return _last(self.memories, "pitches", LAST_NOTES, -FAR)

    @cached_property
    def velocity(self) -> IntArray:
        """Return the last notes' velocity bins (N, 4), the newest first; 0 where unknown."""
        return _last(self.memories, "velocities", LAST_NOTES, 0)

    @cached_property
    def onset(self) -> IntArray:
        """Return the last notes' onsets (N, 33), the newest first; -FAR where there is none."""
        return _last(self.memories, "onsets", RECENT_INTERVALS + 1, -FAR)

    @cached_property
    def since_onset(self) -> IntArray:
        """Return the time since the last onset (N,); 0 before the first."""
        return np.where(self.count > 0, self.step - self.onset[:, 0], 0)

    @cached_property
    def held(self) -> npt.NDArray[np.bool_]:
        """Return which pitches sound (N, 128)."""
        return self._begun >= 0

    @cached_property
    def age(self) -> IntArray:
        """Return how long each pitch has sounded (N, 128); meaningless for silent ones."""
        return self.step[:, None] - self._begun

    @cached_property
    def notes_since(self) -> IntArray:
        """Return how many notes have begun since each pitch's latest (N, 128)."""
        latest = np.stack([memory.latest for memory in self.memories]).astype(np.int64)
        since = self.count[:, None] - 1 - latest
        return np.where((latest >= 0) & (since < RECENT_NOTES), since, FAR)

    @cached_property
    def silent_for(self) -> IntArray:
        """Return the time since each pitch's note ended (N, 128); FAR while it sounds."""
        released = np.stack([memory.released for memory in self.memories]).astype(np.int64)
        known = (released >= 0) & (self.notes_since < FAR)
        return np.where(known, self.step[:, None] - released, FAR)

    @cached_property
    def overdue(self) -> IntArray:
        """Return how much longer each note has sounded than the one that it repeats (N, 128).

        That is the note at the same position in the best match. FAR where there is none.
        """
        return np.stack([overdue_of(memory) for memory in self.memories])

    @cached_property
    def order(self) -> IntArray:
        """Return how many held notes are newer than each held note (N, 128)."""
        since = np.where(self.held, self.notes_since_held, FAR)
        ranks = np.argsort(np.argsort(since, axis=1, kind="stable"), axis=1, kind="stable")
        return np.asarray(ranks)

    @cached_property
    def notes_since_held(self) -> IntArray:
        """Return how many notes have begun since each held note (N, 128), without a limit."""
        latest = np.stack([memory.latest for memory in self.memories]).astype(np.int64)
        return self.count[:, None] - 1 - latest

    @cached_property
    def newest_held(self) -> IntArray:
        """Return the newest held notes' pitches (N, 6), the newest first; NONE after the last."""
        newest = np.argsort(np.where(self.held, self.order, FAR), axis=1, kind="stable")
        newest = newest[:, :NEWEST_HELD]
        return np.where(np.take_along_axis(self.held, newest, axis=1), newest, NONE)

    @cached_property
    def match_velocity(self) -> IntArray:
        """Return the velocity bin of the note that the best match predicts (N,); 0 for none."""
        return np.array([m.velocity_of(m.recollection.best.place) for m in self.memories], np.int64)

    @cached_property
    def match_interval(self) -> IntArray:
        """Return the inter-onset time before the predicted note (N,); FAR for none."""
        return np.array([match_interval_of(memory) for memory in self.memories], np.int64)

    @cached_property
    def _begun(self) -> IntArray:
        return np.stack([memory.onset for memory in self.memories]).astype(np.int64)


def _last(memories: Sequence[NoteMemory], name: str, count: int, missing: int) -> IntArray:
    """Return the last ``count`` values of a field (N, count), the newest first."""
    rows = np.full((len(memories), count), missing, np.int64)
    for row, memory in zip(rows, memories, strict=True):
        values = getattr(memory, name)[-count:][::-1]
        row[: len(values)] = (
            np.frombuffer(values, np.uint8) if isinstance(values, bytes) else values
        )
    return rows


def overdue_of(memory: NoteMemory) -> IntArray:
    """Return how much longer each note has sounded than the one it repeats (128,); FAR: none."""
    over = np.full(NUM_PITCHES, FAR, np.int64)
    best = memory.recollection.best
    if not best.length:
        return over
    pitch = np.flatnonzero(memory.onset >= 0)
    since = memory.begun - 1 - memory.latest[pitch]
    at = best.place - 1 - since - memory.first
    fits = (since < best.length) & (at >= 0)
    pitch, at = pitch[fits], at[fits]
    duration = memory.durations[at]
    ended = (duration >= 0) & (memory.onsets[at] + duration < memory.step)
    pitch, duration = pitch[ended], duration[ended]
    over[pitch] = memory.step - memory.onset[pitch] - duration
    return over


def match_interval_of(memory: NoteMemory) -> int:
    """Return the inter-onset time before the note that the best match predicts; FAR for none."""
    at = memory.recollection.best.place - memory.first
    if not memory.recollection.best.length or at < 1:
        return FAR
    return int(memory.onsets[at] - memory.onsets[at - 1])
