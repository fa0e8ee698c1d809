"""Measure how plain beams, stochastic beams and independent samples differ.

The first 15 seconds of each MIDI file are a primer, which beams of each kind continue:

    python scripts/compare_beams.py data/examples/*.mid --beam 8
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from midirnn import load, read_midi  # noqa: E402
from midirnn.composing import Candidate, beam_search, best_of  # noqa: E402
from midirnn.engines.load import Model  # noqa: E402
from midirnn.judging.likeness import likeness  # noqa: E402
from midirnn.performance import Performance  # noqa: E402
from midirnn.sampling.primer import passage  # noqa: E402
from midirnn.sampling.requests import Request  # noqa: E402

PRIMER_SECONDS = 15.0

KINDS: dict[str, Callable[..., list[Candidate]]] = {
    "independent samples": best_of,
    "stochastic beams": beam_search,
    "plain beams": partial(beam_search, stochastic=False),
}


def described(found: list[Candidate]) -> list[float]:
    """Return the figures of the table for some candidates."""
    pieces = [candidate.generated.continuation for candidate in found]
    seconds = found[0].generated.new_seconds
    return [
        -float(np.mean([candidate.measure for candidate in found])),
        float(np.mean([len(piece) for piece in pieces])) / seconds,
        float(np.mean([len(np.unique(piece.pitch)) for piece in pieces])),
        float(np.mean([alike(a, b) for a, b in combinations(pieces, 2)])),
    ]


def alike(a: Performance, b: Performance) -> float:
    """Return how alike two pieces are; two empty ones are the same."""
    return likeness(a, b) if len(a) or len(b) else 1.0


COLUMNS = ("nats per token", "notes per second", "pitches", "alike")


def measured(
    model: Model, paths: list[Path], width: int, seconds: float, seeds: int
) -> list[dict[str, float | str]]:
    """Return a row for each kind, with means over all primers and seeds."""
    rows: list[dict[str, float | str]] = []
    for kind, draw in KINDS.items():
        figures = [
            described(draw(model, width, "likelihood", Request(seconds), primer, seed=seed))
            for primer in [passage(read_midi(path), 0.0, PRIMER_SECONDS) for path in paths]
            for seed in range(seeds)
        ]
        means = np.mean(figures, axis=0).tolist()
        rows.append({"kind": kind, **dict(zip(COLUMNS, means, strict=True))})
        print(f"{kind}: {len(figures)} sets of {width}", file=sys.stderr, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--model", default="piano")
    parser.add_argument("--beam", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--seeds", type=int, default=2, help="sets for each file")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = measured(load(given.model), given.files, given.beam, given.seconds, given.seeds)
    if given.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"| {given.beam} of each | {' | '.join(COLUMNS)} |\n|---|---|---|---|---|")
    for row in rows:
        values = " | ".join(f"{float(row[column]):.2f}" for column in COLUMNS)
        print(f"| {row['kind']} | {values} |")


if __name__ == "__main__":
    main()
