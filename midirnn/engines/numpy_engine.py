"""The engine in numpy: the exact reference, which needs no optional package."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import threadpoolctl

from midirnn.engines.base import Advance, RecurrentEngine, feature_weights, head_weights
from midirnn.engines.numpy_cells import layer_weights, make_layer
from midirnn.engines.state import EngineState, FloatVector
from midirnn.models.cells import find_cell
from midirnn.models.config import ModelConfig

Weights = dict[str, npt.NDArray[np.float32]]

LAYER_NORM_EPSILON = np.float32(1e-5)
"""The epsilon of torch.nn.LayerNorm and of ONNX's LayerNormalization."""


class Heads:
    """The heads, in one product: the logits, and the weights of what is added to them."""

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        heads = config.heads
        ends = np.cumsum(list(heads.values()))
        self.rows = [slice(end - size, end) for end, size in zip(ends, heads.values(), strict=True)]
        self.matrix = np.concatenate([head_weights(config, weights, head) for head in heads])
        self.bias = np.concatenate([weights[f"{head}.bias"] for head in heads])

    def outputs(self, x: FloatVector) -> list[FloatVector]:
        """Return what each head computes from the last layer's output (H,)."""
        output = self.matrix @ x + self.bias
        return [output[rows] for rows in self.rows]


class NumpyEngine(RecurrentEngine):
    """One step of the language model, batch 1, in fp32: an implementation of ``StepEngine``.

    The first layer's input projection is a table with a row for each token and one for each number
    of the features. Owns the state.

    Once there is an engine, BLAS runs on one thread in the whole process: a product of this size
    gains nothing from a second one, and takes ten times as long when the other core is busy.
    """

    name = "numpy"

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        super().__init__(config)
        threadpoolctl.threadpool_limits(limits=1, user_api="blas")
        cell = find_cell(config.cell)
        self._layers = [
            make_layer(cell, layer_weights(weights, layer), is_first=layer == 0)
            for layer in range(config.num_layers)
        ]
        w_ih, scale = weights["layers.0.weight_ih"], self._layers[0].scale
        self._token_table = (
            weights["embedding.weight"] @ w_ih.T + weights["layers.0.bias"]
        ) * scale
        self._feature_table = (feature_weights(config, weights).T @ w_ih.T) * scale  # (F, G * H)
        self._norms = [  # (2, H) for each layer: scale and bias of its normalised output
            np.stack([weights[f"norms.{layer}.weight"], weights[f"norms.{layer}.bias"]])
            for layer in range(config.num_layers if config.layer_norm else 0)
        ]
        self._heads = Heads(config, weights)
        self.reset()

    def _advance(self, before: EngineState, token: int, features: FloatVector) -> Advance:
        after = [np.empty_like(part) for part in before.state]
        given = np.flatnonzero(features)
        projected = (self._token_table[token], features[given] @ self._feature_table[given])
        for index, (layer, *parts) in enumerate(zip(self._layers, *before.state, strict=True)):
            if index == 0:
                x, parts = layer.step_projected(projected, parts)
            else:
                h, parts = layer.step(self._read(x, index), parts)
                x = x + h if self._config.residual else h
            for whole, part in zip(after, parts, strict=True):
                whole[index] = part
        read = self._read(x, self._config.num_layers)
        return Advance(tuple(after), self._heads.outputs(read))

    def _read(self, x: FloatVector, layer: int) -> FloatVector:
        """Return what a layer after the first, or the heads, read (H,) of the layers below."""
        if not self._norms:
            return x
        scale, bias = self._norms[layer - 1]
        centred = x - x.mean()
        normalized = centred / np.sqrt(centred @ centred / len(x) + LAYER_NORM_EPSILON)
        read: FloatVector = normalized * scale + bias
        return read
