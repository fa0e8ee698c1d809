"""The int8 matrices that engines multiply by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from midirnn.engines.state import FloatMatrix

BLOCK_SIZE = 128
"""The number of weights of a row that share a scale."""

_ZERO_POINT = 128
_LARGEST = 127


@dataclass(frozen=True, eq=False)
class QuantizedMatrix:
    """An int8 matrix (N, K), ``values * scales`` block by block along K."""

    values: npt.NDArray[np.uint8]
    """(N, blocks, block size), 128 for zero; the last block is padded with zeros."""
    scales: FloatMatrix
    """(N, blocks)"""


def quantize(matrix: FloatMatrix, block_size: int = BLOCK_SIZE) -> QuantizedMatrix:
    """Return the matrix (N, K) in int8; the largest weight of each block becomes 127 or -127."""
    rows, columns = matrix.shape
    blocks = -(-columns // block_size)
    padded = np.zeros((rows, blocks * block_size), np.float32)
    padded[:, :columns] = matrix
    split = padded.reshape(rows, blocks, block_size)
    largest = np.maximum(split.max(axis=2), -split.min(axis=2))
    scales = (largest / np.float32(_LARGEST)).astype(np.float32)
    scales[scales == 0] = 1.0  # all zeros, or too small for a scale in fp32
    values = np.rint(split / scales[:, :, None]) + np.float32(_ZERO_POINT)
    return QuantizedMatrix(values.astype(np.uint8), scales)
