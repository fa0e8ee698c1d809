"""What an engine is: one step of a trained model, without torch."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from midirnn.models.config import ModelConfig

FloatVector = npt.NDArray[np.float32]
EngineState = tuple[npt.NDArray[np.float32], ...]
"""h, then c, each (num_layers, H), then the logits (V,) that follow. Never changed in place."""


class StepEngine(Protocol):
    """A model fed token by token. Owns its state; :meth:`snapshot` costs microseconds."""

    @property
    def config(self) -> ModelConfig:
        """What the model is made of."""
        ...

    def reset(self) -> None:
        """Go to the start of a piece: zero state, the start token fed."""
        ...

    def feed(self, token: int, held: npt.NDArray[np.bool_]) -> None:
        """Take a token in; ``held`` (128,) says what sounds after it."""
        ...

    def logits(self) -> FloatVector:
        """The logits of the next token; shape ``(V,)``. Not to be changed."""
        ...

    def snapshot(self) -> EngineState:
        """The state, to come back to."""
        ...

    def restore(self, state: EngineState) -> None:
        """Go back to a snapshot."""
        ...
