"""Tuned models without a training: the tiny model, changed at random."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from midirnn import load
from midirnn.engines.adapters import Adapter, hash_of, write_adapter


def write_tuned(folder: Path, base: Path, seed: int = 0) -> str:
    """Write an adapter of the model in ``base`` into a new folder, and return that."""
    rng = np.random.default_rng(seed)
    changes = {
        f"{name}.change": (0.3 * rng.standard_normal(array.shape)).astype(np.float32)
        for name, array in load(base).weights.items()
    }
    folder.mkdir()
    write_adapter(folder, Adapter(str(base.resolve()), hash_of(base), changes, {}))
    return str(folder)
