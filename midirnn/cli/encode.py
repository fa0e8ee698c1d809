"""``midirnn encode``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.cli.progress import progress_bar
from midirnn.codecs import PerformanceCodec
from midirnn.errors import OptionError

if TYPE_CHECKING:
    from midirnn.datasets import EncodeReport, SplitShares, SplitTable

REFUSALS_SHOWN = 5


def encode(
    *sources: Annotated[
        Path, Parameter(name="SOURCE", required=True, help="MIDI files, and folders of them.")
    ],
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Where the data set goes.")],
    splits: Annotated[
        Path | None,
        Parameter(
            help="A CSV file with columns 'path' (from its own folder or from SOURCE) and 'split'. "
            "Files that it does not name are left out. Without it, hashes of the files decide."
        ),
    ] = None,
    where: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="Use only the rows of --splits with COLUMN=VALUE. Can be repeated.",
        ),
    ] = (),
    validation_share: Annotated[
        float | None, Parameter(help="Share of the files for validation, without --splits. [0.05]")
    ] = None,
    test_share: Annotated[
        float | None, Parameter(help="Share of the files for testing, without --splits. [0.05]")
    ] = None,
    steps_per_second: Annotated[
        int, Parameter(help="Steps of the time grid in a second.")
    ] = PerformanceCodec.steps_per_second,
    max_shift_steps: Annotated[
        int, Parameter(help="Steps of the longest time-shift token.")
    ] = PerformanceCodec.max_shift_steps,
    velocity_bins: Annotated[
        int, Parameter(help="How many loudnesses are told apart; 0 for none.")
    ] = PerformanceCodec.velocity_bins,
    workers: Annotated[int | None, Parameter(help="How many processes work. [one a core]")] = None,
    overwrite: Annotated[
        bool, Parameter(negative="", show_default=False, help="Replace the data set at --output.")
    ] = False,
) -> None:
    """Make a data set of tokens from MIDI files.

    Writes a Parquet file for each split, dataset.json, and refused.jsonl, which lists the files
    that could not be used and why. The folder appears when it is complete.
    """
    from midirnn.datasets import encode_files

    codec = PerformanceCodec(
        steps_per_second=steps_per_second,
        max_shift_steps=max_shift_steps,
        velocity_bins=velocity_bins,
    )
    rule = _split_rule(splits, where, validation_share, test_share)
    with progress_bar("encoding") as progress:
        report = encode_files(
            sources,
            output,
            codec=codec,
            splits=rule,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    _print_report(report)


def _split_rule(
    table: Path | None,
    where: tuple[str, ...],
    validation_share: float | None,
    test_share: float | None,
) -> SplitShares | SplitTable:
    """What decides the splits."""
    from midirnn.datasets import SplitShares, SplitTable

    if table is None:
        if where:
            raise OptionError("--where picks rows of a table; name the table with --splits")
        given = {"validation": validation_share, "test": test_share}
        return SplitShares(**{name: share for name, share in given.items() if share is not None})
    if validation_share is not None or test_share is not None:
        raise OptionError("--splits decides the splits; leave out the shares, or --splits")
    return SplitTable.read(table, where)


def _print_report(report: EncodeReport) -> None:
    """The counts on stdout; what was not used, and what looks wrong, on stderr."""
    row = "{:<12} {:>9} {:>13} {:>12} {:>9}"
    print(f"{report.output}:")
    print(row.format("split", "files", "tokens", "notes", "hours"))
    for split, count in report.counts.items():
        numbers = (f"{n:,}" for n in (count.files, count.tokens, count.notes))
        print(row.format(split, *numbers, f"{count.hours:,.2f}"))
    for line in _remarks(report):
        print(line, file=sys.stderr)


def _remarks(report: EncodeReport) -> list[str]:
    """What else there is to know, a line each."""
    lines: list[str] = []
    if report.left_out:
        lines.append(f"left out: {report.left_out:,} files that the table does not name")
    if report.missing:
        lines.append(f"missing: {report.missing:,} files that the table names")
    if report.duplicates:
        across = report.duplicates_across_splits
        warning = f", {across:,} of them in another split" if across else ""
        lines.append(f"duplicates: {report.duplicates:,} files equal an earlier one{warning}")
    if report.refused:
        where = report.output / "refused.jsonl"
        lines.append(f"refused: {len(report.refused):,} files, listed in {where}")
        lines += [f"  {r.path}: {r.reason}" for r in report.refused[:REFUSALS_SHOWN]]
        if len(report.refused) > REFUSALS_SHOWN:
            lines.append("  ...")
    return lines
