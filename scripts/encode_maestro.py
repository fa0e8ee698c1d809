"""Encode MAESTRO (Hawthorne et al., 2019) with its publisher's splits.

    python3 scripts/encode_maestro.py maestro-v3.0.0 -o maestro

The splits are those of the table in the folder (maestro-v3.0.0.csv), or of another one (--splits)
with the columns path and split.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from midirnn import DatasetError, MidirnnError, PerformanceCodec, SplitTable, encode_files
from midirnn.cli.progress import progress_bar


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--workers", type=int)
    return parser.parse_args()


def find_table(folder: Path) -> Path:
    """Return the publisher's table; if there are several versions, the latest."""
    tables = sorted(folder.glob("maestro-v*.csv"))
    if not tables:
        raise DatasetError(f"{folder} holds no maestro-v*.csv; name a table with --splits")
    return tables[-1]


def main() -> int:
    arguments = parse_arguments()
    try:
        splits = SplitTable.read(arguments.splits or find_table(arguments.folder))
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
