"""Measure what the hidden state holds of a style: composers, and mixtures of two states.

    python3 scripts/measure_style.py SPLITS.csv [--model NAME] [--pairs N] [--json FILE]

SPLITS.csv names MIDI files (columns path, composer, split, group, kind, duplicate_of, duration_s),
relative to its own folder. First, the composers of test pieces are guessed from the nearest state
after 20 s of the train pieces. Then the model continues from the states after two test pieces by
different composers, and from their mean, without controls for the style (--follow 0) and with them
(--follow 1): is the music between the two?
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from midirnn import read_midi
from midirnn.composing.style import MEASURES, blended, hear, measures_of
from midirnn.engines.load import Model, load
from midirnn.probing.style_map import Place, place_of, recognize
from midirnn.probing.tracing import trace
from midirnn.sampling.requests import Request

PRIMER_SECONDS = 20.0
SHARES = (0.0, 0.5, 1.0)
FOLLOWS = (0.0, 1.0)


@dataclass(frozen=True)
class Row:
    path: Path
    composer: str
    group: str
    split: str


def rows_of(table: Path) -> list[Row]:
    """Return the performances that are long enough, each composition once."""
    found, seen = [], set()
    for row in csv.DictReader(table.open(encoding="utf-8")):
        is_whole = row["kind"] == "performance" and not row["duplicate_of"]
        if is_whole and float(row["duration_s"]) >= 2 * PRIMER_SECONDS and row["group"] not in seen:
            seen.add(row["group"])
            path = table.parent / row["path"]
            found.append(Row(path, row["composer"], row["group"], row["split"]))
    return found


def measure_composers(rows: list[Row], model: Model, most: int, least: int) -> dict[str, Any]:
    """Return how often the nearest train piece is by the composer of a test piece.

    Only composers with at least ``least`` train pieces and a test piece count, each with at most
    ``most`` train pieces.
    """
    by_composer: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.split == "train":
            by_composer[row.composer].append(row)
    tested = {row.composer for row in rows if row.split == "test"}
    chosen = [c for c, own in by_composer.items() if len(own) >= least and c in tested]
    known = [row for composer in chosen for row in by_composer[composer][:most]]
    asked = [row for row in rows if row.split == "test" and row.composer in chosen]
    places: dict[Row, dict[str, Place]] = {row: places_of(row, model) for row in [*known, *asked]}
    found = {}
    for kind in ("state", "last state", "traits"):
        result = recognize([places[r][kind] for r in known], [places[r][kind] for r in asked])
        found[kind] = result.to_dict()
    return {"train": len(known), "composers": Counter(r.composer for r in asked), **found}


def places_of(row: Row, model: Model) -> dict[str, Place]:
    """Return the position of a piece by the mean of its last states, the last state, and traits."""
    one = trace(read_midi(row.path), model, seconds=PRIMER_SECONDS, states=("h",))
    last = one.states["h"][-1].ravel().astype(float)
    means = [np.nanmean(values) for values in traits_of(one.signals)]
    kinds = {"state": place_of(one), "last state": last, "traits": np.array(means)}
    return {kind: Place(row.composer, row.path.name, row.group, v) for kind, v in kinds.items()}


def traits_of(signals: Any) -> list[Any]:
    """Return the signals of a simple description of style: density, loudness, register."""
    return [signals[name] if name in signals else np.zeros(1) for name in MEASURES]


def measure_pairs(
    rows: list[Row], model: Model, pairs: int, seeds: int, seconds: float
) -> dict[float, list[dict[str, Any]]]:
    """Return the measures of the music from two states and from their mean, for each pair.

    Once without controls for the style, and once with them.
    """
    rng = np.random.default_rng(0)
    tested = [row for row in rows if row.split == "test"]
    engine = model.engine()
    made: dict[float, list[dict[str, Any]]] = {follow: [] for follow in FOLLOWS}
    while len(made[FOLLOWS[-1]]) < pairs:
        first, second = (tested[int(i)] for i in rng.choice(len(tested), 2, replace=False))
        if first.composer == second.composer:
            continue
        a, b = (
            hear(engine, model.codec, read_midi(row.path), PRIMER_SECONDS)
            for row in (first, second)
        )
        primers = [measures_of(one.primer, PRIMER_SECONDS) for one in (a, b)]
        for follow, share in itertools.product(FOLLOWS, SHARES):
            if share == SHARES[0]:
                made[follow].append({"primers": primers})
            played = [
                blended(
                    engine, model.codec, a, b, share, follow, Request(seconds), seed
                ).continuation
                for seed in range(seeds)
            ]
            each = [measures_of(piece, seconds) for piece in played]
            means = {n: float(np.nanmean([one[n] for one in each])) for n in MEASURES}
            made[follow][-1][str(share)] = means
        done = len(made[FOLLOWS[-1]])
        print(json.dumps({f: summary(own) for f, own in made.items()}) if done % 5 == 0 else done)
        sys.stdout.flush()
    return made


def summary(made: list[dict[str, Any]]) -> dict[str, Any]:
    """Return for each measure how often the middle lies between the ends, and where."""
    found = {}
    for name in MEASURES:
        ends = np.array([[one["0.0"][name], one["1.0"][name]] for one in made])
        middle = np.array([one["0.5"][name] for one in made])
        primers = np.array([[p[name] for p in one["primers"]] for one in made])
        known = np.isfinite(ends).all(axis=1) & np.isfinite(middle)
        ends, middle, primers = ends[known], middle[known], primers[known]
        low, high = ends.min(axis=1), ends.max(axis=1)
        apart = ends[:, 1] - ends[:, 0]
        far = np.abs(apart) >= np.median(np.abs(apart))
        found[name] = {
            "pairs": len(middle),
            "between": float(((middle >= low) & (middle <= high)).mean()),
            "between_far": float(((middle >= low) & (middle <= high))[far].mean()),
            # position between the two ends, fitted over all pairs
            "way": float((apart @ (middle - ends[:, 0])) / (apart @ apart)),
            # how closely the music from one state follows the primer of that state
            "follows_primer": float(np.corrcoef(apart, primers[:, 1] - primers[:, 0])[0, 1]),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("splits", type=Path)
    parser.add_argument("--model", default="piano-small")
    parser.add_argument("--most", type=int, default=20, help="train pieces of a composer at most")
    parser.add_argument("--least", type=int, default=5, help="train pieces of a composer at least")
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=12.0, help="of each continuation")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows, model = rows_of(arguments.splits), load(arguments.model)
    report: dict[str, Any] = {"model": arguments.model}
    if arguments.most:
        report["composers"] = measure_composers(rows, model, arguments.most, arguments.least)
        print(json.dumps(report["composers"], indent=1))
    if arguments.pairs:
        made = measure_pairs(rows, model, arguments.pairs, arguments.seeds, arguments.seconds)
        report |= {f"follow {follow:g}": summary(own) for follow, own in made.items()}
        print(json.dumps(report, indent=1))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
