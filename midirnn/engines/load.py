"""Find and load trained models: the ones that come with midirnn, and those in folders."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from midirnn.codecs import Codec
from midirnn.engines.adapters import ADAPTER_FILE, Adapter, applied, read_tuned
from midirnn.engines.base import RecurrentEngine, StepEngine
from midirnn.engines.blended import BlendedEngine
from midirnn.engines.lanes import LaneBatch
from midirnn.engines.numpy_batch import NumpyBatch
from midirnn.engines.state import RecurrentState
from midirnn.engines.windowed_engine import make_numpy_engine
from midirnn.errors import CheckpointError, MidirnnError, OptionError
from midirnn.files import find_folder
from midirnn.models.checkpoint import CONFIG_FILE, Checkpoint, Weights, read_checkpoint
from midirnn.models.config import ModelConfig

PRETRAINED = Path(__file__).parents[1] / "pretrained"

ENGINES = ("auto", "native", "numpy", "onnxruntime")
"""The values of ``--engine``."""

NOT_TUNED = "{name} is no tuned model, so there is nothing to blend it with: see midirnn tune"


@dataclass(frozen=True, eq=False)
class Model:
    """A trained model: config, codec and weights. Makes engines."""

    name: str
    folder: Path
    config: ModelConfig
    codec: Codec[Any]
    weights: Weights
    info: dict[str, Any]
    initial: RecurrentState | None = None
    """The recurrent state in which pieces begin; None for zeros."""
    base: Model | None = None
    """The model that a tuned model was tuned from."""
    blend: float = 1.0
    """The share of a tuned model, 0 to 1; the rest is its base."""

    def engine(self, kind: str = "auto") -> RecurrentEngine:
        """Return a new engine, one of the :data:`ENGINES`, at the start of a piece.

        ``numpy`` is exact; ``onnxruntime`` is several times as fast, with weights in int8;
        ``native`` is the fastest, also in int8, and needs a C++ compiler. ``auto`` is
        onnxruntime if it is installed and runs, else numpy. Raises :class:`MissingExtraError` or
        :class:`OptionError` if the engine is not available.
        """
        if self.blend < 1.0:
            return self.blended(kind)
        engine = self._engine(kind)
        if self.initial is not None:
            engine.begin_from(self.initial)
        return engine

    def _engine(self, kind: str) -> RecurrentEngine:
        if kind == "auto":
            try:
                return self._onnx_engine()
            except MidirnnError:
                return self._engine("numpy")
        if kind == "numpy":
            return make_numpy_engine(self.config, self.weights)
        if kind == "onnxruntime":
            return self._onnx_engine()
        if kind == "native" and self.config.architecture != ModelConfig.architecture:
            raise OptionError(
                f"the engine 'native' runs recurrent layers, and {self.name} has the architecture "
                f"{self.config.architecture!r}. Use the engine 'numpy' instead"
            )
        if kind == "native":
            from midirnn.engines.native_engine import NativeEngine

            return NativeEngine(self.config, self.weights)
        raise OptionError(f"there is no engine {kind!r}; known are {', '.join(ENGINES)}")

    def playing_engine(self, kind: str = "auto") -> str:
        """Return the name of the engine to play live with: for ``auto``, native if that is ready.

        The first call starts compiling it in the background; ``auto`` is returned until then.
        """
        if kind == "auto":
            from midirnn.engines.native_engine import native_now

            is_recurrent = self.config.architecture == ModelConfig.architecture
            return "native" if is_recurrent and native_now(self.config) else "auto"
        return kind

    def blended(self, kind: str = "auto") -> BlendedEngine:
        """Return an engine in which the share of the tuned model can be changed.

        For a model that is not tuned both parts are the same. Raises as :meth:`engine` does.
        """
        tuned = replace(self, blend=1.0).engine(kind)
        base = tuned if self.base is None else self.base.engine(kind)
        return BlendedEngine(base, tuned, self.blend)

    def lanes(self, count: int, kind: str = "auto") -> list[StepEngine]:
        """Return engines for ``count`` pieces at once, each at the start of a piece.

        ``auto`` and ``numpy`` compute the steps of all of them together, and so does ``native``,
        the fastest. With ``onnxruntime``, and for blended models and those without recurrence, they
        share the weights, but each step is computed separately. Raises as :meth:`engine` does.
        """
        is_recurrent = self.config.architecture == ModelConfig.architecture
        if kind in ("auto", "numpy", "native") and self.blend == 1.0 and is_recurrent:
            batch = self._batch(kind)
            lanes = [batch.open_lane() for _ in range(count)]
            if self.initial is not None:
                for lane in lanes:
                    lane.begin_from(self.initial)
            return [*lanes]
        first = self.engine("numpy" if kind == "auto" else kind)
        return [first, *(first.twin() for _ in range(count - 1))]

    def _batch(self, kind: str) -> LaneBatch:
        if kind != "native":
            return NumpyBatch(self.config, self.weights)
        from midirnn.engines.native_engine import NativeBatch

        return NativeBatch(self.config, self.weights)

    def _onnx_engine(self) -> RecurrentEngine:
        from midirnn.engines.export import export_onnx
        from midirnn.engines.onnx_engine import OnnxEngine, find_onnxruntime

        find_onnxruntime()  # before the work of an export
        return OnnxEngine(self.config, export_onnx(self.config, self.weights))


def pretrained_names(codec: str | None = None) -> list[str]:
    """Return the names of the models that come with midirnn: all, or those with this codec.

    Models without tokens, such as the humanizer, are left out.
    """
    codecs = {path.parent.name: _codec_of(path) for path in PRETRAINED.glob(f"*/{CONFIG_FILE}")}
    return sorted(name for name, own in codecs.items() if own and codec in (None, own))


def _codec_of(config: Path) -> str | None:
    """Return the name of the codec in a model's config file; None if it has none."""
    settings = json.loads(config.read_text(encoding="utf-8"))["codec"]
    return None if settings is None else str(settings["name"])


def find_model(model: str | os.PathLike[str], *, names: Sequence[str] | None = None) -> Path:
    """Return the folder of a model, given its name, a checkpoint, a training run or a tuned model.

    For a training run it is the best checkpoint, or the last one if it was never validated. Raises
    :class:`CheckpointError` if there is none, listing ``names``, by default those of all models
    with tokens.
    """
    folder = Path(model)
    of_name = [PRETRAINED / model] if isinstance(model, str) else []
    found = find_folder([folder, folder / "best", folder / "last", *of_name], holding=CONFIG_FILE)
    found = found or find_folder([folder], holding=ADAPTER_FILE)
    if found is not None:
        return found
    known = ", ".join(pretrained_names() if names is None else names) or "none"
    if folder.is_file():
        raise CheckpointError(
            f"{folder} is a file, and a model is a folder: name the checkpoint or training run "
            f"that it came from. Models with midirnn: {known}"
        )
    if folder.is_dir():
        raise CheckpointError(
            f"{folder} holds no model ({CONFIG_FILE} is missing). Models with midirnn: {known}"
        )
    raise CheckpointError(
        f"there is no model {os.fspath(model)!r}: it is neither a folder nor one of those that "
        f"come with midirnn ({known})"
    )


def read_model(folder: Path) -> Checkpoint:
    """Read the model in a folder; the adapter of a tuned one is applied to its base."""
    if (folder / ADAPTER_FILE).exists():
        return applied(*read_tuned(folder, _read_base))
    return read_checkpoint(folder)


def _read_base(name: str) -> tuple[Path, Checkpoint]:
    folder = find_model(name)
    return folder, read_checkpoint(folder)


def load(model: str | os.PathLike[str] = "piano", *, blend: float = 1.0) -> Model:
    """Load the model with this name, or in this folder (a checkpoint, a run or a tuned model).

    ``blend`` is the share of a tuned model, 0 to 1; the rest is its base. Raises
    :class:`OptionError` if there is nothing to blend.
    """
    name, folder = os.fspath(model), find_model(model)
    if not 0.0 <= blend <= 1.0:  # also refuses NaN
        raise OptionError(f"blend is {blend:g}; allowed are 0 to 1")
    if not (folder / ADAPTER_FILE).exists():
        if blend < 1.0:
            raise OptionError(NOT_TUNED.format(name=name))
        return _playable(name, folder, read_checkpoint(folder))
    checkpoint, adapter = read_tuned(folder, _read_base)
    base = _playable(adapter.base, find_model(adapter.base), checkpoint)
    return replace(tuned(base, adapter, name, folder), blend=blend)


def as_model(model: Model | str | os.PathLike[str]) -> Model:
    """Return the model, or load the one with this name or in this folder."""
    return load(model) if isinstance(model, str | os.PathLike) else model


def tuned(base: Model, adapter: Adapter, name: str, folder: Path) -> Model:
    """Return the base with the adapter, which must fit it, applied."""
    return replace(
        base,
        name=name,
        folder=folder,
        weights=adapter.apply(base.weights),
        info=base.info | {"tuned": adapter.info | {"base": adapter.base}},
        initial=adapter.initial,
        base=base,
    )


def _playable(name: str, folder: Path, checkpoint: Checkpoint) -> Model:
    """Return the model of a checkpoint. Raises :class:`CheckpointError` if it cannot be played."""
    if not isinstance(checkpoint.config, ModelConfig) or checkpoint.codec is None:
        raise CheckpointError(
            f"{folder} holds a model of the architecture {checkpoint.config.architecture!r}; only "
            f"models of {ModelConfig.architecture!r} can be played"
        )
    return Model(
        name=name,
        folder=folder,
        config=checkpoint.config,
        codec=checkpoint.codec,
        weights=checkpoint.weights,
        info=checkpoint.info,
    )
