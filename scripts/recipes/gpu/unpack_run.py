"""Turn the results of training on a GPU into a run's folder, for midirnn and its scripts.

python3 scripts/recipes/gpu/unpack_run.py RETURNED RUN
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from returning import join_best, join_state

from midirnn.errors import MidirnnError


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("returned", type=Path)
    parser.add_argument("run", type=Path)
    arguments = parser.parse_args()
    try:
        join_state(arguments.returned, arguments.run)
        join_best(arguments.returned, arguments.run)
    except MidirnnError as error:
        print(f"unpack_run: error: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.run}: weights in best, metrics.jsonl, and the state to go on from in last")
    return 0


if __name__ == "__main__":
    sys.exit(main())
