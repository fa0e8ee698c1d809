"""Tune a model to pianists whom it has never heard, and measure what that brings and costs.

    python scripts/tune_players.py PLAYERS.csv DATASET -o results.jsonl --steps 60

PLAYERS.csv has a line for each recording: ``player,part,path``. The part is ``learn`` (the end of
what is learned from says when to stop) or ``keep`` (only to measure). The path is that of a MIDI
file, or ``DATASET:SPLIT:NUMBER``, a piece of an encoded data set. Players whose names begin alike
up to a slash are a group. The price is measured on the test split of DATASET, without the player's
pieces. One training serves two kinds: the adapter is its change at a low rank. A player whose
results are in the output is skipped; at the end a table is printed.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from midirnn import load  # noqa: E402
from midirnn.codecs import Tokens  # noqa: E402
from midirnn.datasets import Dataset  # noqa: E402
from midirnn.datasets.draws import excerpts  # noqa: E402
from midirnn.engines.load import Model  # noqa: E402
from midirnn.performance import Performance  # noqa: E402
from midirnn.sampling.many import continue_many  # noqa: E402
from midirnn.sampling.requests import Request  # noqa: E402
from midirnn.training import tuning  # noqa: E402
from midirnn.training.tuning import ADAPTER, ALL, STATE, BaseMusic, Change, Parts  # noqa: E402


def read_players(path: Path, model: Model) -> dict[str, dict[str, list[Tokens]]]:
    """Return the pieces of each player as tokens, by their part."""
    players: dict[str, dict[str, list[Tokens]]] = {}
    splits: dict[str, Sequence[Tokens]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            name, _, number = row["path"].rpartition(":")
            if number.isdigit():
                if name not in splits:
                    folder, _, split = name.rpartition(":")
                    splits[name] = Dataset.open(folder).pieces(split)
                piece = splits[name][int(number)]
            else:
                piece = model.codec.encode(model.codec.read(Path(row["path"])))
            parts = players.setdefault(row["player"], {"learn": [], "keep": []})
            parts[row["part"]].append(piece)
    return players


def parts_of(
    pieces: Mapping[str, Sequence[Tokens]], sizes: argparse.Namespace, model: Model
) -> Parts:
    """Return what to learn from, what to stop by and what to measure, up to the sizes."""
    learned = _beginning([model.codec.decode(piece) for piece in pieces["learn"]], sizes.minutes)
    train, validation = tuning.split_by_time(learned, (sizes.validation_share,))
    return Parts(
        [model.codec.encode(piece) for piece in train],
        [model.codec.encode(piece) for piece in validation],
        excerpts(pieces["keep"], sizes.test_tokens),
    )


def _beginning(pieces: Sequence[Performance], minutes: float) -> list[Performance]:
    """Return the first minutes of pieces in a row."""
    found, seconds = [], 60.0 * minutes
    for piece in pieces:
        if seconds > 0:
            found.append(piece.slice(0.0, min(seconds, piece.duration)))
            seconds -= piece.duration
    return found


def measure_player(
    model: Model, parts: Parts, base: BaseMusic, config: tuning.TuningConfig
) -> dict[str, dict[str, list[float]]]:
    """Return the nats per token before and after of each kind of tuning."""
    found: dict[str, dict[str, Change]] = {}
    state = tuning.tune(model, parts, base, replace(config, kind=STATE, steps=40))
    found[STATE] = state.changes
    sources = tuning._sources(parts, base, config)
    weights = tuning._train(model, sources, config, lambda report: None, lambda: False)
    for kind in (ADAPTER, ALL):
        adapter = tuning.best_share(model, weights, parts.validation, replace(config, kind=kind))
        found[kind] = tuning.measure(model, adapter, parts.test, base)
    return {
        kind: {name: [each.before, each.after] for name, each in changes.items()}
        for kind, changes in found.items()
    }


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print the medians over players, and each player's gain with an adapter."""
    groups = {"all": rows} | {
        name: [row for row in rows if row["player"].startswith(name)]
        for name in sorted({row["player"].split("/")[0] for row in rows if "/" in row["player"]})
    }
    print("| players | kind | before | after | change | best | worst | price |")
    print("|---|---|---|---|---|---|---|---|")
    for group, members in groups.items():
        for kind in (STATE, ADAPTER, ALL):
            yours = [row["kinds"][kind]["yours"] for row in members]
            changes = [after - before for before, after in yours]
            prices = [
                after - before
                for row in members
                if "base_test" in row["kinds"][kind]
                for before, after in [row["kinds"][kind]["base_test"]]
            ]
            price = f"{statistics.median(prices):+.3f}" if prices else ""
            medians = [statistics.median(values) for values in zip(*yours, strict=True)]
            print(
                f"| {group} ({len(members)}) | {kind} | {medians[0]:.3f} | {medians[1]:.3f} "
                f"| {statistics.median(changes):+.3f} | {min(changes):+.3f} | {max(changes):+.3f} "
                f"| {price} |"
            )
    starts = [row["kinds"][STATE]["beginnings"] for row in rows]
    change = statistics.median(after - before for before, after in starts)
    print(f"state, first 64 tokens of a beginning: {change:+.3f} in the median")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("players", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", default="piano")
    parser.add_argument("--minutes", type=float, default=10.0, help="of playing to learn from")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--test-tokens", type=int, default=8_000)
    parser.add_argument("--price-tokens", type=int, default=6_000)
    parser.add_argument("--validation-share", type=float, default=0.15)
    given = parser.parse_args()
    model = load(given.model)
    players = read_players(given.players, model)
    known = set()
    if given.output.exists():
        known = {json.loads(line)["player"] for line in given.output.open(encoding="utf-8")}
    request = Request(40.0)
    own = [
        made.performance
        for made in continue_many(model, [None] * 8, request=request, seeds=range(8), batch=8)
    ]
    test = Dataset.open(given.dataset).pieces("test")
    config = tuning.TuningConfig(steps=given.steps, learning_rate=given.learning_rate)
    for name, pieces in players.items():
        if name in known:
            continue
        begun = time.process_time()
        theirs = {piece.tobytes() for part in pieces.values() for piece in part}
        others = [piece for piece in test if piece.tobytes() not in theirs]
        price = excerpts(others, given.price_tokens)
        parts = parts_of(pieces, given, model)
        row = {
            "player": name,
            "pieces": [len(part) for part in pieces.values()],
            "train_tokens": sum(map(len, parts.train)),
            "test_tokens": sum(map(len, parts.test)),
            "kinds": measure_player(model, parts, tuning.base_music(model, own, price), config),
            "seconds": round(time.process_time() - begun),
        }
        with given.output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), file=sys.stderr)
    print_table([json.loads(line) for line in given.output.open(encoding="utf-8")])


if __name__ == "__main__":
    main()
