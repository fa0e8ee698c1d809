"""Buckets of times, counts and differences: fine for small values, coarse for large ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from midirnn.arrays import IntArray

FAR = 1 << 20
"""Stands for a time or a count that does not exist; beyond all buckets."""


def _buckets(values: int, small: int, per_octave: float, last: int) -> IntArray:
    """Return the buckets of 0 to ``values - 1``: one each below ``small``, then by octaves."""
    numbers = np.arange(values)
    octaves = np.log2(np.maximum(numbers, 1) / small)
    return np.minimum(
        np.where(numbers < small, numbers, np.floor(small + per_octave * octaves)), last
    ).astype(np.int64)


_TIME = _buckets(4096, 8, 4.0, 31)
_COUNT = _buckets(512, 16, 1.75, 23)
_SHIFTED = _buckets(4096, 80, 12.0, 127)
_APART = np.minimum(
    np.where(
        np.arange(2001) <= 10,
        np.arange(2001),
        np.floor(10.5 + 3.0 * np.log2(np.maximum(np.arange(2001), 1) / 10.0)),
    ),
    20,
).astype(np.int64)


_FARTHEST = len(_APART) - 1
_DIFFERENCE = np.concatenate([20 - _APART[:0:-1], 20 + _APART])


def time_bucket(steps: npt.NDArray[np.integer]) -> IntArray:
    """Return the bucket, 0 to 31, of a time: exact below 8 steps, then four to the octave."""
    return _TIME.take(steps, mode="clip")


def count_bucket(count: npt.NDArray[np.integer]) -> IntArray:
    """Return the bucket, 0 to 23, of a count: exact below 16."""
    return _COUNT.take(count, mode="clip")


def shifted_bucket(steps: npt.NDArray[np.integer]) -> IntArray:
    """Return the bucket, 0 to 127, of a time since an onset: exact below 80 steps."""
    return _SHIFTED.take(steps, mode="clip")


def difference_bucket(steps: npt.NDArray[np.integer]) -> IntArray:
    """Return the bucket, 0 to 40, of a difference: exact up to 10 steps either way, 20 for 0."""
    return _DIFFERENCE.take(steps + _FARTHEST, mode="clip")
