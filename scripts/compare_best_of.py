"""Measure what the best of N continuations gains, for N = 1, 4, 16 and 64.

The first 30 seconds of each MIDI file are a primer, and 64 continuations are drawn once. For each
of two measures, the best of the first N is chosen and evaluated by both:

    python scripts/compare_best_of.py data/examples/*.mid
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from midirnn import load, read_midi  # noqa: E402
from midirnn.composing.choice import best_of, candidate_seed, heard_of  # noqa: E402
from midirnn.composing.measures import continuity, likelihood  # noqa: E402
from midirnn.sampling.primer import passage  # noqa: E402
from midirnn.sampling.requests import Request  # noqa: E402

MEASURES = {"likelihood": likelihood, "continuity": continuity}


def measured(paths: list[Path], most: int, seconds: float, model: str) -> np.ndarray:
    """Return both measures of all candidates in the order in which they are drawn; (P, N, 2)."""
    loaded, request = load(model), Request(seconds)
    rows = []
    for path in paths:
        primer = passage(read_midi(path), 0.0, 30.0)
        found = {c.seed: c for c in best_of(loaded, most, likelihood, request, primer)}
        drawn = [found[candidate_seed(0, number)] for number in range(most)]
        heard = [heard_of(c.generated, request, primer) for c in drawn]
        rows.append([[by(one) for by in MEASURES.values()] for one in heard])
        print(f"{path.name}: {most} continuations", file=sys.stderr, flush=True)
    return np.array(rows)


def table(values: np.ndarray, sizes: list[int]) -> list[dict[str, float | str]]:
    """Return the mean measures of the best of N over all primers, for each N and measure."""
    rows: list[dict[str, float | str]] = []
    for column, by in enumerate(MEASURES):
        for size in sizes:
            best = values[:, :size, column].argmax(axis=1)
            chosen = values[np.arange(len(values)), best].mean(axis=0)
            found = dict(zip(MEASURES, map(float, chosen), strict=True))
            rows.append({"by": by, "N": size, **found})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--model", default="piano")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = table(measured(given.files, max(given.sizes), given.seconds, given.model), given.sizes)
    if given.json:
        print(json.dumps(rows, indent=2))
        return
    print("| chosen by | N | nats per token | distance to the primer |\n|---|---|---|---|")
    for row in rows:
        nats, distance = -float(row["likelihood"]), -float(row["continuity"])
        print(f"| {row['by']} | {row['N']} | {nats:.3f} | {distance:.3f} |")


if __name__ == "__main__":
    main()
