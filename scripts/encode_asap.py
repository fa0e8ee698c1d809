"""Encode the performances of ASAP (Foscarin et al., 2020), split by work.

    python3 scripts/encode_asap.py asap-dataset -o asap [--without-maestro]

ASAP has no splits of its own. Here all performances of a work share one, and so do the movements of
a sonata, and a prelude and its fugue. About half of the performances are excerpts from MAESTRO;
--without-maestro leaves these out, to train on both data sets.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
import sys
from pathlib import Path

from midirnn import DatasetError, MidirnnError, PerformanceCodec, SplitTable, encode_files
from midirnn.cli.progress import progress_bar


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--without-maestro", action="store_true")
    parser.add_argument("--workers", type=int)
    return parser.parse_args()


def work_of(composer: str, title: str) -> str:
    """Return the work to which a piece belongs: "Bach bwv_846" for Fugue_bwv_846."""
    return f"{composer} {re.sub(r'^(Prelude|Fugue)_|-[0-9]+$', '', title)}"


def split_of(work: str) -> str:
    """Return the split of a work's pieces; validation and test get a tenth of the works each."""
    place = int(hashlib.sha256(work.encode()).hexdigest(), 16) % 10
    return {0: "validation", 1: "test"}.get(place, "train")


def read_splits(folder: Path, without_maestro: bool) -> SplitTable:
    """Return the split of each performance that metadata.csv lists."""
    table = folder / "metadata.csv"
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise DatasetError(f"{table} cannot be read: {error.strerror}") from None
    splits = {
        row["midi_performance"]: split_of(work_of(row["composer"], row["title"]))
        for row in rows
        if not (without_maestro and row["maestro_midi_performance"])
    }
    return SplitTable(table, splits)


def main() -> int:
    arguments = parse_arguments()
    try:
        splits = read_splits(arguments.folder, arguments.without_maestro)
        with progress_bar("encoding") as progress:
            report = encode_files(
                [arguments.folder],
                arguments.output,
                codec=PerformanceCodec(),
                splits=splits,
                workers=arguments.workers,
                progress=progress,
            )
    except MidirnnError as error:
        print(error, file=sys.stderr)
        return 1
    print(report)
    return 0


if __name__ == "__main__":  # the worker processes import this file, and must not encode again
    sys.exit(main())
