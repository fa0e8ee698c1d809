"""The numpy engines of models without recurrence, whose state is a window of the past.

A snapshot costs nothing here either, but a step copies the window of each layer, which is larger
than a recurrent state.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np
import threadpoolctl

from midirnn.engines.base import Advance, RecurrentEngine, feature_weights
from midirnn.engines.numpy_cells import NUMPY, layer_weights
from midirnn.engines.numpy_engine import LAYER_NORM_EPSILON, Heads, NumpyEngine, Weights
from midirnn.engines.state import EngineState, FloatMatrix, FloatVector, RecurrentState
from midirnn.models.config import ModelConfig
from midirnn.models.windowed_config import AttentionConfig, ConvolutionConfig, WindowedConfig

_GELU = np.float32(np.sqrt(2.0 / np.pi))
_CUBIC, _HALF, _ONE = np.float32(0.044715), np.float32(0.5), np.float32(1.0)


class WindowedEngine(RecurrentEngine):
    """One step of a model that keeps a window of tokens, batch 1, in fp32. Owns the state."""

    name = "numpy"

    def __init__(self, config: WindowedConfig, weights: Weights) -> None:
        super().__init__(config)
        threadpoolctl.threadpool_limits(limits=1, user_api="blas")
        self._layers = [layer_weights(weights, layer) for layer in range(config.num_layers)]
        w_input = weights["input.weight"]
        self._token_table = weights["embedding.weight"] @ w_input.T  # (V + 1, H)
        self._feature_table = feature_weights(config, weights).T @ w_input.T  # (F, H)
        self._heads = Heads(config, weights)
        self._read_weights(weights)
        self.reset()

    def _read_weights(self, weights: Weights) -> None:
        """Read the remaining weights."""

    def _advance(self, before: EngineState, token: int, features: FloatVector) -> Advance:
        given = np.flatnonzero(features)
        x = self._token_table[token] + features[given] @ self._feature_table[given]
        x, after = self._run_layers(x, before.state)
        return Advance(after, self._heads.outputs(x))

    @abstractmethod
    def _run_layers(
        self, x: FloatVector, before: RecurrentState
    ) -> tuple[FloatVector, RecurrentState]:
        """Return the output (H,) of the last layer, and the next state."""


class ConvolutionEngine(WindowedEngine):
    """A stack of causal dilated convolutions: an implementation of ``StepEngine``."""

    _config: ConvolutionConfig

    def _run_layers(
        self, x: FloatVector, before: RecurrentState
    ) -> tuple[FloatVector, RecurrentState]:
        past = before[0]
        after = np.empty_like(past)
        after[:-1] = past[1:]  # each layer's inputs move up by one; its last row is the newest
        row = 0
        for weights, dilation in zip(self._layers, self._config.dilations, strict=True):
            pair = np.concatenate([past[row], x])
            row += dilation
            after[row - 1] = x
            gates = weights["gates.weight"] @ pair + weights["gates.bias"]
            filtered, gate = NUMPY.split(gates, 2)
            y = np.tanh(filtered) * NUMPY.sigmoid(gate)
            x = x + weights["output.weight"] @ y + weights["output.bias"]
        return x, (after,)


class AttentionEngine(WindowedEngine):
    """A small transformer with a window: an implementation of ``StepEngine``."""

    _config: AttentionConfig

    def _read_weights(self, weights: Weights) -> None:
        self._final = {name: weights[f"final_norm.{name}"] for name in ("weight", "bias")}
        self._slopes = np.array(self._config.slopes, np.float32)

    def _run_layers(
        self, x: FloatVector, before: RecurrentState
    ) -> tuple[FloatVector, RecurrentState]:
        rows = self._config.span - 1
        heard = int(before[2][0, 0])
        kept = [np.empty_like(before[0]), np.empty_like(before[1])]
        for layer, weights in enumerate(self._layers):
            of_layer = slice(layer * rows, (layer + 1) * rows)
            normed = _normalized(x, weights, "norm.")
            query, *new = NUMPY.split(
                weights["attention.weight"] @ normed + weights["attention.bias"], 3
            )
            window = []
            for old, after, latest in zip(before, kept, new, strict=False):
                whole = np.concatenate([old[of_layer], latest[None]])
                after[of_layer] = whole[1:]
                window.append(whole[max(rows - heard, 0) :])
            x = x + weights["mixed.weight"] @ self._attend(query, *window) + weights["mixed.bias"]
            wide = weights["wide.weight"] @ _normalized(x, weights, "second_norm.")
            x = x + weights["narrow.weight"] @ _gelu(wide + weights["wide.bias"])
            x = x + weights["narrow.bias"]
        counted = np.array([[heard + 1]], np.float32)
        return _normalized(x, self._final), (kept[0], kept[1], counted)

    def _attend(self, query: FloatVector, keys: FloatMatrix, values: FloatMatrix) -> FloatVector:
        """Return the mean of the values (N, H), weighted by each head of the query (H,)."""
        heads, count = self._config.attention_heads, len(keys)
        by_head = keys.reshape(count, heads, -1)
        size = np.float32(np.sqrt(by_head.shape[2]))
        scores = np.einsum("nhk,hk->hn", by_head, query.reshape(heads, -1)) / size
        scores -= self._slopes[:, None] * np.arange(count - 1, -1, -1, dtype=np.float32)
        weights: FloatMatrix = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        mixed = np.einsum("hn,nhk->hk", weights, values.reshape(count, heads, -1))
        flat: FloatVector = mixed.ravel()
        return flat


def _normalized(x: FloatVector, weights: Mapping[str, FloatVector], name: str = "") -> FloatVector:
    """Return the layer normalisation of a vector."""
    centred = x - x.mean()
    normalized = centred / np.sqrt(centred @ centred / len(x) + LAYER_NORM_EPSILON)
    result: FloatVector = normalized * weights[f"{name}weight"] + weights[f"{name}bias"]
    return result


def _gelu(x: FloatVector) -> FloatVector:
    """Return the tanh approximation of GELU (D. Hendrycks and K. Gimpel, 2016)."""
    inner = _GELU * (x + _CUBIC * x * x * x)
    return (_HALF * x * (_ONE + np.tanh(inner))).astype(np.float32, copy=False)


def make_numpy_engine(config: ModelConfig, weights: Weights) -> RecurrentEngine:
    """Return the numpy engine of a model."""
    if isinstance(config, ConvolutionConfig):
        return ConvolutionEngine(config, weights)
    if isinstance(config, AttentionConfig):
        return AttentionEngine(config, weights)
    return NumpyEngine(config, weights)
