"""Encode the piano parts of Lakh (Raffel, 2016), or of any folder of multi-track MIDI files.

    python3 scripts/encode_lakh.py lmd_full -o lakh-piano

A custom codec decides what is read from a file: here the parts with programs 0 to 7 (the pianos of
General MIDI). Files without such parts are refused.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from midirnn import MidirnnError, Performance, PerformanceCodec, encode_files, read_midi
from midirnn.cli.progress import progress_bar

PIANOS = range(8)


def piano_parts(performance: Performance) -> Performance:
    """Return the performance with only the notes of pianos."""
    is_piano = np.array([part.program in PIANOS for part in performance.parts], dtype=bool)
    return performance.select(is_piano[performance.part])


@dataclass(frozen=True)
class PianoCodec(PerformanceCodec):
    """The codec of performances, for the piano parts of a file.

    Its tokens are the same, and the data set stores the ordinary codec, so any command reads it.
    """

    def read(self, path: Path) -> Performance:
        return piano_parts(read_midi(path))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--workers", type=int)
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    try:
        with progress_bar("encoding") as progress:
            report = encode_files(
                [arguments.folder],
                arguments.output,
                codec=PianoCodec(),
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
