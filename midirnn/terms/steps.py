"""The rules of the terms for a single moment: mostly a slice of weights on a slice of logits."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import numpy.typing as npt

from midirnn.codecs.recall import LENGTHS
from midirnn.performance import NUM_PITCHES
from midirnn.terms.buckets import (
    FAR,
    IntArray,
    count_bucket,
    difference_bucket,
    shifted_bucket,
    time_bucket,
)
from midirnn.terms.memory import NoteMemory
from midirnn.terms.moments import RECENT_NOTES, match_interval_of, overdue_of
from midirnn.terms.rules import NEAR

FloatArray = npt.NDArray[np.float32]

_PITCHES = np.arange(NUM_PITCHES)


class Now:
    """A single moment, as a step of an engine sees it."""

    def __init__(self, memory: NoteMemory) -> None:
        self.memory = memory
        self.since_onset = memory.step - int(memory.onsets[-1]) if memory.begun else 0
        held = np.flatnonzero(memory.onset >= 0)
        self.held = held[np.argsort(-memory.latest[held])]
        """The pitches that sound, the newest note's first."""
        self.ages = memory.step - memory.onset[self.held]
        self.overdue = overdue_of(memory)[self.held]

    @cached_property
    def since(self) -> IntArray:
        """Return how many notes have begun since each pitch's latest (128,)."""
        return _recent(self.memory.begun - 1 - self.memory.latest, self.memory.latest)

    @property
    def match_interval(self) -> int:
        """Return the time from the note before it to the note that the best match foretells."""
        return match_interval_of(self.memory)

    def gap(self, back: int) -> int:
        """Return the time between the last note's onset and that of an earlier one."""
        onsets = self.memory.onsets
        return int(onsets[-1] - onsets[-1 - back]) if len(onsets) > back else FAR


def _recent(since: npt.NDArray[np.int32], latest: npt.NDArray[np.int32]) -> IntArray:
    return np.where((latest >= 0) & (since < RECENT_NOTES), since, FAR)


Step = Callable[[FloatArray, FloatArray, Now], None]
"""Adds a term's weights (rows,) to the logits of its group, in place."""


def interval_step(back: int, reach: int) -> Step:
    """Lay the weights of all intervals from one of the last pitches over the note-ons."""

    def step(logits: FloatArray, weights: FloatArray, now: Now) -> None:
        pitches = now.memory.pitches
        if len(pitches) > back:
            pitch = pitches[-1 - back]
            low, high = max(0, pitch - reach), min(NUM_PITCHES, pitch + reach + 1)
            logits[low:high] += weights[low - pitch + reach : high - pitch + reach]

    return step


def votes_step(logits: FloatArray, weights: FloatArray, now: Now) -> None:
    """Add to each pitch the weight of the longest context that votes for it."""
    for view, votes in enumerate(now.memory.recollection.votes):
        logits[votes.pitches] += weights[view * LENGTHS + votes.lengths]


def recency_step(logits: FloatArray, weights: FloatArray, now: Now) -> None:
    """Add to each note-on the weight of how long ago its pitch was played."""
    logits += weights[count_bucket(now.since)]


def class_recency_step(logits: FloatArray, weights: FloatArray, now: Now) -> None:
    """Add to each note-on the weight of how long ago its pitch class was played."""
    latest = now.memory.class_latest
    since = _recent(now.memory.begun - 1 - latest, latest)
    logits += weights[count_bucket(since)][_PITCHES % 12]


def silence_step(logits: FloatArray, weights: FloatArray, now: Now) -> None:
    """Add to each note-on the weight of how long its pitch has been silent."""
    known = (now.memory.released >= 0) & (now.since < FAR)
    silent = np.where(known, now.memory.step - now.memory.released, FAR)
    logits += weights[time_bucket(silent)]


def held_step(rows: Callable[[Now], npt.NDArray[np.integer]]) -> Step:
    """Add to the note-offs of the held notes the weights of ``rows``, the newest first."""

    def step(logits: FloatArray, weights: FloatArray, now: Now) -> None:
        logits[now.held] += weights[rows(now)]

    return step


def below(now: Now) -> IntArray:
    """Return how many held notes are lower than each, 7 at most."""
    return np.minimum(np.argsort(np.argsort(now.held)), 7)


def above(now: Now) -> IntArray:
    """Return how many held notes are higher than each, 7 at most."""
    return np.minimum(len(now.held) - 1 - np.argsort(np.argsort(now.held)), 7)


def overdue_step(logits: FloatArray, weights: FloatArray, now: Now) -> None:
    """Add to note-offs the weight of how long their notes outlast those they repeat."""
    known = now.overdue < FAR
    logits[now.held[known]] += weights[difference_bucket(now.overdue[known])]


_LONGEST_REST = 4096
_SHIFTED_RUN = shifted_bucket(np.arange(_LONGEST_REST))


def new_interval_step(logits: FloatArray, weights: FloatArray, now: Now) -> None:
    """Lay the weights of inter-onset times over the time shifts that make them."""
    first = min(now.since_onset, _LONGEST_REST - len(logits) - 1) + 1
    logits += weights[_SHIFTED_RUN[first : first + len(logits)]]


def against_step(interval: Callable[[Now], int]) -> Step:
    """Lay the weights around another inter-onset time over the time shifts."""

    def step(logits: FloatArray, weights: FloatArray, now: Now) -> None:
        first = now.since_onset + 1 - interval(now) + NEAR  # the row of the shortest shift
        low, high = max(0, -first), min(len(logits), 2 * NEAR + 1 - first)
        if low < high:
            logits[low:high] += weights[first + low : first + high]

    return step


_DIFFERENCE_RUN = difference_bucket(np.arange(-_LONGEST_REST, _LONGEST_REST))


def overdue_then_step(logits: FloatArray, weights: FloatArray, now: Now) -> None:
    """Lay the weights of overdue notes over the time shifts that make them so."""
    for over in now.overdue[now.overdue < FAR][:4].tolist():
        first = min(max(over, -_LONGEST_REST), _LONGEST_REST - len(logits) - 1) + 1 + _LONGEST_REST
        logits += weights[_DIFFERENCE_RUN[first : first + len(logits)]]


def velocity_step(velocity: Callable[[NoteMemory], int]) -> Step:
    """Lay the weights around another velocity over the velocities."""

    def step(logits: FloatArray, weights: FloatArray, now: Now) -> None:
        before = velocity(now.memory)
        if before:
            logits += weights[len(logits) - before : 2 * len(logits) - before]

    return step


def velocity_back(back: int) -> Callable[[NoteMemory], int]:
    """Return the velocity of one of the last notes, as a function of a memory."""
    return lambda memory: memory.velocities[-1 - back] if len(memory.velocities) > back else 0
