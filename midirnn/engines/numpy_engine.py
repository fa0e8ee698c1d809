"""The step in numpy: the exact reference, and all that playing needs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import threadpoolctl

from midirnn.engines.base import (
    Advance,
    EngineState,
    FloatMatrix,
    FloatVector,
    RecurrentEngine,
    feature_weights,
    head_weights,
)
from midirnn.models.config import ModelConfig

Weights = dict[str, npt.NDArray[np.float32]]

HALF = np.float32(0.5)

LAYER_NORM_EPSILON = np.float32(1e-5)
"""That of torch.nn.LayerNorm and of ONNX's LayerNormalization."""


class NumpyEngine(RecurrentEngine):
    """One step of the language model, batch 1, in fp32: an implementation of ``StepEngine``.

    The first layer's input projection is a table with a row for each token and one for each
    feature; the other layers multiply input and state by one matrix at once. Owns the state.

    From the first engine on, BLAS runs on one thread in the whole process: a product of this size
    gains nothing from a second, and loses tenfold when the other core is busy.
    """

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        super().__init__(config)
        threadpoolctl.threadpool_limits(limits=1, user_api="blas")
        hidden = config.hidden_size
        scale = _gate_scale(hidden)
        w_ih = weights["layers.0.weight_ih"]
        self._token_table = (
            weights["embedding.weight"] @ w_ih.T + weights["layers.0.bias"]
        ) * scale
        self._feature_table = (feature_weights(config, weights).T @ w_ih.T) * scale  # (F, 4H)
        self._matrices: list[FloatMatrix] = []  # (4H, I + H); the first layer's (4H, H)
        self._biases: list[FloatVector] = []
        no_input = np.zeros((0, 4 * hidden), np.float32)
        for layer in range(config.num_layers):
            w_input = no_input if layer == 0 else weights[f"layers.{layer}.weight_ih"].T
            matrix = np.concatenate([w_input, weights[f"layers.{layer}.weight_hh"].T]) * scale
            self._matrices.append(np.ascontiguousarray(matrix.T, np.float32))
            self._biases.append(weights[f"layers.{layer}.bias"] * scale)
        self._norms = [  # (2, H) for each layer: what it puts out is scaled and moved by
            np.stack([weights[f"norms.{layer}.weight"], weights[f"norms.{layer}.bias"]])
            for layer in range(config.num_layers if config.layer_norm else 0)
        ]
        heads = ["output", "trust"] if config.recall_notes else ["output"]
        self._output = np.concatenate([head_weights(config, weights, head) for head in heads])
        self._output_bias = np.concatenate([weights[f"{head}.bias"] for head in heads])
        self.reset()

    def _advance(self, before: EngineState, token: int, features: FloatVector) -> Advance:
        h_before, c_before = before.h, before.c
        h, c = np.empty_like(h_before), np.empty_like(c_before)
        gates = self._matrices[0] @ h_before[0]
        gates += self._token_table[token]
        given = np.flatnonzero(features)
        gates += features[given] @ self._feature_table[given]
        h[0], c[0] = _cell(gates, c_before[0])
        x = h[0]
        for layer in range(1, self._config.num_layers):
            gates = self._matrices[layer] @ np.concatenate([self._read(x, layer), h_before[layer]])
            gates += self._biases[layer]
            h[layer], c[layer] = _cell(gates, c_before[layer])
            x = x + h[layer] if self._config.residual else h[layer]
        output = self._output @ self._read(x, self._config.num_layers) + self._output_bias
        size = self._config.vocab_size
        return Advance(h, c, output[:size], output[size:] if self._config.recall_notes else None)

    def _read(self, x: FloatVector, layer: int) -> FloatVector:
        """What a layer after the first reads of those below it (H,); the output is the last."""
        if not self._norms:
            return x
        scale, bias = self._norms[layer - 1]
        centred = x - x.mean()
        normalized = centred / np.sqrt(centred @ centred / len(x) + LAYER_NORM_EPSILON)
        read: FloatVector = normalized * scale + bias
        return read


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
