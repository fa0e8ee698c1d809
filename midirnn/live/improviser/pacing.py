"""Pacing: the model begins neither more nor fewer notes than it is asked to.

What a model is asked for by its inputs it plays in the end, but not at once, and after a change not
always. Here a balance of notes limits how soon the next may begin, and how late.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from midirnn.codecs import BoolArray, PerformanceCodec
from midirnn.codecs.performance import TokenType
from midirnn.live.base.messages import Pace
from midirnn.live.improviser.choice import longest_shift
from midirnn.sampling import Sampler

BURST_SECONDS = 0.5
"""The notes of so long a time may begin at once, if none began before."""

BURST_NOTES = 3.0
"""At least so many may."""

LEAST_DEBT, DEBT_SECONDS, MOST_DEBT = 3.0, 2.0, 8.0
"""A chord may have the notes of so long a time more than the balance allows, and at least and at
most so many: what follows waits longer."""

PATIENCE_SECONDS = 0.5
"""While the next note has to wait, the ends of others wait with it, but not for longer."""

ONSET_NOTES = 4.0
"""The next onset comes after the time of so many notes at the latest."""


@dataclass(frozen=True)
class Balance:
    """How many notes may begin: it rises with time, up to a burst, and falls with each note.

    Frozen, so that a snapshot holds it. Steps are those of the stream.
    """

    pace: Pace
    steps_per_second: int
    notes: float = BURST_NOTES
    step: int = 0
    """When ``notes`` was right."""
    onset: int = -1
    """When the last note began; -1 before the first."""

    def at(self, step: int) -> Balance:
        """Return the balance at a later step."""
        if self.pace.most is None or step <= self.step:
            return self
        per_step = self.pace.most / self.steps_per_second
        burst = max(BURST_NOTES, BURST_SECONDS * self.pace.most)
        notes = min(self.notes + per_step * (step - self.step), burst)
        return replace(self, notes=notes, step=step)

    def after_note(self, step: int) -> Balance:
        """Return the balance after a note has begun in that step."""
        return replace(self.at(step), notes=self.at(step).notes - 1.0, onset=step)

    def at_pace(self, pace: Pace) -> Balance:
        """Return the balance at another pace; what was owed at the last one is forgiven."""
        return replace(self, pace=pace, notes=max(self.notes, 0.0))

    @property
    def is_overdrawn(self) -> bool:
        """True if not even a chord may have more notes."""
        debt = DEBT_SECONDS * (self.pace.most or 0.0)
        return self.notes <= -max(LEAST_DEBT, min(debt, MOST_DEBT))

    @property
    def wait(self) -> int:
        """The steps until a note may begin; 0 if one may at once."""
        if self.pace.most is None or self.notes >= 1.0:
            return 0
        return int((1.0 - self.notes) / self.pace.most * self.steps_per_second) + 1

    def longest_pause(self, steps: int) -> int:
        """Return the steps to the next onset at the latest, ``steps`` at most."""
        if not self.pace.least:
            return steps
        return min(steps, round(ONSET_NOTES / self.pace.least * self.steps_per_second))


def paced(
    allowed: BoolArray, balance: Balance, sampler: Sampler[PerformanceCodec], gap: int
) -> BoolArray:
    """Return which of the ``allowed`` (V,) may be sampled now, so that no note begins too soon.

    The ``balance`` is that of ``gap`` steps after the last token; with a gap the token is a time
    shift behind it. What would lead to a note too soon becomes a longer time shift; how likely it
    is that a note ends or joins a chord does not change.
    """
    wait = balance.wait
    if not wait:
        return allowed
    slice_of = sampler.codec.vocabulary.slice_of
    shifts, offs = slice_of(TokenType.TIME_SHIFT), slice_of(TokenType.NOTE_OFF)
    if allowed[offs].any():
        wait = min(wait, round(PATIENCE_SECONDS * sampler.codec.steps_per_second))
    soon, first = np.zeros_like(allowed), min(gap + wait, longest_shift(allowed[shifts]))
    soon[shifts.start : shifts.start + max(first - 1, 0)] = True
    in_chord = balance.onset == sampler.grammar_state.step and not gap
    if not in_chord or balance.is_overdrawn:
        soon[slice_of(TokenType.NOTE_ON)] = soon[slice_of(TokenType.VELOCITY)] = True
    soon &= allowed
    rest = allowed & ~soon
    later = np.flatnonzero(rest[shifts])
    if not len(later) or not soon.any():
        return rest if rest.any() else allowed
    waits = np.zeros_like(allowed)
    waits[shifts.start + later[0]] = True
    share = float(sampler.distribution(allowed)[soon].sum())
    return waits if sampler.rng.random() < share or not rest.any() else rest
