"""Models on the disk: a folder with config.json and model.safetensors. Needs no torch."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.codecs import PerformanceCodec, codec_from_settings
from midirnn.codecs.controls import NUM_CONTROL_INPUTS
from midirnn.codecs.recall import NUM_MATCHES
from midirnn.errors import CheckpointError, MidirnnError
from midirnn.models.cells import find_cell
from midirnn.models.config import ModelConfig
from midirnn.performance import NUM_PITCHES

FORMAT_VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"

_NEW, _OLD = "new", "old"

Weights = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model as it is stored: what it is made of, the codec of its tokens, its weights in fp32."""

    config: ModelConfig
    codec: PerformanceCodec
    weights: Weights
    info: dict[str, Any]
    """Whatever its maker wrote down: tokens seen, validation loss, data."""


def read_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint in a folder.

    Raises :class:`CheckpointError` where files are missing or damaged, or where config and weights
    do not fit, naming both.
    """
    path = folder / CONFIG_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version, model, codec = content["format_version"], content["model"], content["codec"]
    except FileNotFoundError:
        raise CheckpointError(f"{folder} holds no model: {CONFIG_FILE} is missing") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read ({_reason(error)})") from None
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {version}; this midirnn reads {FORMAT_VERSION}"
        )
    try:
        config = ModelConfig.from_dict(model)
        made_codec = codec_from_settings(codec)
    except (MidirnnError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: {_reason(error)}") from None
    if made_codec.vocab_size != config.vocab_size:
        raise CheckpointError(
            f"{path}: the model has {config.vocab_size} tokens and its codec "
            f"{made_codec.vocab_size}"
        )
    weights = _read_weights(folder / WEIGHTS_FILE)
    check_shapes(weights, config, str(folder / WEIGHTS_FILE))
    return Checkpoint(config, made_codec, weights, content.get("info", {}))


def _read_weights(path: Path) -> Weights:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.exists():
        raise CheckpointError(f"{path.parent} holds no weights: {path.name} is missing")
    try:
        return {name: array.astype(np.float32) for name, array in load_file(path).items()}
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read ({_reason(error)})") from None


def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The shape of each weight of a model."""
    shapes: dict[str, tuple[int, ...]] = {
        "embedding.weight": (config.vocab_size + 1, config.embedding_size),
        "held.weight": (config.embedding_size, NUM_PITCHES),
        "output.bias": (config.vocab_size,),
    }
    if not config.tied_embedding:
        shapes["output.weight"] = (config.vocab_size, config.hidden_size)
    if config.recall_notes:
        shapes |= {
            "recalled.weight": (config.embedding_size, NUM_PITCHES + NUM_MATCHES),
            "trust.weight": (NUM_MATCHES, config.hidden_size),
            "trust.bias": (NUM_MATCHES,),
        }
    if config.control_inputs:
        shapes["controls.weight"] = (config.embedding_size, NUM_CONTROL_INPUTS)
    cell = find_cell(config.cell)
    for layer in range(config.num_layers):
        of_layer = cell.weight_shapes(config.layer_input_size(layer), config.hidden_size)
        shapes |= {f"layers.{layer}.{name}": shape for name, shape in of_layer.items()}
        if config.layer_norm:
            shapes |= {
                f"norms.{layer}.weight": (config.hidden_size,),
                f"norms.{layer}.bias": (config.hidden_size,),
            }
    return shapes


def check_shapes(weights: Mapping[str, npt.NDArray[Any]], config: ModelConfig, name: str) -> None:
    """Raise :class:`CheckpointError` where the weights are not those of the config."""
    expected = expected_shapes(config)
    for weight in sorted(expected.keys() | weights.keys()):
        have = weights[weight].shape if weight in weights else None
        want = expected.get(weight)
        if have != want:
            raise CheckpointError(
                f"{name} does not fit its config: {weight} is "
                f"{'missing' if have is None else have} in the weights and "
                f"{'not known' if want is None else want} by the config"
            )
        if not np.isfinite(weights[weight]).all():
            raise CheckpointError(f"{name}: {weight} holds values that are not numbers")


def write_checkpoint(
    folder: Path,
    config: ModelConfig,
    codec: PerformanceCodec,
    weights: Mapping[str, npt.NDArray[Any]],
    info: Mapping[str, Any],
    *,
    dtype: npt.DTypeLike = np.float32,
) -> None:
    """Write config and weights into a folder that exists."""
    from safetensors.numpy import save

    stored = {name: np.ascontiguousarray(array, dtype) for name, array in weights.items()}
    (folder / WEIGHTS_FILE).write_bytes(save(stored))
    content = {
        "format_version": FORMAT_VERSION,
        "model": config.to_dict(),
        "codec": codec.settings(),
        "info": dict(info),
    }
    (folder / CONFIG_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """A new folder to fill; it takes the place of ``target`` once the block ends without error.

    Whatever happens, ``target`` is the old folder or the new one, whole. Only a process that is
    killed between two renames leaves neither: :func:`recover_folder` brings the old one back.
    """
    fresh, old = _beside(target)
    try:
        recover_folder(target)
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        fresh.mkdir(parents=True)
        yield fresh
        for file in fresh.iterdir():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise CheckpointError(f"{target} cannot be written ({_reason(error)})") from None
    finally:
        recover_folder(target)
        shutil.rmtree(fresh, ignore_errors=True)


def recover_folder(target: Path) -> None:
    """Bring back what a process took away that was killed in :func:`replacing_folder`."""
    _, old = _beside(target)
    if old.exists() and not target.exists():
        old.rename(target)


def remove_folder(target: Path) -> None:
    """Remove a folder, if it is there, and what :func:`replacing_folder` left beside it."""
    for folder in (*_beside(target), target):
        if folder.exists():
            shutil.rmtree(folder)


def _beside(target: Path) -> tuple[Path, Path]:
    """Where the new folder is made, and where the old one goes for a moment."""
    return target.with_name(f".{target.name}.{_NEW}"), target.with_name(f".{target.name}.{_OLD}")


def _reason(error: Exception) -> str:
    """One line that says what an error says."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    return " ".join(str(error).split()) or type(error).__name__
