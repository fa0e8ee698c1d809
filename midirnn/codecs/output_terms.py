"""The structured output: what each logit adds by its own situation.

The last layer gives, beside a base logit for each token, a few hundred weights for the moment. A
*term* is a run of these weights (``rows``) and a rule that says which of them each token of a group
adds: a note-off adds the weight of its note's age, a note-on that of its interval from the last
pitch, a time shift that of the inter-onset time it would make. The rule is fixed, the weights are
the network's, so a few numbers move many logits at once, and in the right places.

All rules work on :class:`Moments`, a struct of arrays over N moments of a stream: the windows of a
training have many, a step of an engine has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from midirnn.codecs.note_memory import NONE, NUM_VOTES, NoteMemory
from midirnn.codecs.recall import LENGTHS, NUM_VIEWPOINTS
from midirnn.performance import NUM_PITCHES

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]

LAST_NOTES = 4
"""So many of the last notes are looked at one by one."""

RECENT_INTERVALS = 32
RECENT_DURATIONS = 48
NEWEST_HELD = 6
FAR = 1 << 20
"""A time or a count beyond all buckets."""

_PITCHES = np.arange(NUM_PITCHES)


def _buckets(values: int, small: int, per_octave: float, last: int) -> IntArray:
    """Return the bucket of each of ``values`` numbers: one each below ``small``, then by octaves."""
    numbers = np.arange(values)
    octaves = np.log2(np.maximum(numbers, 1) / small)
    return np.minimum(
        np.where(numbers < small, numbers, np.floor(small + per_octave * octaves)), last
    ).astype(np.int64)


_TIME = _buckets(4096, 8, 4.0, 31)
_COUNT = _buckets(512, 16, 1.75, 23)
_SHIFTED = _buckets(4096, 80, 12.0, 127)
_APART = np.minimum(
    np.where(
        np.arange(2001) <= 10,
        np.arange(2001),
        np.floor(10.5 + 3.0 * np.log2(np.maximum(np.arange(2001), 1) / 10.0)),
    ),
    20,
).astype(np.int64)


def time_bucket(steps: npt.NDArray[np.int64]) -> IntArray:
    """Return the bucket, 0 to 31, of a time: exact below 8 steps, then four to the octave."""
    return _TIME[np.clip(steps, 0, len(_TIME) - 1)]


def count_bucket(count: npt.NDArray[np.int64]) -> IntArray:
    """Return the bucket, 0 to 23, of a count: exact below 16."""
    return _COUNT[np.clip(count, 0, len(_COUNT) - 1)]


def shifted_bucket(steps: npt.NDArray[np.int64]) -> IntArray:
    """Return the bucket, 0 to 127, of a time since an onset: exact below 80 steps."""
    return _SHIFTED[np.clip(steps, 0, len(_SHIFTED) - 1)]


def difference_bucket(steps: npt.NDArray[np.int64]) -> IntArray:
    """Return the bucket, 0 to 40, of a difference: exact to 10 steps either way; 20 is none."""
    apart = _APART[np.minimum(np.abs(steps), len(_APART) - 1)]
    return 20 + np.sign(steps) * apart


@dataclass(frozen=True)
class Moments:
    """What the terms look at, at N moments of a stream. Times are steps, :data:`FAR` is never."""

    memories: tuple[NoteMemory, ...]

    @cached_property
    def step(self) -> IntArray:
        """Return the time reached (N,)."""
        return np.array([memory.step for memory in self.memories], np.int64)

    @cached_property
    def count(self) -> IntArray:
        """Return how many notes have begun (N,)."""
        return np.array([memory.count for memory in self.memories], np.int64)

    @cached_property
    def pitch(self) -> IntArray:
        """Return the last notes' pitches (N, 4), the newest first; far off where there is none."""
        return _last(self.memories, "pitches", LAST_NOTES, -FAR)

    @cached_property
    def velocity(self) -> IntArray:
        """Return the last notes' velocity bins (N, 4), the newest first; 0 where unknown."""
        return _last(self.memories, "velocities", LAST_NOTES, 0)

    @cached_property
    def onset(self) -> IntArray:
        """Return the last notes' onsets (N, 33), the newest first; far off where there is none."""
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
        """Return for how long each pitch has sounded (N, 128); of no meaning for silent ones."""
        return self.step[:, None] - self._begun

    @cached_property
    def notes_since(self) -> IntArray:
        """Return how many notes have begun since each pitch's latest (N, 128)."""
        latest = np.stack([memory.latest for memory in self.memories]).astype(np.int64)
        since = self.count[:, None] - 1 - latest
        return np.where((latest >= 0) & (since < 256), since, FAR)

    @cached_property
    def silent_for(self) -> IntArray:
        """Return the time since each pitch's note ended (N, 128); FAR while it sounds."""
        released = np.stack([memory.released for memory in self.memories]).astype(np.int64)
        known = (released >= 0) & (self.notes_since < FAR)
        return np.where(known, self.step[:, None] - released, FAR)

    @cached_property
    def overdue(self) -> IntArray:
        """Return by how much each note has outlasted the one that it repeats (N, 128).

        That is the note which stands where it stands in the best match. FAR where there is none.
        """
        return np.stack([_overdue(memory) for memory in self.memories])

    @cached_property
    def order(self) -> IntArray:
        """Return how many held notes are newer (N, 128), of the notes that sound."""
        since = np.where(self.held, self.notes_since_held, FAR)
        ranks = np.argsort(np.argsort(since, axis=1, kind="stable"), axis=1, kind="stable")
        return np.asarray(ranks)

    @cached_property
    def notes_since_held(self) -> IntArray:
        """Return how many notes have begun since each held note (N, 128), however many."""
        latest = np.stack([memory.latest for memory in self.memories]).astype(np.int64)
        return self.count[:, None] - 1 - latest

    @cached_property
    def newest_held(self) -> IntArray:
        """Return the newest held notes' pitches (N, 6), the newest first; NONE behind the last."""
        newest = np.argsort(np.where(self.held, self.order, FAR), axis=1, kind="stable")
        newest = newest[:, :NEWEST_HELD]
        return np.where(np.take_along_axis(self.held, newest, axis=1), newest, NONE)

    @cached_property
    def match_velocity(self) -> IntArray:
        """Return the velocity bin of the note that the best match foretells (N,); 0 for none."""
        return np.array([m.velocity_of(m.recollection.best.place) for m in self.memories], np.int64)

    @cached_property
    def match_interval(self) -> IntArray:
        """Return the time from the note before it to the note foretold (N,); FAR for none."""
        return np.array([_match_interval(memory) for memory in self.memories], np.int64)

    @cached_property
    def _begun(self) -> IntArray:
        return np.stack([memory.onset for memory in self.memories]).astype(np.int64)


def _last(memories: Sequence[NoteMemory], name: str, count: int, missing: int) -> IntArray:
    """Return the last ``count`` values of a field (N, count), the newest first."""
    rows = np.full((len(memories), count), missing, np.int64)
    for row, memory in zip(rows, memories, strict=True):
        values = getattr(memory, name)[-count:][::-1]
        row[: len(values)] = np.frombuffer(values, np.uint8) if isinstance(values, bytes) else values
    return rows


def _overdue(memory: NoteMemory) -> IntArray:
    over = np.full(NUM_PITCHES, FAR, np.int64)
    best = memory.recollection.best
    if not best.length:
        return over
    pitch = np.flatnonzero(memory.onset >= 0)
    since = memory.count - 1 - memory.latest[pitch]
    at = best.place - 1 - since - memory.first
    fits = (since < best.length) & (at >= 0)
    pitch, at = pitch[fits], at[fits]
    duration = memory.durations[at]
    ended = (duration >= 0) & (memory.onsets[at] + duration < memory.step)
    pitch, duration = pitch[ended], duration[ended]
    over[pitch] = memory.step - memory.onset[pitch] - duration
    return over


def _match_interval(memory: NoteMemory) -> int:
    at = memory.recollection.best.place - memory.first
    if not memory.recollection.best.length or at < 1:
        return FAR
    return int(memory.onsets[at] - memory.onsets[at - 1])


Rule = Callable[[Moments], npt.NDArray[np.integer]]


@dataclass(frozen=True)
class Term:
    """A run of weights, and which of them each token of a group adds."""

    name: str
    group: str
    """The codec's group of tokens that it moves (:meth:`Codec.groups`)."""
    rows: int
    """How many weights."""
    rule: Rule
    """The weights' numbers, (N, tokens) or (N, k, tokens); below 0 where none is added."""


def _interval(back: int, reach: int) -> Rule:
    def rule(moments: Moments) -> IntArray:
        interval = _PITCHES - moments.pitch[:, back, None]
        return np.where(np.abs(interval) <= reach, interval + reach, NONE)

    return rule


def _recalled(moments: Moments) -> IntArray:
    rows = np.full((len(moments.memories), NUM_VIEWPOINTS, NUM_PITCHES), NONE, np.int64)
    for row, memory in zip(rows, moments.memories, strict=True):
        for viewpoint, match in enumerate(memory.recollection.matches):
            if match.length:
                row[viewpoint, match.pitch] = viewpoint * LENGTHS + match.length
    return rows


def _votes(moments: Moments) -> IntArray:
    votes = np.stack([memory.recollection.votes for memory in moments.memories]).astype(np.int64)
    first = np.arange(NUM_VOTES)[:, None] * LENGTHS
    return np.where(votes > 0, first + votes, NONE)


def _class_recency(moments: Moments) -> IntArray:
    since = moments.notes_since
    octaves = np.full((len(since), 11 * 12), FAR, np.int64)
    octaves[:, :NUM_PITCHES] = since
    latest = octaves.reshape(-1, 11, 12).min(axis=1)
    return count_bucket(latest[:, _PITCHES % 12])


def _of_held(values: Callable[[Moments], IntArray]) -> Rule:
    return lambda moments: np.where(moments.held, values(moments), NONE)


def _held_below(moments: Moments) -> IntArray:
    return np.minimum(np.cumsum(moments.held, axis=1) - moments.held, 7)


def _held_above(moments: Moments) -> IntArray:
    held = moments.held
    return np.minimum(held.sum(axis=1, keepdims=True) - np.cumsum(held, axis=1), 7)


def _overdue_note(moments: Moments) -> IntArray:
    over = moments.overdue
    return np.where(over < FAR, difference_bucket(over), NONE)


def _shifts(most: int) -> IntArray:
    return np.arange(1, most + 1)


_NEAR = 40


def _new_interval(most: int) -> Rule:
    return lambda moments: shifted_bucket(moments.since_onset[:, None] + _shifts(most))


def _against(interval: Callable[[Moments], IntArray], most: int) -> Rule:
    """Compare the inter-onset time that a shift would make with another one (N,)."""

    def rule(moments: Moments) -> IntArray:
        apart = moments.since_onset[:, None] + _shifts(most) - interval(moments)[:, None]
        return np.where(np.abs(apart) <= _NEAR, apart + _NEAR, NONE)

    return rule


def _gap(back: int) -> Callable[[Moments], IntArray]:
    return lambda moments: np.where(
        moments.count > back, moments.onset[:, 0] - moments.onset[:, back], FAR
    )


def _overdue_then(most: int) -> Rule:
    def rule(moments: Moments) -> IntArray:
        over = np.where(moments.held, moments.overdue, FAR)
        order = np.where(over < FAR, moments.order, FAR)
        newest = np.argsort(order, axis=1, kind="stable")[:, :4]
        over = np.take_along_axis(over, newest, axis=1)[:, :, None]
        bucket = difference_bucket(np.where(over < FAR, over, 0) + _shifts(most))
        return np.where(over < FAR, bucket, NONE)

    return rule


def _velocity_change(velocity: Callable[[Moments], IntArray], bins: int) -> Rule:
    def rule(moments: Moments) -> IntArray:
        before = velocity(moments)[:, None]
        return np.where(before > 0, np.arange(1, bins + 1) - before + bins - 1, NONE)

    return rule


def terms(max_shift_steps: int, velocity_bins: int) -> tuple[Term, ...]:
    """Return all terms for a performance codec's tokens."""
    most, bins = max_shift_steps, velocity_bins
    near = 2 * _NEAR + 1

    def velocity(back: int) -> Callable[[Moments], IntArray]:
        return lambda moments: moments.velocity[:, back]

    return (
        Term("recalled", "note_on", NUM_VIEWPOINTS * LENGTHS, _recalled),
        Term("interval_1", "note_on", 255, _interval(0, 127)),
        Term("interval_2", "note_on", 97, _interval(1, 48)),
        Term("interval_3", "note_on", 97, _interval(2, 48)),
        Term("interval_4", "note_on", 97, _interval(3, 48)),
        Term("votes", "note_on", NUM_VOTES * LENGTHS, _votes),
        Term("recency", "note_on", 24, lambda m: count_bucket(m.notes_since)),
        Term("class_recency", "note_on", 24, _class_recency),
        Term("silence", "note_on", 32, lambda m: time_bucket(m.silent_for)),
        Term("age", "note_off", 32, _of_held(lambda m: time_bucket(m.age))),
        Term("order", "note_off", 16, _of_held(lambda m: np.minimum(m.order, 15))),
        Term("below", "note_off", 8, _of_held(_held_below)),
        Term("above", "note_off", 8, _of_held(_held_above)),
        Term("overdue", "note_off", 41, _of_held(_overdue_note)),
        Term("interonset", "time_shift", 128, _new_interval(most)),
        Term("interonset_match", "time_shift", near, _against(lambda m: m.match_interval, most)),
        Term("interonset_1", "time_shift", near, _against(_gap(1), most)),
        Term("interonset_2", "time_shift", near, _against(_gap(2), most)),
        Term("overdue_then", "time_shift", 41, _overdue_then(most)),
        Term("velocity_1", "velocity", 2 * bins - 1, _velocity_change(velocity(0), bins)),
        Term("velocity_2", "velocity", 2 * bins - 1, _velocity_change(velocity(1), bins)),
        Term("velocity_3", "velocity", 2 * bins - 1, _velocity_change(velocity(2), bins)),
        Term("velocity_4", "velocity", 2 * bins - 1, _velocity_change(velocity(3), bins)),
        Term(
            "velocity_match",
            "velocity",
            2 * bins - 1,
            _velocity_change(lambda m: m.match_velocity, bins),
        ),
    )


WIDTHS = (0, 2, 7)
"""Half the widths of the boxes that the densities are means over, in steps."""

LONGEST_DENSITY = 288
"""Longer times than this count for no density."""


def densities(moments: Moments, most: int) -> FloatArray:
    """Return how usual what each time shift leads to was of late (N, 6, shifts); logarithms.

    Three are of the inter-onset time that it would make, among the last 32; three of the durations
    of the newest notes held, were they to end then, among those of the last 48 that have ended.
    """
    rows = [_densities_of(memory, moments, index, most) for index, memory in enumerate(moments.memories)]
    return np.stack(rows)


def _densities_of(memory: NoteMemory, moments: Moments, index: int, most: int) -> FloatArray:
    if not memory.count:
        return np.zeros((2 * len(WIDTHS), most), np.float32)
    onsets = memory.onsets[-(RECENT_INTERVALS + 1) :][::-1]
    durations = memory.durations[-RECENT_DURATIONS:][::-1]
    ended = (durations >= 0) & (memory.onsets[-RECENT_DURATIONS:][::-1] + durations < memory.step)
    intervals = _cumulated(-np.diff(onsets), 0.93 ** np.arange(len(onsets) - 1))
    lasted = _cumulated(durations[ended], (0.96 ** np.arange(len(durations)))[ended])
    shifts = _shifts(most)
    at = np.arange(most + 1)[1:] + int(moments.since_onset[index])
    pitches = moments.newest_held[index]
    ages = moments.age[index][pitches[pitches >= 0]]
    rows = np.empty((2 * len(WIDTHS), most), np.float32)
    for number, width in enumerate(WIDTHS):
        rows[number] = _box(intervals, at, width)
        rows[len(WIDTHS) + number] = _box(lasted, ages[:, None] + shifts, width).sum(axis=0)
    return np.log(np.float32(0.01) + rows) + np.float32(2.5)


def _cumulated(values: npt.NDArray[np.int32], weights: npt.NDArray[np.float64]) -> FloatArray:
    """Return the sums of a weighted histogram (289,): index x holds all that is below x."""
    counted = (values >= 0) & (values < LONGEST_DENSITY - 8)
    histogram = np.bincount(values[counted], weights[counted], minlength=LONGEST_DENSITY)
    return np.concatenate([[0.0], np.cumsum(histogram)]).astype(np.float32)


def _box(cumulated: FloatArray, at: IntArray, width: int) -> FloatArray:
    """Return the mean of the histogram from ``width`` below to ``width`` above each place."""
    inside = at + width < LONGEST_DENSITY
    high = cumulated[np.where(inside, at + width + 1, 0)]
    low = cumulated[np.where(inside, np.maximum(at - width, 0), 0)]
    return (high - low) / np.float32(2 * width + 1)
