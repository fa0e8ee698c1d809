"""The step in numpy: the exact reference, and all that playing needs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import threadpoolctl

from midirnn.engines.base import EngineState, FloatVector
from midirnn.models.config import ModelConfig
from midirnn.performance import NUM_PITCHES

Weights = dict[str, npt.NDArray[np.float32]]

HALF = np.float32(0.5)


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
        self._matrices: list[FloatVector] = []  # (4H, I + H); the first layer's (4H, H)
        self._biases: list[FloatVector] = []
        no_input = np.zeros((0, 4 * hidden), np.float32)
        for layer in range(config.num_layers):
            w_input = no_input if layer == 0 else weights[f"layers.{layer}.weight_ih"].T
            matrix = np.concatenate([w_input, weights[f"layers.{layer}.weight_hh"].T]) * scale
            self._matrices.append(np.ascontiguousarray(matrix.T, np.float32))
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
        h, c = np.empty_like(self._h), np.empty_like(self._c)
        gates = self._matrices[0] @ self._h[0]
        gates += self._token_table[token]
        if self._held_table is not None:
            gates += self._held_table[held].sum(axis=0)
        h[0], c[0] = _cell(gates, self._c[0])
        x = h[0]
        for layer in range(1, self._config.num_layers):
            gates = self._matrices[layer] @ np.concatenate([x, self._h[layer]])
            gates += self._biases[layer]
            h[layer], c[layer] = _cell(gates, self._c[layer])
            x = x + h[layer] if self._config.residual else h[layer]
        self._h, self._c = h, c
        self._logits: FloatVector = self._output @ x + self._output_bias

    def logits(self) -> FloatVector:
        """The logits of the next token; shape ``(V,)``. Not to be changed."""
        return self._logits

    def snapshot(self) -> EngineState:
        """The state, to come back to. Costs nothing: each step makes new arrays."""
        return self._h, self._c, self._logits

    def restore(self, state: EngineState) -> None:
        """Go back to a snapshot."""
        self._h, self._c, self._logits = state


def _cell(gates: FloatVector, c: FloatVector) -> tuple[FloatVector, FloatVector]:
    """h and c (H,) behind a step, from its gates (4H,) with i, f and o halved.

    All four gates go through one tanh: sigmoid(a) = (1 + tanh(a / 2)) / 2.
    """
    i, f, g, o = np.tanh(gates).reshape(4, -1)
    c_new: FloatVector = (HALF + HALF * f) * c + (HALF + HALF * i) * g
    h_new: FloatVector = (HALF + HALF * o) * np.tanh(c_new)
    return h_new, c_new


def _gate_scale(hidden: int) -> npt.NDArray[np.float32]:
    """Halves the sigmoid gates (i, f, o), so that one tanh serves all four; shape ``(4H,)``."""
    return np.repeat(np.array([0.5, 0.5, 1.0, 0.5], np.float32), hidden)
