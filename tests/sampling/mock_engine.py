"""Engines without a model: logits from a table by the token before."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.performance import TokenType
from midirnn.codecs.style import SLICES
from midirnn.engines.state import EngineState, FloatVector, StateLayout
from midirnn.models.config import ModelConfig

LAYOUT = StateLayout("lstm", 1, 1)


class MockEngine:
    """An engine whose logits hang on the token before, what sounds, and how many came before.

    It writes down what it was fed.
    """

    def __init__(
        self,
        codec: PerformanceCodec,
        seed: int = 0,
        *,
        scale: float = 2.0,
        likes: dict[TokenType, float] | None = None,
    ) -> None:
        rng = np.random.default_rng(seed)
        size = codec.vocab_size
        self.config = ModelConfig(size, embedding_size=1, hidden_size=1, num_layers=1)
        self._table = (scale * rng.standard_normal((size + 1, size))).astype(np.float32)
        self._held = (scale * rng.standard_normal((128, size))).astype(np.float32) / 4
        for kind, bonus in (likes or {}).items():
            self._table[:, codec.vocabulary.slice_of(kind)] += bonus
        self.fed: list[int] = []
        self.reset()

    def reset(self) -> None:
        self.fed.clear()
        self._set(self.config.start_token, np.zeros(128, dtype=bool), 0)

    def set_controls(self, controls: FloatVector | None) -> None:
        """Nothing: it plays as it plays."""

    def feed(self, token: int, held: npt.NDArray[np.bool_]) -> None:
        self.fed.append(token)
        self._set(token, held, int(self._state.state[1][0]) + 1)

    def warm_up(self) -> None:
        """Nothing: it has no weights."""

    def precompute(self, before: EngineState, token: int, held: npt.NDArray[np.bool_]) -> bool:
        """Whether it was: its steps cost nothing."""
        return False

    def logits(self) -> FloatVector:
        return self._state.logits

    def snapshot(self) -> EngineState:
        return self._state

    def restore(self, state: EngineState) -> None:
        self._state = state

    def _set(self, token: int, held: npt.NDArray[np.bool_], count: int) -> None:
        logits = self._table[token] + self._held[held].sum(axis=0) + count % 7 / 7
        self._state = EngineState(LAYOUT, (np.array([token]), np.array([count])), logits, {})


class Eager(MockEngine):
    """Plays note after note, several times as many as it is asked to, 50 a second at most."""

    def __init__(self, codec: PerformanceCodec, times: float) -> None:
        super().__init__(codec, scale=0.01)
        self._codec = codec
        object.__setattr__(self.config, "control_inputs", True)
        object.__setattr__(self.config, "style_inputs", True)
        self._times = times
        self._shift = 100
        self.asked: list[float] = []

    def set_controls(self, controls: np.ndarray | None) -> None:
        if controls is None:
            return
        density = float(controls[SLICES["density"]] @ np.arange(8))
        self.asked.append(density)
        often = self._times * (2.0**density - 1.0)
        self._shift = int(np.clip(round(self._codec.steps_per_second / max(often, 1.0)), 2, 100))

    def logits(self) -> np.ndarray:
        """Every note ends where the next one begins; neither trills nor scales, which are ended."""
        token = self._codec.vocabulary.token
        is_note = self._codec.vocabulary.is_type(np.array(self.fed, np.uint16), TokenType.NOTE_ON)
        logits = super().logits().copy()
        logits[self._codec.note_offs] += 60.0
        if not is_note[-1:].any():
            logits[token(TokenType.NOTE_ON, 40 + 7 * int(is_note.sum()) ** 2 % 37)] += 40.0
        logits[token(TokenType.TIME_SHIFT, self._shift)] += 20.0
        return logits
