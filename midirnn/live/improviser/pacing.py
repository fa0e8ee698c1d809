"""Pacing: keeps the number of notes that the model begins close to the requested density.

A model follows its control inputs only after a while, and not always after a change. The balance
of notes kept here limits how soon and how late the next note may begin.
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
"""After a pause, this many seconds' worth of notes may begin at once."""

BURST_NOTES = 3.0
"""The least number of notes that may begin at once after a pause."""

LEAST_DEBT, DEBT_SECONDS, MOST_DEBT = 3.0, 2.0, 8.0
"""A chord may overdraw the balance by ``DEBT_SECONDS`` worth of notes, but at least ``LEAST_DEBT``
and at most ``MOST_DEBT`` of them. The notes after it wait longer."""

PATIENCE_SECONDS = 0.5
"""While the next note has to wait, note-offs are held back with it, but no longer than this."""

ONSET_NOTES = 4.0
"""The next onset comes within the time that this many notes take at the slowest pace."""


@dataclass(frozen=True)
class Balance:
    """How many notes may begin. It rises with time, up to a burst, and falls with each note.

    Frozen, so that a snapshot can hold it. Steps are those of the stream.
    """

    pace: Pace
    steps_per_second: int
    notes: float = BURST_NOTES
    step: int = 0
    """The step that ``notes`` was computed for."""
    onset: int = -1
    """The step in which the last note began; -1 before the first."""

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
        """Return the balance at another pace, with any debt cleared."""
        return replace(self, pace=pace, notes=max(self.notes, 0.0))

    @property
    def is_overdrawn(self) -> bool:
        """True if not even a chord may get another note."""
        debt = DEBT_SECONDS * (self.pace.most or 0.0)
        return self.notes <= -max(LEAST_DEBT, min(debt, MOST_DEBT))

    @property
    def wait(self) -> int:
        """The number of steps until a note may begin; 0 if one may begin now."""
        if self.pace.most is None or self.notes >= 1.0:
            return 0
        return int((1.0 - self.notes) / self.pace.most * self.steps_per_second) + 1

    def longest_pause(self, steps: int) -> int:
        """Return the most steps until the next onset: ``steps``, or fewer at a minimum pace."""
        if not self.pace.least:
            return steps
        return min(steps, round(ONSET_NOTES / self.pace.least * self.steps_per_second))


def paced(
    allowed: BoolArray, balance: Balance, sampler: Sampler[PerformanceCodec], gap: int
) -> BoolArray:
    """Return which of the ``allowed`` tokens (V,) may be sampled without a note too soon.

    The ``balance`` is that of ``gap`` steps after the last token; with a gap, the next token is a
    time shift of at least that length. Tokens that would begin a note too soon give way to a longer
    time shift, with their probability; a note ends or joins a chord as often as before.
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
