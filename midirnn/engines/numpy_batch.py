"""Many pieces at once in numpy: one matrix product for a step of all of them.

The products have :data:`BLOCK` columns, so that what a lane computes depends neither on the number
of lanes nor on what the others play; or more, where a check has shown that this gives the same
numbers to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from midirnn.engines.lanes import LaneBatch, WaitingStep
from midirnn.engines.numpy_engine import LAYER_NORM_EPSILON, NumpyEngine, Weights
from midirnn.engines.state import FloatMatrix, FloatVector
from midirnn.models.config import ModelConfig

BLOCK = 16
"""The minimum number of pieces in a product, which reads the weights from memory once for all."""

WIDER = (256, 128, 64, 32)
"""Larger numbers, used if as many pieces wait and the product gives the same as blocks."""


class NumpyBatch(LaneBatch):
    """The lanes of a model in numpy, fp32."""

    name = "numpy"

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        super().__init__(config)
        self._columns = _Columns(config, weights)
        self._widths = [width for width in WIDER if self._columns.is_exact(width)]

    def _advance(self, steps: Sequence[WaitingStep]) -> None:
        while steps:
            width = next((w for w in self._widths if w <= len(steps)), BLOCK)
            self._columns.advance(steps[:width], width)
            steps = steps[width:]


class _Columns(NumpyEngine):
    """Computes a step of several pieces; each is a column."""

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        super().__init__(config, weights)
        self._token_columns = np.ascontiguousarray(self._token_table.T)  # (G * H, V + 1)
        self._feature_columns = self._feature_table.T  # (G * H, F)

    def is_exact(self, width: int) -> bool:
        """Return whether products of ``width`` columns equal those of blocks, bit for bit."""
        rng = np.random.default_rng(0)
        for matrix in (*(layer.matrix for layer in self._layers), self._heads.matrix):
            x = rng.standard_normal((matrix.shape[1], width), np.float32)
            blocks = [x[:, begin : begin + BLOCK] for begin in range(0, width, BLOCK)]
            expected = [matrix @ np.ascontiguousarray(block) for block in blocks]
            if not np.array_equal(matrix @ x, np.concatenate(expected, axis=1)):
                return False
        return True

    def advance(self, steps: Sequence[WaitingStep], width: int) -> None:
        """Compute up to ``width`` steps together, and give each lane its state."""
        residual, layers = self._config.residual, self._config.num_layers
        parts = [
            _rows(list(part), width)  # (B, L, H)
            for part in zip(*(step.before.state for step in steps), strict=True)
        ]
        after = [np.empty_like(part) for part in parts]
        projected = self._projected(steps, width)  # (G * H, B)
        x = np.empty(0, np.float32)
        for index, layer in enumerate(self._layers):
            before = [np.ascontiguousarray(part[:, index].T) for part in parts]  # (H, B)
            if index == 0:
                x, now = layer.step_projected_columns(projected, before)
            else:
                h, now = layer.step_columns(self._read_columns(x, index), before)
                x = x + h if residual else h
            for whole, part in zip(after, now, strict=True):
                whole[:, index] = part.T
        output = self._heads.matrix @ self._read_columns(x, layers) + self._heads.bias[:, None]
        rows = np.ascontiguousarray(output.T)
        for row, step in enumerate(steps):
            outputs = [rows[row, head] for head in self._heads.rows]
            step.lane.finish(step, [whole[row] for whole in after], outputs)

    def _projected(self, steps: Sequence[WaitingStep], width: int) -> FloatMatrix:
        """Return what tokens and features add to the gates of the first layer (G * H, B)."""
        tokens = [step.token for step in steps] + [0] * (width - len(steps))
        projected = self._token_columns[:, tokens]
        numbers = _rows([step.numbers for step in steps], width)  # (B, F)
        if numbers.size:
            projected += self._feature_columns @ np.ascontiguousarray(numbers.T)
        return projected

    def _read_columns(self, x: FloatMatrix, layer: int) -> FloatMatrix:
        """Return what a layer after the first, or the heads, read (H, B) of the layers below."""
        if not self._norms:
            return x
        scale, bias = self._norms[layer - 1]
        centred = x - x.mean(axis=0)
        variance = np.square(centred).mean(axis=0)
        normalized = centred / np.sqrt(variance + LAYER_NORM_EPSILON)
        read: FloatMatrix = normalized * scale[:, None] + bias[:, None]
        return read


def _rows(vectors: list[FloatVector], width: int) -> FloatMatrix:
    """Stack arrays as rows, followed by rows of zeros up to ``width``."""
    rows = np.zeros((width, *vectors[0].shape), np.float32)
    np.stack(vectors, out=rows[: len(vectors)])
    return rows
