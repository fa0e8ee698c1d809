"""Print the density, the longest note and the longest rest of MIDI files.

python3 scripts/describe_midi.py FILE.mid ...
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from midirnn import MidirnnError, Performance, read_midi


def describe(performance: Performance) -> dict[str, float]:
    """Return notes, notes per second, the longest note and the longest wait for a note-on (s)."""
    starts = np.concatenate([[0.0], performance.start, [performance.duration]])
    return {
        "notes": len(performance),
        "notes_per_second": len(performance) / max(performance.duration, 1e-9),
        "longest_note": float((performance.end - performance.start).max(initial=0.0)),
        "longest_wait": float(np.diff(starts).max()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    rows = []
    try:
        for path in parser.parse_args().files:
            rows.append(describe(read_midi(path)))
            print(path, *(f"{name} {value:.2f}" for name, value in rows[-1].items()))
    except MidirnnError as error:
        print(error, file=sys.stderr)
        return 1
    mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    print("mean", *(f"{name} {value:.2f}" for name, value in mean.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
