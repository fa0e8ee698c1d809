"""The performer's phrase, up to the length that is remembered."""

from __future__ import annotations

from dataclasses import dataclass, replace

from midirnn.codecs.pedal import DOWN
from midirnn.live.base.messages import HeardStep

MOST_PHRASE_STEPS = 4000
"""How many steps of the performer's phrase are remembered."""


@dataclass(frozen=True)
class Phrase:
    """What the performer has played since the last answer. Frozen, so that a snapshot holds it.

    It is over when the model answers; another begins with the first note after that.
    """

    steps: tuple[HeardStep, ...] = ()
    is_over: bool = False

    def add(self, step: HeardStep) -> Phrase:
        """Return the phrase with one more step. If it is over, a note-on begins a new one."""
        if self.is_over:
            return Phrase((step,)) if step.note_ons else self
        return Phrase((*self.steps[1 - MOST_PHRASE_STEPS :], step))

    def since(self, step: int) -> Phrase:
        """Return the phrase from that step on. It begins with the pedal as it was then."""
        steps = tuple(heard for heard in self.steps if heard.step >= step)
        before = [value for heard in self.steps if heard.step < step for value in heard.pedal]
        if steps and before and before[-1] == DOWN:
            steps = (replace(steps[0], pedal=(DOWN, *steps[0].pedal)), *steps[1:])
        return replace(self, steps=steps)

    def end(self) -> Phrase:
        """Return the phrase, marked as over."""
        return replace(self, is_over=True)
