"""What the performer did that the model has yet to hear."""

from __future__ import annotations

from collections.abc import Sequence

from midirnn.live.base.messages import Hear, HeardStep


class Hearing:
    """Gathers steps while the model deals with those it was told last. Owns what is unheard.

    So a chord, whose notes come one by one, is heard with its first note and then as a whole.
    """

    def __init__(self) -> None:
        self.is_busy = False
        """Whether the model was told something that it has not dealt with."""
        self._told: HeardStep | None = None
        self._unheard: dict[int, HeardStep] = {}

    def __bool__(self) -> bool:
        """Whether there is something that the model has not heard."""
        return bool(self._unheard)

    def add(self, steps: Sequence[HeardStep]) -> list[HeardStep]:
        """Those of the steps that are new: told last was another, or less. They wait."""
        new = [step for step in steps if step != self._told]
        if new:
            self._told = new[-1]
            self._unheard |= {step.step: step for step in new}
        return new

    def take(self) -> tuple[HeardStep, ...]:
        """What the model is to hear now; nothing while it is busy."""
        if self.is_busy:
            return ()
        steps, self._unheard = tuple(self._unheard.values()), {}
        return steps

    def sent(self, requests: Sequence[object]) -> None:
        """Nothing; these were sent to the model, which is busy if it hears by them."""
        self.is_busy |= any(isinstance(request, Hear) for request in requests)

    def answered(self) -> None:
        """Nothing; the model has dealt with what it was told last."""
        self.is_busy = False

    def forget_told(self) -> None:
        """Nothing; the model has forgotten all: the last step is new to it if it comes again."""
        self._told = None

    def drop(self) -> None:
        """Nothing; there is no model that could hear what waits."""
        self.is_busy, self._unheard = False, {}
