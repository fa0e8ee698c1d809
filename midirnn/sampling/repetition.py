"""Limits on repetition in sampled music.

A passage that was repeated is recalled even better the next time, and a trill makes another trill
likely: without a limit a model can repeat itself for minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from midirnn.performance import NUM_PITCHES

LONGEST_REPEAT_NOTES = 16
"""The match memory is cleared after this many consecutive notes that were the recalled ones."""

FORGETFUL_NOTES = 32
"""The number of notes for which nothing is recalled after that."""

LONGEST_TRILL_NOTES = 20
"""The number of consecutive notes on one or two pitches, or with the same one or two intervals in
turn (such as a chromatic scale, or broken thirds), after which the next note must be another. Real
trills are sometimes longer; a model's tend to be."""


@dataclass(frozen=True)
class Repetition:
    """How repetitive the last notes were: part of the sampler's state."""

    repeated: int = 0
    """How many of the last notes were the recalled ones; below 0, for how many to recall none."""
    pitches: bytes = b""
    """The pitches of the last notes, a byte each."""

    def after(self, pitch: int, recalled: int | None) -> Repetition:
        """Return the state after a pitch was drawn where ``recalled`` was expected, if not None."""
        repeated = self.repeated
        if repeated >= 0:
            repeated = repeated + 1 if pitch == recalled else 0
            if repeated >= LONGEST_REPEAT_NOTES:
                repeated = -FORGETFUL_NOTES
        if repeated < 0:
            repeated += 1
        return Repetition(repeated, self.pitches[1 - LONGEST_TRILL_NOTES :] + bytes((pitch,)))

    @property
    def forgets(self) -> bool:
        """True while nothing is recalled."""
        return self.repeated < 0

    @cached_property
    def worn_out(self) -> list[int]:
        """The pitches that would prolong a trill or scale beyond its limit; usually none."""
        if len(self.pitches) < LONGEST_TRILL_NOTES:
            return []
        trilled = set(self.pitches)
        if len(trilled) <= 2:
            return sorted(trilled)
        steps = [after - before for before, after in pairwise(self.pitches)]
        following = self.pitches[-1] + steps[-2]
        goes_on = steps[2:] == steps[:-2] and 0 <= following < NUM_PITCHES
        return [following] if goes_on else []
