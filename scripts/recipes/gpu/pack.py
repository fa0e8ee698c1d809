"""Pack data sets into a few small files, to copy them to a machine with a GPU.

    python3 scripts/recipes/gpu/pack.py PACK DATASET[:WEIGHT] ...

About 0.6 bytes per token; README.md in this folder describes all steps.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from packing import write_pack

from midirnn.datasets.mixture import Mixture
from midirnn.errors import MidirnnError


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pack", type=Path, help="folder to write")
    parser.add_argument("datasets", nargs="+", metavar="DATASET")
    parser.add_argument("--megabytes", type=float, default=60.0, help="refuse to write more")
    arguments = parser.parse_args()
    try:
        mixture = Mixture.open(arguments.datasets)
        written = write_pack(arguments.pack, mixture, 1e6 * arguments.megabytes)
    except MidirnnError as error:
        print(f"pack: error: {error}", file=sys.stderr)
        return 1
    tokens = sum(d.counts[s].tokens for d in mixture.datasets for s in d.splits if s != "test")
    print(f"{arguments.pack}: {tokens:,} tokens, {written:,} bytes, {written / tokens:.3f} a token")
    return 0


if __name__ == "__main__":
    sys.exit(main())
