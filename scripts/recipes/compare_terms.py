"""Train a small model with the structured output, leaving a few of its terms out at a time.

    python3 scripts/recipes/compare_terms.py DATASET RUNS [--rows votes age ...] [--tokens 10000000]

The network has 2 layers of 128. The first row has all terms, and `none` has no structured output;
every other row leaves out the terms that it is named after. Similar terms are grouped, and with
--rows each term can be left out alone. A row that is already in RUNS is not run again, and one that
was stopped is continued.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from compare import BASE, FIRST, Flags, compare

from midirnn.features.terms import performance_groups
from midirnn.terms import OutputTerms

CHANGED = {"--num-layers": "2", "--term-notes": "2048"}
"""The differences from the baseline of compare.py."""

TERMS = tuple(OutputTerms(performance_groups(100, 32)).slices)
"""The names of all terms."""

GROUPS = {
    "intervals": ("interval_1", "interval_2", "interval_3", "interval_4"),
    "votes": ("votes",),
    "recencies": ("recency", "class_recency"),
    "silence": ("silence",),
    "age": ("age",),
    "place": ("order", "below", "above"),
    "overdues": ("overdue", "overdue_then"),
    "interonset": ("interonset",),
    "interonsets": ("interonset_match", "interonset_1", "interonset_2"),
    "velocities": ("velocity_1", "velocity_2", "velocity_3", "velocity_4", "velocity_match"),
    "density": ("density",),
}
"""Terms that are left out together."""

WEAKEST = ("votes", "silence", "age", "interonset")
"""Terms that matter little when left out alone; the row `weakest` leaves out all of them."""

SEEDS = ("seed-1", "weakest-seed-1")
"""Rows with another seed."""


def rows_of(names: list[str]) -> dict[str, Flags]:
    """Return the rows of these names, after the one with all terms."""
    known = {name: (name,) for name in TERMS} | GROUPS | {"weakest": WEAKEST}
    rows: dict[str, Flags] = {FIRST: {}, "none": {"--term-notes": "0"}, "seed-1": {"--seed": "1"}}
    rows |= {name: {"--without-terms": ",".join(terms)} for name, terms in known.items()}
    rows["weakest-seed-1"] = {**rows["weakest"], **rows["seed-1"]}
    return {name: rows[name] for name in dict.fromkeys((FIRST, *names))}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("runs", type=Path, help="the folder to train in")
    parser.add_argument(
        "--rows",
        nargs="+",
        choices=sorted({"none", "weakest", *SEEDS, *GROUPS, *TERMS}),
        default=["none", *GROUPS, "weakest", *SEEDS],
    )
    parser.add_argument("--tokens", type=int, default=10_000_000)
    arguments = parser.parse_args()
    base = {**BASE, **CHANGED, "--tokens": str(arguments.tokens)}
    compare(arguments.dataset, arguments.runs, base, rows_of(arguments.rows))


if __name__ == "__main__":
    main()
