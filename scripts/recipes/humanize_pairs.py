"""Make the training data of `humanize`: scores of ASAP with their performances, note by note.

    python3 scripts/recipes/humanize_pairs.py ASAP OUTPUT.npz --splits SPLITS.csv

ASAP is the folder of the (n)ASAP data set, with metadata.csv. Scores are its midi_score.mid. A note
of a score is matched with the played note of the same pitch that is nearest to its expected time
according to both beat annotations. SPLITS.csv gives the split of each performance, in columns
`path` (which ends with the path in ASAP) and `split`.
"""

from __future__ import annotations

import argparse
import csv
from functools import cache
from pathlib import Path

import numpy as np

from midirnn import read_midi
from midirnn.arrays import Float64Array
from midirnn.scores import Score, match_notes, measure, read_score
from midirnn.scores.pairs import Pair, make_pair, save_pairs

FEWEST = 0.75
"""Minimum share of a score's notes that must be found in a performance."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("asap", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--splits", type=Path, required=True)
    arguments = parser.parse_args()
    splits = read_splits(arguments.splits)
    with (arguments.asap / "metadata.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    made = [pair_of(arguments.asap, row, splits) for row in rows]
    pairs = [pair for pair in made if pair is not None]
    save_pairs(arguments.output, pairs)
    notes = sum(len(pair) for pair in pairs)
    print(f"{arguments.output}: {len(pairs)} of {len(rows)} performances, {notes:,} notes")


def read_splits(path: Path) -> dict[str, str]:
    """Return the split of each performance, by at most the last four parts of its path."""
    with path.open(encoding="utf-8") as file:
        return {row["path"].partition("/asap/")[2]: row["split"] for row in csv.DictReader(file)}


def pair_of(asap: Path, row: dict[str, str], splits: dict[str, str]) -> Pair | None:
    """Return a performance with its score; None if it cannot be matched or is in no split."""
    name = row["midi_performance"]
    files = [asap / row[f"{kind}_annotations"] for kind in ("midi_score", "performance")]
    if name not in splits or not all(file.is_file() for file in files):
        return None
    written, played = (beats(file) for file in files)
    if len(written) != len(played):
        return None
    score, performance = score_of(asap / row["midi_score"]), read_midi(asap / name)
    expected = moved(score.chord_seconds[score.chord], written, played)
    pitches = performance.pitch.astype(np.int64)
    matched = match_notes(expected, score.pitch, performance.start, pitches)
    if (matched >= 0).mean() < FEWEST:
        return None
    expression = measure(score, performance, matched)
    return make_pair(score, expression, name, row["folder"], splits[name])


@cache
def score_of(path: Path) -> Score:
    return read_score(path)


def beats(path: Path) -> Float64Array:
    """Return the seconds of the beats in an annotation."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return np.array([float(line.split("\t")[0]) for line in lines])


def moved(seconds: Float64Array, written: Float64Array, played: Float64Array) -> Float64Array:
    """Convert written times to played times by interpolation between beats, and beyond them."""
    i = np.clip(np.searchsorted(written, seconds, side="right") - 1, 0, len(written) - 2)
    share = (seconds - written[i]) / np.maximum(written[i + 1] - written[i], 1e-3)
    return played[i] + share * (played[i + 1] - played[i])


if __name__ == "__main__":
    main()
