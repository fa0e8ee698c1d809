"""Measure how close a network's expression is to pianists', compared with baselines.

    python3 scripts/recipes/humanize_evaluate.py PAIRS.npz MODEL... --split test [--json FILE]

Rank correlation (Spearman's) and mean absolute error, per performance, averaged over the
performances of a title and then over titles. Errors are in velocities, in percent of the time to
the next chord, in octaves of duration, and in milliseconds. "constant" plays the score as written
with one velocity; "means" takes the means of the train split by metrical position, pitch and local
density. "written" are the velocities of the score file, if it has dynamics. A model's "expectation"
is the mean of each quantity given only the score, "without dynamics" the same without these
velocities, "one sample" what `midirnn humanize` plays with one seed. "another pianist" is another
performance of the same score, for titles that have two.

The second table is for titles with written dynamics: how much louder notes are played that are
written 10 velocities louder (the slope of a regression), and how much louder accented notes are
than the 30 notes around them. A note that is written a fifth louder than these counts as accented:
this is how notation programs write accents.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from midirnn.arrays import Float64Array
from midirnn.composing.humanize import draw
from midirnn.engines.humanizer import HumanizerEngine, load_humanizer
from midirnn.judging.expression import (
    MEASURED,
    Agreement,
    CellMeans,
    Predictor,
    agreement_by_title,
    as_written,
    mean_agreement,
)
from midirnn.scores.pairs import Pair, load_pairs
from midirnn.scores.quantities import QUANTITIES
from midirnn.scores.traits import DYNAMICS_TRAITS

UNITS = {"velocity": 1.0, "tempo": 100.0, "articulation": 1.0, "timing": 1000.0}

AROUND = 31
"""Number of notes around an accent, with the accent in the middle."""

Table = dict[str, dict[str, dict[str, Agreement]]]
"""Agreement by predictor, title and quantity."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("models", nargs="*", default=["humanize"])
    parser.add_argument("--split", default="test", choices=["train", "validation", "test"])
    parser.add_argument("--most", type=int, default=4, help="performances of a title, at most")
    parser.add_argument("--samples", action="store_true", help="also measure one sample")
    parser.add_argument("--titles", action="store_true", help="print a row for each title")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    pairs = load_pairs(arguments.pairs)
    measured = at_most([p for p in pairs if p.split == arguments.split], arguments.most)
    means = CellMeans([p for p in pairs if p.split == "train"])
    predictors: dict[str, Predictor] = {"constant": as_written, "means": means}
    predictors["written"] = written
    for name in arguments.models:
        engine = load_humanizer(name)
        predictors[f"{name}: expectation"] = remembered(Expectation(engine))
        predictors[f"{name}: without dynamics"] = remembered(Expectation(engine, dynamics=False))
        if arguments.samples:
            predictors[f"{name}: one sample"] = remembered(Sample(engine))
    table = {name: agreement_by_title(measured, of) for name, of in predictors.items()}
    others = AnotherPianist(measured)
    table["another pianist"] = agreement_by_title([p for p in measured if others.has(p)], others)
    print(f"{arguments.split}: {len(measured)} performances of {len(table['means'])} titles")
    show(table)
    show_dynamics(measured, predictors)
    if arguments.titles:
        show_titles(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(table), indent=2) + "\n", encoding="utf-8")


def at_most(pairs: list[Pair], most: int) -> list[Pair]:
    """Return the first ``most`` performances of each title."""
    of_title: dict[str, list[Pair]] = {}
    for pair in pairs:
        of_title.setdefault(pair.title, []).append(pair)
    return [pair for each in of_title.values() for pair in each[:most]]


def written(pair: Pair) -> dict[str, Float64Array]:
    """Return the velocities in the score file."""
    dynamics = written_velocities(pair)
    return as_written(pair) | {"velocity": dynamics - dynamics.mean()}


def columns(values: Float64Array) -> dict[str, Float64Array]:
    """Return the columns (N, Q) that are measured."""
    names = [quantity.name for quantity in QUANTITIES]
    return {name: values[:, names.index(name)] for name in MEASURED}


class Expectation:
    """The means that a network gives from the score alone."""

    def __init__(self, engine: HumanizerEngine, *, dynamics: bool = True) -> None:
        self.engine, self.dynamics = engine, dynamics

    def __call__(self, pair: Pair) -> dict[str, Float64Array]:
        traits = pair.traits.astype(np.float32)
        if not self.dynamics:
            traits[:, DYNAMICS_TRAITS] = 0.0
        return columns(self.engine.means(traits).astype(np.float64))


class Sample:
    """One sampled performance, the same for all pianists of a title."""

    def __init__(self, engine: HumanizerEngine) -> None:
        self.engine = engine

    def __call__(self, pair: Pair) -> dict[str, Float64Array]:
        random = np.random.default_rng(0)
        traits = pair.traits.astype(np.float32)
        values = self.engine.values(traits, pair.begins, lambda q, p: draw(q, p, random))
        return columns(values.astype(np.float64))


class AnotherPianist:
    """Another performance of the same score, as a prediction."""

    def __init__(self, pairs: list[Pair]) -> None:
        self._of_title: dict[tuple[str, int], list[Pair]] = {}
        for pair in pairs:
            self._of_title.setdefault((pair.title, len(pair)), []).append(pair)

    def has(self, pair: Pair) -> bool:
        return len(self._of_title[pair.title, len(pair)]) > 1

    def __call__(self, pair: Pair) -> dict[str, Float64Array]:
        each = self._of_title[pair.title, len(pair)]
        return columns(np.nan_to_num(each[each.index(pair) - 1].values.astype(np.float64)))


def remembered(predict: Predictor) -> Predictor:
    """Return the predictor with a cache: all performances of a title have the same score."""
    known: dict[tuple[str, int], dict[str, Float64Array]] = {}

    def once(pair: Pair) -> dict[str, Float64Array]:
        key = pair.title, len(pair)
        if key not in known:
            known[key] = predict(pair)
        return known[key]

    return once


def show(table: Table) -> None:
    heads = [f"{name} {kind}" for name in MEASURED for kind in ("corr.", "error")]
    print(f"| {'prediction':32} | " + " | ".join(heads) + " |")
    print("|---" * (len(heads) + 1) + "|")
    for name, by_title in table.items():
        mean = mean_agreement(list(by_title.values()))
        cells = [f"{mean[q].correlation:.3f} | {mean[q].error * UNITS[q]:.3g}" for q in MEASURED]
        print(f"| {name:32} | " + " | ".join(cells) + " |")


def show_dynamics(pairs: list[Pair], predictors: dict[str, Predictor]) -> None:
    """Print how pianists and the networks play written dynamics and accents."""
    marked = [p for p in pairs if p.traits[0, DYNAMICS_TRAITS[0]] and len(p) >= AROUND]
    if not marked:
        return
    played: dict[str, Predictor] = {"pianists": lambda pair: {"velocity": pair.column("velocity")}}
    played |= {name: of for name, of in predictors.items() if "expectation" in name}
    print(f"\n| {len(marked)} performances | per 10 velocities written | accents |\n|---|---|---|")
    for name, predict in played.items():
        slope, accents = follows([(written_velocities(p), predict(p)["velocity"]) for p in marked])
        print(f"| {name} | {10 * slope:+.1f} | {accents:+.1f} |")


def written_velocities(pair: Pair) -> Float64Array:
    """Return the velocities in the score file, from 0 to 127."""
    return 64.0 + pair.traits[:, DYNAMICS_TRAITS[1]].astype(np.float64) * 20


def follows(pieces: list[tuple[Float64Array, Float64Array]]) -> tuple[float, float]:
    """Return the slope of played velocities over written ones, and how far accents stand out."""
    away, products, squares = [np.zeros(0)], 0.0, 0.0
    for on_paper, velocity in pieces:
        known = ~np.isnan(velocity)
        x = on_paper[known] - on_paper[known].mean()
        products, squares = products + float(x @ velocity[known]), squares + float(x @ x)
        ratio = on_paper / medians(on_paper)
        accented = known & (ratio > 1.17) & (ratio < 1.22)
        filled = np.where(known, velocity, np.nanmean(velocity))
        away.append((filled - medians(filled))[accented])
    return products / squares, float(np.mean(np.concatenate(away)))


def medians(values: Float64Array) -> Float64Array:
    """Return the median of the notes around each one."""
    padded = np.pad(values, AROUND // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, AROUND)
    middle: Float64Array = np.median(windows, axis=1)
    return middle


def show_titles(table: Table) -> None:
    """Print the correlations of velocity and tempo of each title."""
    names = [name for name in table if name == "means" or "expectation" in name]
    print("\n| title | " + " | ".join(f"{n} velocity | {n} tempo" for n in names) + " |")
    print("|---" * (2 * len(names) + 1) + "|")
    for title in table["means"]:
        cells = [
            f"{table[n][title][q].correlation:.2f}" for n in names for q in ("velocity", "tempo")
        ]
        print(f"| {title} | " + " | ".join(cells) + " |")


def as_json(table: Table) -> dict[str, object]:
    """Return the means over titles, for the config of the weights."""
    return {
        name: {q: asdict(one) for q, one in mean_agreement(list(by_title.values())).items()}
        for name, by_title in table.items()
    }


if __name__ == "__main__":
    main()
