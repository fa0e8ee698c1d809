"""Steps of the performer that the model has not heard yet."""

from __future__ import annotations

from collections.abc import Sequence

from midirnn.live.base.messages import Hear, HeardStep


class Hearing:
    """Collects steps while the model handles the last ones. Owns those it has not heard.

    So of a chord, whose notes come one by one, the model hears the first note and then the whole.
    """

    def __init__(self) -> None:
        self.is_busy = False
        """True if the model has been sent steps that it has not handled yet."""
        self._told: HeardStep | None = None
        self._unheard: dict[int, HeardStep] = {}

    def __bool__(self) -> bool:
        """Return True if there is something that the model has not heard."""
        return bool(self._unheard)

    def add(self, steps: Sequence[HeardStep]) -> list[HeardStep]:
        """Queue the steps that are new or have changed since they were last given; return those."""
        new = [step for step in steps if step != self._told]
        if new:
            self._told = new[-1]
            self._unheard |= {step.step: step for step in new}
        return new

    def take(self) -> tuple[HeardStep, ...]:
        """Return the steps for the model to hear now; none while it is busy."""
        if self.is_busy:
            return ()
        steps, self._unheard = tuple(self._unheard.values()), {}
        return steps

    def sent(self, requests: Sequence[object]) -> None:
        """Take note of requests that were sent: a ``Hear`` makes the model busy."""
        self.is_busy |= any(isinstance(request, Hear) for request in requests)

    def answered(self) -> None:
        """Take note that the model has handled the steps it was sent."""
        self.is_busy = False

    def forget_told(self) -> None:
        """Forget the last step, since the model has: it counts as new if it comes again."""
        self._told = None

    def drop(self) -> None:
        """Drop the waiting steps, since the model is gone."""
        self.is_busy, self._unheard = False, {}
