"""Many pieces at once: one matrix product for a step of all of them.

Each piece has a *lane*, an engine like any other. A step of a lane waits until its result is read;
then all waiting steps are computed together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from midirnn.codecs import BoolArray
from midirnn.engines.base import Advance, RecurrentEngine, given_numbers
from midirnn.engines.state import EngineState, FloatMatrix, FloatVector
from midirnn.models.config import ModelConfig


class LaneBatch(ABC):
    """A model with any number of lanes. Owns the steps that wait.

    :meth:`open_lane` adds a lane; one that is not fed costs nothing. What a lane computes depends
    neither on the number of lanes nor on what the others play.
    """

    name: str
    """The value of ``--engine`` of its lanes."""

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._waiting: list[WaitingStep] = []

    def open_lane(self) -> Lane:
        """Return an engine whose steps are computed together with those of the other lanes."""
        return Lane(self._config, self)

    def wait(self, step: WaitingStep) -> None:
        """Keep a step until its result, or that of another one, is read."""
        self._waiting.append(step)

    def compute(self, wanted: WaitingStep) -> EngineState:
        """Compute all waiting steps, and return the state after the one that is wanted."""
        if wanted.after is None:
            waiting, self._waiting = self._waiting, []
            self._advance(waiting)
        assert wanted.after is not None
        return wanted.after

    @abstractmethod
    def _advance(self, steps: Sequence[WaitingStep]) -> None:
        """Compute steps together, and :meth:`~Lane.finish` each."""


class Lane(RecurrentEngine):
    """The engine of one piece among many: an implementation of ``StepEngine``."""

    def __init__(self, config: ModelConfig, batch: LaneBatch) -> None:
        super().__init__(config)
        self.name = batch.name
        self._batch = batch
        self.reset()

    def warm_up(self) -> None:
        """Do nothing: the weights stay in the caches between steps."""

    def _after(self, before: EngineState, token: int, held: BoolArray) -> EngineState:
        """Return the state after a token, to be computed with others."""
        before.compute()
        memories = {f.name: f.follow(before.memories[f.name], token) for f in self._features}
        numbers = self._numbers(memories, given_numbers(held, self._controls))
        step = WaitingStep(self, before, token, numbers, memories)
        self._batch.wait(step)
        return EngineState.later(self._layout, lambda: self._batch.compute(step))

    def finish(
        self, step: WaitingStep, state: list[FloatMatrix], outputs: list[FloatVector]
    ) -> None:
        """Set the state after a step from what was computed."""
        logits, *weights = outputs
        for feature, added in zip(self._with_heads, weights, strict=True):
            feature.add(logits, added, step.memories[feature.name])
        step.after = EngineState(self._layout, tuple(state), logits, step.memories)

    def _advance(self, before: EngineState, token: int, features: FloatVector) -> Advance:
        raise AssertionError("the steps of a lane are computed by its batch")


@dataclass(eq=False)
class WaitingStep:
    """A waiting step of a lane, and the state after it once computed."""

    lane: Lane
    before: EngineState
    token: int
    numbers: FloatVector
    memories: dict[str, object]
    after: EngineState | None = None
