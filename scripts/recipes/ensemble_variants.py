"""Write variants of each training quartet: other tempos, other keys and shifted seconds.

    python3 scripts/recipes/ensemble_variants.py SPLITS.csv -o FOLDER --copies 8

SPLITS.csv names files, their data set and their split; only those of the train split are varied.
Where a second begins says nothing about the music, and a quartet stays plausible when it is a
little faster or two semitones higher, so each copy could have been in the data set. Parts keep
their names and their order.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from midirnn import read_midi, write_midi

SPREAD = 0.25
"""The largest change of tempo, as a share."""
SEMITONES = 2
"""The largest transposition."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("splits", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--dataset", default="openscore-sq")
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with arguments.splits.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    used = [r for r in rows if r["dataset"] == arguments.dataset and r["split"] == "train"]
    arguments.output.mkdir(parents=True)
    rng = np.random.default_rng(arguments.seed)
    for number, row in enumerate(used):
        piece = read_midi(arguments.splits.parent / row["path"])
        for copy in range(arguments.copies):
            rate = (1 + SPREAD) ** rng.uniform(-1, 1)
            varied = piece.transpose(int(rng.integers(-SEMITONES, SEMITONES + 1)))
            varied = varied.stretch(rate).shift(rng.uniform(0, 1))
            write_midi(varied, arguments.output / f"{number:03}-{copy}.mid")
    print(f"{arguments.output}: {len(used) * arguments.copies} files")


if __name__ == "__main__":
    main()
