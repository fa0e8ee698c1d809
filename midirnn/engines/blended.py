"""A tuned model and its base played as one, with a share of each that can change at any time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from midirnn.engines.base import Advance, RecurrentEngine, Stepper
from midirnn.engines.state import EngineState, FloatVector, RecurrentState, StateLayout
from midirnn.errors import OptionError


@dataclass(frozen=True, eq=False)
class _Both:
    """Two engines of one config, and the share of the second one."""

    base: RecurrentEngine
    tuned: RecurrentEngine
    share: float

    @property
    def initial(self) -> RecurrentState:
        """The states in which they begin a piece, the base's layers first."""
        pairs = zip(self.base.initial, self.tuned.initial, strict=True)
        return tuple(np.concatenate(pair) for pair in pairs)

    def advance(self, before: EngineState, token: int, features: FloatVector) -> Advance:
        """Compute a step of both, or of the only one in use; see :class:`BlendedEngine`."""
        layers = self.base.config.num_layers
        steps = []
        for engine, share, rows in (
            (self.base, 1.0 - self.share, slice(layers)),
            (self.tuned, self.share, slice(layers, None)),
        ):
            if share:
                half = tuple(part[rows] for part in before.state)
                inner = StateLayout.of(engine.config)
                state = EngineState(inner, half, before.logits, before.memories)
                steps.append((share, engine._advance(state, token, features)))
        (_, first), (_, last) = steps[0], steps[-1]
        pairs = zip(first.state, last.state, strict=True)
        outputs = first.outputs
        if len(steps) > 1:
            outputs = [
                np.float32(1.0 - self.share) * a + np.float32(self.share) * b
                for a, b in zip(first.outputs, last.outputs, strict=True)
            ]
        return Advance(tuple(np.concatenate(pair) for pair in pairs), outputs)


class BlendedEngine(RecurrentEngine):
    """Mixes the logits of a base and of a model tuned from it: a ``StepEngine`` with a share.

    The share of the tuned model is 0 (the base alone) to 1 (the tuned one alone); in between, the
    probabilities are a geometric mean. It may be set between any two tokens: the state holds those
    of both, the base's layers first. At 0 and 1 only one of them is computed, and the other later
    continues from that state, which is close to its own because their weights are close.
    """

    def __init__(
        self, base: RecurrentEngine, tuned: RecurrentEngine | None = None, share: float = 1.0
    ) -> None:
        super().__init__(base.config)
        self.name = base.name
        config = base.config
        self._layout = StateLayout(config.cell, 2 * config.num_layers, config.hidden_size)
        self._both = _Both(base, tuned or base, 1.0)
        self.set_share(share)
        self.begin_from(self._both.initial)

    @property
    def share(self) -> float:
        """The share of the tuned model, 0 to 1."""
        return self._both.share

    @property
    def tuned(self) -> RecurrentEngine:
        """The tuned model's engine."""
        return self._both.tuned

    def set_share(self, share: float) -> None:
        """Set the share of the tuned model from the next token on.

        Raises :class:`OptionError` for less than 0 or more than 1.
        """
        if not 0.0 <= share <= 1.0:  # also refuses NaN
            raise OptionError(f"blend is {share:g}; allowed are 0 to 1")
        if share != self.share:
            self._both = replace(self._both, share=share)
            self._cache.clear()

    def set_tuned(self, tuned: RecurrentEngine | None) -> None:
        """Mix in another tuned model from the next token on; None is the base itself.

        The state is kept, so the music continues. The next piece begins in the new initial state.
        """
        self._both = replace(self._both, tuned=tuned or self._both.base)
        self._cache.clear()
        self._initial = self._both.initial

    def twin(self) -> Self:
        """Return an engine in the same state that shares the weights but advances on its own."""
        twin = super().twin()
        twin._both = replace(self._both, base=self._both.base.twin(), tuned=self._both.tuned.twin())
        return twin

    def _stepper(self) -> Stepper:
        return self._both.advance

    def _advance(self, before: EngineState, token: int, features: FloatVector) -> Advance:
        return self._both.advance(before, token, features)
