"""``midirnn stats``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.cli.progress import progress_bar
from midirnn.cli.targets import check_file

if TYPE_CHECKING:
    from midirnn.datasets.statistics import SplitStatistics


def stats(
    dataset: Annotated[
        str, Parameter(name="DATASET", help="A data set made by midirnn encode, or its URL.")
    ],
    /,
    *,
    split: Annotated[str | None, Parameter(help="Only this split. [all]")] = None,
    as_json: Annotated[
        bool,
        Parameter(name="--json", negative="", show_default=False, help="Print JSON, with counts."),
    ] = False,
    plot: Annotated[
        Path | None, Parameter(help="Also draw the counts into this file: .png, .svg or .pdf.")
    ] = None,
) -> None:
    """Print what is in a data set: how much, how long, how dense, and which tokens.

    The picture shows how often each pitch, each velocity and each token occurs.
    """
    from midirnn.datasets import Dataset
    from midirnn.datasets.statistics import measure_split

    if plot is not None:
        from midirnn.plots.saving import check_suffix

        check_file(check_suffix(plot))
    opened = Dataset.open(dataset)
    measured: dict[str, SplitStatistics] = {}
    for name in opened.splits if split is None else (split,):
        with progress_bar(name) as progress:
            measured[name] = measure_split(opened, name, progress)
    groups = opened.codec.groups()
    if as_json:
        print(json.dumps({n: m.to_dict(groups) for n, m in measured.items()}, indent=2))
    else:
        _print_table(measured, groups)
    if plot is not None:
        from midirnn.plots.counts import plot_counts

        plot_counts(measured, plot, title=opened.name)
        if not as_json:
            print(f"{plot}: its pitches, velocities and tokens")


def _print_table(measured: Mapping[str, SplitStatistics], groups: Mapping[str, slice]) -> None:
    """Print a column for each split."""

    def row(name: str, *values: str) -> None:
        print(f"{name:<24}" + "".join(f"{value:>16}" for value in values))

    splits = measured.values()
    row("", *measured)
    row("files", *(f"{s.files:,}" for s in splits))
    row("hours", *(f"{s.hours:,.2f}" for s in splits))
    row("notes", *(f"{s.notes:,}" for s in splits))
    row("tokens", *(f"{s.tokens:,}" for s in splits))
    for quantile in ("p10", "median", "p90", "most"):
        name = f"tokens per file, {quantile}"
        row(name, *(f"{s.tokens_per_file.get(quantile, 0):,.0f}" for s in splits))
    for quantile in ("p10", "median", "p90"):
        if any(s.notes_per_second for s in splits):
            name = f"notes/s, {quantile}"
            row(name, *(f"{s.notes_per_second.get(quantile, 0):.2f}" for s in splits))
    for group in groups:
        row(f"share of {group}", *(f"{s.shares(groups)[group]:.1%}" for s in splits))
