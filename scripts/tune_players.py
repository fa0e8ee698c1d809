"""Tune a model to pianists whom it has never heard, and measure the gain and the price.

    python scripts/tune_players.py PLAYERS.csv DATASET -o results.jsonl --steps 60

PLAYERS.csv has a line for each recording: ``player,part,path``. The part is ``learn`` (the last of
these decides when to stop) or ``keep`` (only to measure). The path is that of a MIDI file, or
``DATASET:SPLIT:NUMBER``, a piece of an encoded data set. Players whose names are the same up to a
slash form a group. The price is measured on the test split of DATASET, without the player's pieces.
One training run serves two kinds: the adapter is a low-rank version of its change. A player whose
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

VALIDATION_MINUTES = 2.5

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from midirnn import load  # noqa: E402
from midirnn.cli.tune import OWN_PIECES, OWN_SECONDS  # noqa: E402
from midirnn.codecs import Tokens  # noqa: E402
from midirnn.datasets import Dataset  # noqa: E402
from midirnn.datasets.draws import excerpts  # noqa: E402
from midirnn.engines.load import Model  # noqa: E402
from midirnn.errors import DatasetError  # noqa: E402
from midirnn.performance import Performance  # noqa: E402
from midirnn.sampling.many import continue_many  # noqa: E402
from midirnn.sampling.requests import Request  # noqa: E402
from midirnn.training import tuning  # noqa: E402
from midirnn.training.tuning import BaseMusic, Parts  # noqa: E402
from midirnn.training.tuning_config import ADAPTER, ALL, MOST_STEPS, STATE  # noqa: E402


def read_players(path: Path, model: Model) -> dict[str, dict[str, list[Tokens]]]:
    """Return the pieces of each player as tokens, by part."""
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
    """Return what to learn from, what decides when to stop and what to measure, up to the sizes.

    Pieces are cut to their beginnings. The last piece to learn from decides when to stop; if there
    is only one, its end does.
    """
    learned = [model.codec.decode(piece) for piece in pieces["learn"]]
    *train, last = _beginnings(learned, 60.0 * sizes.minutes)
    if train:
        validation = [last.slice(0.0, min(last.duration, 60.0 * VALIDATION_MINUTES))]
    else:
        train, validation = tuning.split_by_time([last], (0.15,))
    return Parts(
        [model.codec.encode(piece) for piece in train],
        [model.codec.encode(piece) for piece in validation],
        excerpts(pieces["keep"], sizes.test_tokens),
    )


def _beginnings(pieces: Sequence[Performance], seconds: float) -> list[Performance]:
    """Return equally long beginnings of pieces, ``seconds`` in total if there is enough."""
    each = seconds / max(len(pieces) - 1, 1)
    return [piece.slice(0.0, min(each, piece.duration)) for piece in pieces]


def measure_player(
    model: Model, parts: Parts, base: BaseMusic, config: tuning.TuningConfig, state_steps: int
) -> dict[str, Any]:
    """Return the nats per token before and after of each kind of tuning."""
    try:
        state = tuning.tune(model, parts, base, replace(config, kind=STATE, steps=state_steps))
        of_state = {name: [each.before, each.after] for name, each in state.changes.items()}
    except DatasetError:  # it is no better, so it would not be used
        of_state = {}
    sources = tuning.sources_of(parts, base, config)
    trained = tuning.train_weights(model, sources, config, lambda report: None, lambda: False)
    whole = tuning.adapter_of(model, trained, replace(config, kind=ALL))
    music = {"yours": parts.test, "base_test": base.test}
    before = {name: tuning.nats(model, model.weights, pieces) for name, pieces in music.items()}
    unchanged = {name: [nats, nats] for name, nats in before.items()}
    found: dict[str, Any] = {STATE: of_state or unchanged}
    try:
        share = tuning.best_share(model, whole, parts.validation, base.own)
    except DatasetError:  # it is no better, so it would not be used
        share = 0.0
    for kind in (ADAPTER, ALL):
        adapter = tuning.adapter_of(model, trained, replace(config, kind=kind)).scaled(share)
        weights = adapter.apply(model.weights)
        found[kind] = {
            name: [before[name], tuning.nats(model, weights, pieces) if share else before[name]]
            for name, pieces in music.items()
        }
    return {"share": share, "kinds": found}


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
    parser.add_argument("--minutes", type=float, default=20.0, help="of playing to learn from")
    parser.add_argument("--steps", type=int, default=MOST_STEPS)
    parser.add_argument("--learning-rate", type=float, default=6e-4)
    parser.add_argument("--test-tokens", type=int, default=6_000)
    parser.add_argument("--price-tokens", type=int, default=4_000)
    parser.add_argument("--state-steps", type=int, default=20)
    given = parser.parse_args()
    model = load(given.model)
    players = read_players(given.players, model)
    known = set()
    if given.output.exists():
        known = {json.loads(line)["player"] for line in given.output.open(encoding="utf-8")}
    request = Request(OWN_SECONDS)
    own = [
        made.performance
        for made in continue_many(
            model, [None] * OWN_PIECES, request=request, seeds=range(OWN_PIECES), batch=OWN_PIECES
        )
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
        music = tuning.base_music(model, own, price)
        parts = parts_of(pieces, given, model)
        row = {
            "player": name,
            "pieces": [len(part) for part in pieces.values()],
            "train_tokens": sum(map(len, parts.train)),
            "test_tokens": sum(map(len, parts.test)),
            **measure_player(model, parts, music, config, given.state_steps),
            "seconds": round(time.process_time() - begun),
        }
        with given.output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), file=sys.stderr)
    print_table([json.loads(line) for line in given.output.open(encoding="utf-8")])


if __name__ == "__main__":
    main()
