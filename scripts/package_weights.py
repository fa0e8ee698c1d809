"""Put a run's best weights into the package: in fp16, with their evaluations.

    python3 scripts/package_weights.py RUN midirnn/pretrained/NAME --evaluations FILE.json ...

The evaluations are the output of midirnn evaluate --json: of splits, with the grammar's mask and
without it, and of samples, of which only the summary is kept. The card (README.md) and the licence
beside the weights are written by hand and are not changed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from midirnn.engines.load import find_model
from midirnn.models.checkpoint import read_checkpoint, write_checkpoint

SAMPLES = "samples"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--evaluations", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    checkpoint = read_checkpoint(find_model(arguments.run))
    evaluations: dict[str, dict[str, Any]] = {}
    for path in arguments.evaluations:
        name, kept = named(json.loads(path.read_text(encoding="utf-8")))
        if name in evaluations:
            parser.error(f"{path} is a second evaluation of {name!r}: give one of each")
        evaluations[name] = kept
    info = without_folders(checkpoint.info) | {"weights": "float16", "evaluation": evaluations}
    arguments.target.mkdir(parents=True, exist_ok=True)
    write_checkpoint(
        arguments.target,
        checkpoint.config,
        checkpoint.codec,
        checkpoint.weights,
        info,
        dtype=np.float16,
    )
    size = sum(array.size for array in checkpoint.weights.values())
    print(f"{arguments.target}: {size:,} weights, {checkpoint.info.get('tokens_seen', 0):,} tokens")


def named(evaluation: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name of an evaluation in the package, and the part of it that is kept."""
    if SAMPLES in evaluation:
        return SAMPLES, without(evaluation, "model", "each")
    masked = "" if evaluation["mask"] else " without mask"
    return evaluation["split"] + masked, without(evaluation, "model", "split")


def without_folders(info: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a training; of the run it began from, no more than the name."""
    origin = info.get("started_from")
    if origin is None or not Path(origin["model"]).is_absolute():
        return info
    return info | {"started_from": origin | {"model": Path(origin["model"]).name}}


def without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


if __name__ == "__main__":
    main()
