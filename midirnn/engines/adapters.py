"""Adapters: what a tuned model adds to its base's weights, a few hundred kilobytes. Needs no torch.

The change of each matrix is kept at a low rank: ``W + up @ down``, where ``up`` and ``down`` are
the largest singular values and vectors of the change. So an adapter has the form of LoRA's (E. Hu
et al., 2021), though all weights were free in training.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.engines.state import RecurrentState, StateLayout
from midirnn.errors import CheckpointError
from midirnn.files import reason_of
from midirnn.models.checkpoint import WEIGHTS_FILE, Checkpoint, Weights

ADAPTER_FILE, CHANGES_FILE = "adapter.json", "adapter.safetensors"
FORMAT_VERSION = 1
UP, DOWN, WHOLE = ".up", ".down", ".change"
INITIAL = "initial."
"""Followed by the number of one of the cell's states: the hidden state at the start of pieces."""


@dataclass(frozen=True, eq=False)
class Adapter:
    """What is added to the weights of a base, which is identified by its name and its hash."""

    base: str
    base_hash: str
    changes: Weights
    """By the weight's name with :data:`UP` and :data:`DOWN`, or :data:`WHOLE`; the initial state by
    :data:`INITIAL`."""
    info: dict[str, Any]

    def apply(self, base: Weights) -> Weights:
        """Return the tuned model's weights. Raises :class:`CheckpointError` if they do not fit."""
        weights = dict(base)
        for key, change in self.changes.items():
            name, _, kind = key.rpartition(".")
            if f".{kind}" == DOWN or key.startswith(INITIAL):
                continue
            whole = change if f".{kind}" == WHOLE else change @ self.changes[name + DOWN]
            if name not in base or base[name].shape != whole.shape:
                raise CheckpointError(f"the adapter changes {name}, which its base has not")
            weights[name] = base[name] + whole
        return weights

    def scaled(self, share: float) -> Adapter:
        """Return an adapter with a share of the change."""
        changes = {
            key: array if key.endswith(DOWN) else np.float32(share) * array
            for key, array in self.changes.items()
        }
        return replace(self, changes=changes)

    @property
    def initial(self) -> RecurrentState | None:
        """The recurrent state in which pieces begin; None for that of the base."""
        numbers = sorted(key for key in self.changes if key.startswith(INITIAL))
        return tuple(self.changes[key] for key in numbers) or None


def hash_of(folder: Path) -> str:
    """Return the hash that identifies a model's weights: the SHA-256 of their file.

    For a tuned model it is that of its changes and of its base's hash.
    """
    whole = folder / WEIGHTS_FILE
    if not (folder / ADAPTER_FILE).exists():
        return hashlib.sha256(whole.read_bytes()).hexdigest()
    changes = (folder / CHANGES_FILE).read_bytes()
    return hashlib.sha256(changes + read_adapter(folder).base_hash.encode()).hexdigest()


def changes_between(base: Weights, tuned: Weights, rank: int) -> Weights:
    """Return the changes of all weights, those of matrices with at most this rank."""
    changes: Weights = {}
    for name, before in base.items():
        change = (tuned[name] - before).astype(np.float32)
        if not change.any():
            continue
        if change.ndim == 2 and rank * sum(change.shape) < change.size:
            changes[name + UP], changes[name + DOWN] = _factors(change, rank)
        else:
            changes[name + WHOLE] = change
    return changes


def _factors(
    matrix: npt.NDArray[np.float32], rank: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the best approximation of that rank as a product (C. Eckart and G. Young, 1936)."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    root = np.sqrt(values[:rank])
    return left[:, :rank] * root, root[:, None] * right[:rank]


def write_adapter(folder: Path, adapter: Adapter) -> None:
    """Write an adapter into an existing folder."""
    from safetensors.numpy import save

    stored = {name: np.ascontiguousarray(array) for name, array in adapter.changes.items()}
    (folder / CHANGES_FILE).write_bytes(save(stored))
    content = {
        "format_version": FORMAT_VERSION,
        "base": adapter.base,
        "base_hash": adapter.base_hash,
        "info": adapter.info,
    }
    (folder / ADAPTER_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter. Raises :class:`CheckpointError` if it is damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / ADAPTER_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version, base, base_hash = (content[k] for k in ("format_version", "base", "base_hash"))
        changes = load_file(folder / CHANGES_FILE)
        info = dict(content.get("info", {}))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"{folder} is a damaged adapter ({reason_of(error)})") from None
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {version}; this midirnn reads {FORMAT_VERSION}"
        )
    lonely = [k for k in changes if k.endswith(UP) and k.removesuffix(UP) + DOWN not in changes]
    if lonely or not all(np.isfinite(change).all() for change in changes.values()):
        raise CheckpointError(f"{folder} is a damaged adapter (it holds no whole numbers of it)")
    return Adapter(str(base), str(base_hash), changes, info)


def read_tuned(
    folder: Path, read_base: Callable[[str], tuple[Path, Checkpoint]]
) -> tuple[Checkpoint, Adapter]:
    """Return the base and the adapter in a folder, after checking that they fit.

    ``read_base`` finds and reads a model by its name. Raises :class:`CheckpointError` if the base
    is not the one that the adapter was made for.
    """
    adapter = read_adapter(folder)
    base_folder, base = read_base(adapter.base)
    if hash_of(base_folder) != adapter.base_hash:
        raise CheckpointError(
            f"{folder} was tuned from another {adapter.base} than the one that is installed here: "
            "tune it again"
        )
    if adapter.initial is not None:
        expected = [part.shape for part in StateLayout.of(base.config).zeros()]
        if [part.shape for part in adapter.initial] != expected:
            raise CheckpointError(f"the adapter in {folder} begins in a state of another model")
    return base, adapter


def applied(base: Checkpoint, adapter: Adapter) -> Checkpoint:
    """Return the checkpoint of a tuned model: that of its base with the adapter applied."""
    info = base.info | {"tuned": adapter.info | {"base": adapter.base}}
    return Checkpoint(base.config, base.codec, adapter.apply(base.weights), info)
