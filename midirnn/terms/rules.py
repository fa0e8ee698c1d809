"""The rules of the terms for many moments: which weight each token of a group adds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from midirnn.arrays import IntArray
from midirnn.codecs.recall import LENGTHS
from midirnn.performance import NUM_PITCHES
from midirnn.terms.buckets import FAR, count_bucket, difference_bucket, shifted_bucket
from midirnn.terms.memory import NONE, NUM_VOTES
from midirnn.terms.moments import Moments

Rule = Callable[[Moments], npt.NDArray[np.integer]]
"""Returns indices of weights, (N, tokens) or (N, k, tokens); negative where none is added."""

NEAR = 40
"""Two times are compared if they are at most this many steps apart."""

_PITCHES = np.arange(NUM_PITCHES)


def interval(back: int, reach: int) -> Rule:
    """Give a note-on the weight of its interval from one of the last pitches."""

    def rule(moments: Moments) -> IntArray:
        interval = _PITCHES - moments.pitch[:, back, None]
        return np.where(np.abs(interval) <= reach, interval + reach, NONE)

    return rule


def votes(moments: Moments) -> IntArray:
    """Give a pitch that has votes the weight of the longest context that votes for it."""
    rows = np.full((len(moments.memories), NUM_VOTES, NUM_PITCHES), NONE, np.int64)
    for row, memory in zip(rows, moments.memories, strict=True):
        for view, votes in enumerate(memory.recollection.votes):
            row[view, votes.pitches] = view * LENGTHS + votes.lengths
    return rows


def class_recency(moments: Moments) -> IntArray:
    """Give a note-on the weight of how long ago its pitch class was last played."""
    since = moments.notes_since
    octaves = np.full((len(since), 11 * 12), FAR, np.int64)
    octaves[:, :NUM_PITCHES] = since
    latest = octaves.reshape(-1, 11, 12).min(axis=1)
    return count_bucket(latest[:, _PITCHES % 12])


def of_held(values: Callable[[Moments], IntArray]) -> Rule:
    """Restrict a rule for note-offs to the notes that sound."""
    return lambda moments: np.where(moments.held, values(moments), NONE)


def held_below(moments: Moments) -> IntArray:
    """Return how many held notes are lower, 7 at most."""
    below: IntArray = np.minimum(np.cumsum(moments.held, axis=1) - moments.held, 7)
    return below


def held_above(moments: Moments) -> IntArray:
    """Return how many held notes are higher, 7 at most."""
    held = moments.held
    above: IntArray = held.sum(axis=1, keepdims=True) - np.cumsum(held, axis=1)
    return np.minimum(above, 7)


def overdue_note(moments: Moments) -> IntArray:
    """Give a note-off the weight of how much longer its note sounds than the one it repeats."""
    over = moments.overdue
    return np.where(over < FAR, difference_bucket(over), NONE)


def shifts(most: int) -> IntArray:
    """Return the lengths of all time shifts, in steps."""
    return np.arange(1, most + 1)


def new_interval(most: int) -> Rule:
    """Give a time shift the weight of the inter-onset time that it would make."""
    return lambda moments: shifted_bucket(moments.since_onset[:, None] + shifts(most))


def against(interval: Callable[[Moments], IntArray], most: int) -> Rule:
    """Compare the inter-onset time that a shift would make with another one (N,)."""

    def rule(moments: Moments) -> IntArray:
        apart = moments.since_onset[:, None] + shifts(most) - interval(moments)[:, None]
        return np.where(np.abs(apart) <= NEAR, apart + NEAR, NONE)

    return rule


def gap(back: int) -> Callable[[Moments], IntArray]:
    """Return the time between the last onset and an earlier one, as a function of moments."""
    return lambda moments: np.where(
        moments.onset[:, back] > -FAR, moments.onset[:, 0] - moments.onset[:, back], FAR
    )


def overdue_then(most: int) -> Rule:
    """Give a time shift the weights of how overdue the newest held notes would be."""

    def rule(moments: Moments) -> IntArray:
        over = np.where(moments.held, moments.overdue, FAR)
        order = np.where(over < FAR, moments.order, FAR)
        newest = np.argsort(order, axis=1, kind="stable")[:, :4]
        over = np.take_along_axis(over, newest, axis=1)[:, :, None]
        bucket = difference_bucket(np.where(over < FAR, over, 0) + shifts(most))
        return np.where(over < FAR, bucket, NONE)

    return rule


def velocity_change(velocity: Callable[[Moments], IntArray], bins: int) -> Rule:
    """Give a velocity the weight of its distance from another one."""

    def rule(moments: Moments) -> IntArray:
        before = velocity(moments)[:, None]
        return np.where(before > 0, np.arange(1, bins + 1) - before + bins - 1, NONE)

    return rule
