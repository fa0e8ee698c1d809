"""Encode a folder of MIDI files as a data set. Copy this to encode data of your own.

    python3 scripts/encode_folder.py FOLDER -o my-data

A tenth of the files is for validation and testing, chosen by the hashes of their contents. To use
another codec, pass another object: any class with the methods of midirnn.codecs.base.Codec will do.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from midirnn import MidirnnError, PerformanceCodec, SplitShares, encode_files
from midirnn.cli.progress import progress_bar


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps-per-second", type=int, default=100)
    parser.add_argument("--velocity-bins", type=int, default=32)
    parser.add_argument("--workers", type=int)
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    codec = PerformanceCodec(
        steps_per_second=arguments.steps_per_second, velocity_bins=arguments.velocity_bins
    )
    try:
        with progress_bar("encoding") as progress:
            report = encode_files(
                [arguments.folder],
                arguments.output,
                codec=codec,
                splits=SplitShares(validation=0.05, test=0.05),
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
