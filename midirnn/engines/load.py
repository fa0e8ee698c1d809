"""Find and load trained models: the ones that come with midirnn, and those in folders."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midirnn.codecs import Codec
from midirnn.engines.adapters import ADAPTER_FILE, read_adapted
from midirnn.engines.base import RecurrentEngine, StepEngine
from midirnn.engines.numpy_batch import NumpyBatch
from midirnn.engines.windowed_engine import make_numpy_engine
from midirnn.errors import CheckpointError, MidirnnError, OptionError
from midirnn.files import find_folder
from midirnn.models.checkpoint import CONFIG_FILE, Checkpoint, Weights, read_checkpoint
from midirnn.models.config import ModelConfig

PRETRAINED = Path(__file__).parents[1] / "pretrained"

ENGINES = ("auto", "numpy", "onnxruntime")
"""The values of ``--engine``."""


@dataclass(frozen=True, eq=False)
class Model:
    """A trained model: config, codec and weights. Makes engines."""

    name: str
    folder: Path
    config: ModelConfig
    codec: Codec[Any]
    weights: Weights
    info: dict[str, Any]

    def engine(self, kind: str = "auto") -> StepEngine:
        """Return a new engine, one of the :data:`ENGINES`, at the start of a piece.

        ``numpy`` is exact; ``onnxruntime`` is several times as fast, with weights in int8. ``auto``
        is onnxruntime if it is installed and runs, else numpy. Raises :class:`MissingExtraError` or
        :class:`OptionError` if the engine is not available.
        """
        if kind == "auto":
            try:
                return self._onnx_engine()
            except MidirnnError:
                return self.engine("numpy")
        if kind == "numpy":
            return make_numpy_engine(self.config, self.weights)
        if kind == "onnxruntime":
            return self._onnx_engine()
        raise OptionError(f"there is no engine {kind!r}; known are {', '.join(ENGINES)}")

    def lanes(self, count: int, kind: str = "auto") -> list[StepEngine]:
        """Return engines for ``count`` pieces at once, each at the start of a piece.

        ``auto`` and ``numpy`` compute the steps of all of them together; with ``onnxruntime``, and
        of models without recurrence, they share the weights, and each step is computed by itself.
        Raises as :meth:`engine` does.
        """
        if kind in ("auto", "numpy") and self.config.architecture == ModelConfig.architecture:
            batch = NumpyBatch(self.config, self.weights)
            return [batch.open_lane() for _ in range(count)]
        first = self.engine(kind)
        assert isinstance(first, RecurrentEngine)
        return [first, *(first.twin() for _ in range(count - 1))]

    def _onnx_engine(self) -> StepEngine:
        from midirnn.engines.export import export_onnx
        from midirnn.engines.onnx_engine import OnnxEngine, find_onnxruntime

        find_onnxruntime()  # before the work of an export
        return OnnxEngine(self.config, export_onnx(self.config, self.weights))


def pretrained_names(codec: str | None = None) -> list[str]:
    """Return the names of the models that come with midirnn: of all, or of those with a codec.

    Models without tokens, which do something else than go on, are not among them.
    """
    codecs = {path.parent.name: _codec_of(path) for path in PRETRAINED.glob(f"*/{CONFIG_FILE}")}
    return sorted(name for name, own in codecs.items() if own and codec in (None, own))


def _codec_of(config: Path) -> str | None:
    """Return the name of the codec in a model's config file; None if it has none."""
    settings = json.loads(config.read_text(encoding="utf-8"))["codec"]
    return None if settings is None else str(settings["name"])


def find_model(model: str | os.PathLike[str]) -> Path:
    """Return the folder of a model: of a name, a checkpoint, a training run, or a tuned model.

    Of a training run it is the best checkpoint, or the last one if it was never validated. Raises
    :class:`CheckpointError` if there is none.
    """
    folder = Path(model)
    of_name = [PRETRAINED / model] if isinstance(model, str) else []
    found = find_folder([folder, folder / "best", folder / "last", *of_name], holding=CONFIG_FILE)
    found = found or find_folder([folder], holding=ADAPTER_FILE)
    if found is not None:
        return found
    names = ", ".join(pretrained_names()) or "none"
    if folder.is_file():
        raise CheckpointError(
            f"{folder} is a file, and a model is a folder: name the checkpoint or training run "
            f"that it came from. Models with midirnn: {names}"
        )
    if folder.is_dir():
        raise CheckpointError(
            f"{folder} holds no model ({CONFIG_FILE} is missing). Models with midirnn: {names}"
        )
    raise CheckpointError(
        f"there is no model {os.fspath(model)!r}: it is neither a folder nor one of those that "
        f"come with midirnn ({names})"
    )


def read_model(folder: Path) -> Checkpoint:
    """Read the model in a folder that was found; a tuned one on top of its base."""
    if (folder / ADAPTER_FILE).exists():
        return read_adapted(folder, _read_base)
    return read_checkpoint(folder)


def _read_base(name: str) -> tuple[Path, Checkpoint]:
    folder = find_model(name)
    return folder, read_checkpoint(folder)


def load(model: str | os.PathLike[str] = "piano") -> Model:
    """Load the model of that name, or in that folder (a checkpoint, a run or a tuned model)."""
    folder = find_model(model)
    checkpoint = read_model(folder)
    if not isinstance(checkpoint.config, ModelConfig) or checkpoint.codec is None:
        raise CheckpointError(
            f"{folder} holds a model of the architecture {checkpoint.config.architecture!r}; only "
            f"models of {ModelConfig.architecture!r} can be played"
        )
    return Model(
        name=os.fspath(model),
        folder=folder,
        config=checkpoint.config,
        codec=checkpoint.codec,
        weights=checkpoint.weights,
        info=checkpoint.info,
    )
