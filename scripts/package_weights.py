"""Put a run's best weights into the package: fp16, with what is known about them.

    python3 scripts/package_weights.py RUN midirnn/pretrained/NAME --evaluations FILE.json ...

The card (README.md) and the licence beside the weights are written by hand and stay as they are.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from midirnn.engines.load import find_model
from midirnn.models.checkpoint import read_checkpoint, write_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--evaluations", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    checkpoint = read_checkpoint(find_model(arguments.run))
    evaluations = [json.loads(path.read_text(encoding="utf-8")) for path in arguments.evaluations]
    info = checkpoint.info | {
        "weights": "float16",
        "evaluation": {
            e["split"]: {key: value for key, value in e.items() if key not in ("model", "split")}
            for e in evaluations
        },
    }
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


if __name__ == "__main__":
    main()
