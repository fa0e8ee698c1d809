"""The output of training on a GPU: a run's folder in files of less than 16 MB.

The best weights are in bf16. The state that a second run needs is the folder ``last``, with its
files split into parts.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from midirnn.codecs import codec_from_settings
from midirnn.errors import CheckpointError
from midirnn.files import replacing_folder
from midirnn.models.checkpoint import read_checkpoint, write_checkpoint
from midirnn.models.config import ModelConfig
from midirnn.training.folder import BEST, LAST, METRICS_FILE

MOST_BYTES = 15_000_000
"""The largest size of a file."""

STATE = "state-"
"""Prefix of the names of the parts of the state."""


def write_returned(run: Path, folder: Path) -> None:
    """Write the results of a run into a folder, which is replaced."""
    best = run / BEST if (run / BEST).exists() else run / LAST
    with replacing_folder(folder, CheckpointError) as fresh:
        weights = {
            name: torch.from_numpy(array).bfloat16()
            for name, array in read_checkpoint(best).weights.items()
        }
        for number, shard in enumerate(_shards(weights)):
            save_file(shard, fresh / f"weights-{number:02}.safetensors")
        shutil.copy(best / "config.json", fresh / "config.json")
        shutil.copy(run / METRICS_FILE, fresh / METRICS_FILE)
        for path in sorted((run / LAST).iterdir()):
            content = path.read_bytes()
            for number, begin in enumerate(range(0, max(len(content), 1), MOST_BYTES)):
                part = fresh / f"{STATE}{path.name}.{number:02}"
                part.write_bytes(content[begin : begin + MOST_BYTES])


def _shards(weights: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """Return the weights in groups that each fit into a file; larger ones are split by rows."""
    shards: list[dict[str, torch.Tensor]] = [{}]
    room = MOST_BYTES
    for name, weight in weights.items():
        rows = max(1, MOST_BYTES // max(2 * weight[:1].numel(), 1))
        for number, part in enumerate(torch.split(weight, rows)):
            if 2 * part.numel() > room:
                shards.append({})
                room = MOST_BYTES
            shards[-1][f"{name}:{number:02}"] = part.contiguous()
            room -= 2 * part.numel()
    return shards


def join_state(folder: Path, run: Path) -> None:
    """Make the folder of a run that can be continued, from the returned files."""
    parts = sorted(folder.glob(f"{STATE}*"))
    if not parts:
        raise CheckpointError(f"{folder} holds no state to go on from")
    if run.exists():
        raise CheckpointError(f"{run} exists already: remove it, or choose another folder")
    with replacing_folder(run / LAST, CheckpointError) as fresh:
        for part in parts:
            with (fresh / part.stem.removeprefix(STATE)).open("ab") as file:
                file.write(part.read_bytes())
    shutil.copy(folder / METRICS_FILE, run / METRICS_FILE)


def join_best(folder: Path, run: Path) -> None:
    """Add the best weights from the returned files to the folder of a run."""
    parts: dict[str, list[torch.Tensor]] = {}
    try:
        content: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        for path in sorted(folder.glob("weights-*.safetensors")):
            for name, part in sorted(load_file(path).items()):
                parts.setdefault(name.rpartition(":")[0], []).append(part.float())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} holds no weights that can be read ({error})") from None
    weights = {name: torch.cat(of_name).numpy() for name, of_name in parts.items()}
    config, codec = ModelConfig.from_dict(content["model"]), codec_from_settings(content["codec"])
    with replacing_folder(run / BEST, CheckpointError) as fresh:
        write_checkpoint(fresh, config, codec, weights, content["info"])
