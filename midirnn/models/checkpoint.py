"""Models on disk: a folder with config.json and model.safetensors. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.codecs import Codec, codec_from_settings
from midirnn.errors import CheckpointError, MidirnnError
from midirnn.files import reason_of
from midirnn.models.architectures import LANGUAGE_MODEL, ArchitectureConfig, find_architecture

FORMAT_VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"

Weights = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model as it is stored: its config, the codec of its tokens, its weights in fp32."""

    config: Any
    """The config of its architecture; see :data:`~midirnn.models.architectures.ARCHITECTURES`."""
    codec: Codec[Any] | None
    """None for a model that has no tokens."""
    weights: Weights
    info: dict[str, Any]
    """Anything else that was saved with it: tokens seen, validation loss, data."""


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read the checkpoint in a folder.

    Raises :class:`CheckpointError` if files are missing or damaged, or if config and weights do not
    match; the message then gives both shapes.
    """
    path = folder / CONFIG_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version, model, codec = content["format_version"], content["model"], content["codec"]
    except FileNotFoundError:
        raise CheckpointError(f"{folder} holds no model: {CONFIG_FILE} is missing") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read ({reason_of(error)})") from None
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {version}; this midirnn reads {FORMAT_VERSION}"
        )
    try:
        architecture = find_architecture(content.get("architecture", LANGUAGE_MODEL))
        config = architecture.config.from_dict(model)
        made_codec = None if codec is None else codec_from_settings(codec)
        config.check_codec(made_codec)
    except (MidirnnError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: {reason_of(error)}") from None
    weights = _read_weights(folder / WEIGHTS_FILE)
    for name in config.obsolete_weights:
        weights.pop(name, None)
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
        raise CheckpointError(f"{path} cannot be read ({reason_of(error)})") from None


def expected_shapes(config: ArchitectureConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of a model."""
    return config.weight_shapes()


def check_shapes(
    weights: Mapping[str, npt.NDArray[Any]], config: ArchitectureConfig, name: str
) -> None:
    """Raise :class:`CheckpointError` if weights do not match the config or are not finite."""
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


def settings_of(codec: Codec[Any] | None) -> dict[str, Any]:
    """Return the settings of a codec; empty without a codec."""
    return {} if codec is None else codec.settings()


def write_checkpoint(
    folder: Path,
    config: ArchitectureConfig,
    codec: Codec[Any] | None,
    weights: Mapping[str, npt.NDArray[Any]],
    info: Mapping[str, Any],
    *,
    dtype: npt.DTypeLike = np.float32,
) -> None:
    """Write config and weights into an existing folder."""
    from safetensors.numpy import save

    stored = {name: np.ascontiguousarray(array, dtype) for name, array in weights.items()}
    (folder / WEIGHTS_FILE).write_bytes(save(stored))
    content = {
        "format_version": FORMAT_VERSION,
        "architecture": config.architecture,
        "model": config.to_dict(),
        "codec": None if codec is None else codec.settings(),
        "info": dict(info),
    }
    (folder / CONFIG_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
