"""The step in numpy: the exact reference, and all that playing needs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import threadpoolctl

from midirnn.engines.base import EngineState, FloatVector
from midirnn.models.config import ModelConfig
from midirnn.performance import NUM_PITCHES

Weights = dict[str, npt.NDArray[np.float32]]


class NumpyEngine:
    """One step of the language model, batch 1, in fp32: an implementation of ``StepEngine``.

    The first layer's input projection is a table with a row for each token and one for each held
    pitch; the other layers multiply input and state by one matrix at once. Owns the state.

    From the first engine on, BLAS runs on one thread in the whole process: a product of this size
    gains nothing from a second, and loses tenfold when the other core is busy.
    """

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        threadpoolctl.threadpool_limits(limits=1, user_api="blas")
        self._config = config
        hidden = config.hidden_size
        scale = _gate_scale(hidden)
        w_ih = weights["layers.0.weight_ih"]
        self._token_table = (
            weights["embedding.weight"] @ w_ih.T + weights["layers.0.bias"]
        ) * scale
        self._held_table = (
            (weights["held.weight"].T @ w_ih.T) * scale if config.held_input else None
        )
        first = np.zeros((0, 4 * hidden), np.float32)
        self._matrices = []
        self._biases = []
        for layer in range(config.num_layers):
            w_input = first if layer == 0 else weights[f"layers.{layer}.weight_ih"].T
            matrix = np.concatenate([w_input, weights[f"layers.{layer}.weight_hh"].T]) * scale
            self._matrices.append(np.asfortranarray(matrix, np.float32).T)  # (4H, I + H), C order
            self._biases.append(weights[f"layers.{layer}.bias"] * scale)
        self._output = np.ascontiguousarray(weights["output.weight"], np.float32)
        self._output_bias = weights["output.bias"].astype(np.float32)
        self.reset()

    @property
    def config(self) -> ModelConfig:
        """What the model is made of."""
        return self._config

    def reset(self) -> None:
        """Go to the start of a piece: zero state, the start token fed."""
        shape = (self._config.num_layers, self._config.hidden_size)
        self._h = np.zeros(shape, np.float32)
        self._c = np.zeros(shape, np.float32)
        self.feed(self._config.start_token, np.zeros(NUM_PITCHES, dtype=bool))

    def feed(self, token: int, held: npt.NDArray[np.bool_]) -> None:
        """Take a token in; ``held`` (128,) says what sounds after it."""
        hidden = self._config.hidden_size
        h_new, c_new = np.empty_like(self._h), np.empty_like(self._c)
        x = None
        for layer, matrix in enumerate(self._matrices):
            if x is None:
                gates = matrix @ self._h[0]
                gates += self._token_table[token]
                if self._held_table is not None:
                    gates += self._held_table[held].sum(axis=0)
            else:
                gates = matrix @ np.concatenate([x, self._h[layer]])
                gates += self._biases[layer]
            # All four gates by one tanh: sigmoid(a) = (1 + tanh(a / 2)) / 2.
            np.tanh(gates, out=gates)
            i, f, o = (0.5 + 0.5 * gates[k * hidden : (k + 1) * hidden] for k in (0, 1, 3))
            c = f * self._c[layer] + i * gates[2 * hidden : 3 * hidden]
            y = o * np.tanh(c)
            c_new[layer], h_new[layer] = c, y
            x = y if x is None or not self._config.residual else x + y
        self._h, self._c = h_new, c_new
        self._logits = self._output @ x + self._output_bias

    def logits(self) -> FloatVector:
        """The logits of the next token; shape ``(V,)``. Not to be changed."""
        return self._logits

    def snapshot(self) -> EngineState:
        """The state, to come back to. Costs nothing: each step makes new arrays."""
        return self._h, self._c, self._logits

    def restore(self, state: EngineState) -> None:
        """Go back to a snapshot."""
        self._h, self._c, self._logits = state


def _gate_scale(hidden: int) -> npt.NDArray[np.float32]:
    """Halves the sigmoid gates (i, f, o), so that one tanh serves all four; shape ``(4H,)``."""
    return np.repeat(np.array([0.5, 0.5, 1.0, 0.5], np.float32), hidden)
