"""Trained models: the ones that come with midirnn, and those in folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midirnn.codecs import PerformanceCodec
from midirnn.engines.base import StepEngine
from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.errors import CheckpointError
from midirnn.models.checkpoint import CONFIG_FILE, Weights, read_checkpoint
from midirnn.models.config import ModelConfig

PRETRAINED = Path(__file__).parents[1] / "pretrained"


@dataclass(frozen=True, eq=False)
class Model:
    """A trained model: what it is made of, its codec, its weights. Makes engines."""

    name: str
    folder: Path
    config: ModelConfig
    codec: PerformanceCodec
    weights: Weights
    info: dict[str, Any]

    def engine(self) -> StepEngine:
        """A new engine at the start of a piece."""
        return NumpyEngine(self.config, self.weights)


def pretrained_names() -> list[str]:
    """The names of the models that come with midirnn."""
    return sorted(path.parent.name for path in PRETRAINED.glob(f"*/{CONFIG_FILE}"))


def find_model(model: str | os.PathLike[str]) -> Path:
    """The folder that holds a model's config: of a name, a checkpoint, or a training run.

    Of a training run it is the best checkpoint, or the last where none was validated. Raises
    :class:`CheckpointError` where there is none.
    """
    folder = Path(model)
    of_name = [PRETRAINED / model] if isinstance(model, str) else []
    for candidate in (folder, folder / "best", folder / "last", *of_name):
        if (candidate / CONFIG_FILE).is_file():
            return candidate
    names = ", ".join(pretrained_names()) or "none"
    if folder.is_dir():
        raise CheckpointError(
            f"{folder} holds no model ({CONFIG_FILE} is missing). Models with midirnn: {names}"
        )
    raise CheckpointError(
        f"there is no model {os.fspath(model)!r}: it is neither a folder nor one of those that "
        f"come with midirnn ({names})"
    )


def load(model: str | os.PathLike[str] = "piano") -> Model:
    """The model of that name, or in that folder (a checkpoint or a training run)."""
    folder = find_model(model)
    checkpoint = read_checkpoint(folder)
    return Model(
        name=os.fspath(model),
        folder=folder,
        config=checkpoint.config,
        codec=checkpoint.codec,
        weights=checkpoint.weights,
        info=checkpoint.info,
    )
