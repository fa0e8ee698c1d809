"""Train a small model repeatedly, with one change at a time, and print the results.

    python3 scripts/recipes/compare.py DATASET RUNS [--rows muon dropout ...] [--tokens 5000000]

A row that is already in RUNS is not run again, and one that was stopped is continued; one with
another number of tokens is refused. The table is in README.md in this folder.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Flags = Mapping[str, str | None]
"""Flags of midirnn train; None stands for a flag without a value."""

FIRST = "first"

BASE: Flags = {
    "--embedding-size": "96",
    "--hidden-size": "128",
    "--recall-notes": "2048",
    "--batch-size": "32",
    "--window": "64",
    "--segment": "2048",
    "--learning-rate": "3e-3",
    "--warmup-steps": "100",
    "--validation-steps": "1000000",
    "--validation-tokens": "100000",
}

ROWS: dict[str, Flags] = {
    FIRST: {},
    "muon": {"--optimizer": "muon"},
    "layer-norm": {"--layer-norm": None},
    "muon-layer-norm": {"--optimizer": "muon", "--layer-norm": None},
    "dropout": {"--dropout": "0.1"},
    "average": {"--ema-decay": "0.999"},
    "batch-16": {"--batch-size": "16"},
    "window-128": {"--window": "128", "--batch-size": "16"},
    "width-192": {"--hidden-size": "192"},
    "2-layers": {"--num-layers": "2"},
    "4-layers": {"--num-layers": "4"},
    "embedding-192": {"--embedding-size": "192"},
    "rate-6e-3": {"--learning-rate": "6e-3"},
    "transpose": {"--transpose": "3"},
    "no-held": {"--no-held-input": None},
    "no-recall": {"--recall-notes": "0"},
    "controls": {"--control-inputs": None},
    "tied": {"--embedding-size": "128", "--tied-embedding": None},
    "seed-1": {"--seed": "1"},
}
"""The change in each row."""

TYPES = ("note_on", "note_off", "time_shift", "velocity")


def main() -> None:
    arguments = parse_arguments()
    rows = {FIRST: ROWS[FIRST], **{name: ROWS[name] for name in arguments.rows}}
    compare(arguments.dataset, arguments.runs, {**BASE, "--tokens": str(arguments.tokens)}, rows)


def compare(dataset: Path, runs: Path, base: Flags, rows: Mapping[str, Flags]) -> None:
    """Train the rows that are not finished, and print the table of all rows."""
    for name in rows:
        check_tokens(runs / name, int(base["--tokens"] or 0))
    for name, changes in rows.items():
        if not validation(runs / name):
            train(dataset, runs / name, {**base, **changes})
    print_table({name: validation(runs / name) for name in rows})


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("runs", type=Path, help="the folder to train in")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS)[1:], default=list(ROWS))
    parser.add_argument("--tokens", type=int, default=5_000_000)
    return parser.parse_args()


def check_tokens(run: Path, tokens: int) -> None:
    """Exit if the run exists with another number of tokens."""
    for config in (run / checkpoint / "config.json" for checkpoint in ("last", "best")):
        if config.exists():
            info = json.loads(config.read_text(encoding="utf-8"))["info"]
            if (made := info["training"]["tokens"]) != tokens:
                sys.exit(f"{run} was made with --tokens {made}, not {tokens}: use another RUNS")


def train(dataset: Path, run: Path, flags: Flags) -> None:
    words = [word for flag in flags.items() for word in flag if word is not None]
    resume = ["--resume"] if (run / "last").is_dir() else []
    command = [sys.executable, "-m", "midirnn", "train", str(dataset), "-o", str(run)]
    subprocess.run([*command, *words, *resume], check=True, stdout=sys.stderr)
    if not validation(run):
        sys.exit(f"{run} is not finished: run the same command again to go on")


def validation(run: Path) -> dict[str, Any]:
    """Return the last validation of a run; empty if there is none yet."""
    metrics = run / "metrics.jsonl"
    lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
    found = [row for row in map(json.loads, lines) if "validation_nats_per_token" in row]
    return found[-1] if found else {}


def print_table(found: dict[str, dict[str, Any]]) -> None:
    first = found[FIRST]["validation_nats_per_token"]
    columns = ["change", "nats per token", "difference", *TYPES]
    print(f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", sep="\n")
    for name, row in sorted(found.items(), key=lambda item: _nats(item[1])):
        against = "" if name == FIRST else f"{_nats(row) - first:+.3f}"
        by_type = " | ".join(f"{row[f'nats_{kind}']:.2f}" for kind in TYPES)
        print(f"| {name} | {_nats(row):.3f} | {against} | {by_type} |")


def _nats(row: dict[str, Any]) -> float:
    return float(row["validation_nats_per_token"])


if __name__ == "__main__":
    main()
