"""The part of ``midirnn evaluate`` that measures continuations."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midirnn.cli.progress import counted_bar
from midirnn.errors import OptionError
from midirnn.files import one_line_errors
from midirnn.sampling.filters import SamplingConfig

if TYPE_CHECKING:
    from rich.table import Table

    from midirnn.datasets import Dataset
    from midirnn.engines.load import Model
    from midirnn.judging.continuations import Excerpt, Timing
    from midirnn.performance import Performance

SCALE_PERFORMANCES = 256
"""The number of performances that the scale is measured on, however few are continued."""

MODEL = "model"
"""The name of the model's row."""

SCALE = "scale"
"""The name of the row with the distances that count as 1.00."""


def evaluate_continuations(
    model: Model,
    dataset: Dataset,
    split: str,
    *,
    count: int,
    follow: float,
    follow_seconds: float | None,
    seed: int,
    engine: str,
    workers: int,
    save: Path | None,
    sampling: SamplingConfig,
    json_output: bool,
    timing: Timing | None = None,
) -> None:
    """Print how far the continuations by the model and by the pianists are from their primers."""
    from midirnn.judging.continuations import Timing, judge_continuations

    timing = timing or Timing()
    paths, excerpts, left_out = _excerpts(dataset, split, max(count, SCALE_PERFORMANCES), timing)
    chosen = _pick(excerpts, count)
    if left_out:
        print(
            f"left out: {left_out} {split} performances that last less than {timing.seconds:g} s",
            file=sys.stderr,
        )
    played = [excerpts[index] for index in chosen]
    made = _continue(
        model,
        played,
        timing,
        sampling,
        follow=follow,
        follow_seconds=follow_seconds,
        seed=seed,
        engine=engine,
        workers=workers,
        save=save,
    )
    findings = judge_continuations(played, {MODEL: made}, excerpts, timing)
    for number, (index, row) in enumerate(zip(chosen, findings["each"], strict=True)):
        findings["each"][number] = {"path": paths[index], "seed": seed + number, **row}
    report: dict[str, Any] = {
        "model": model.name,
        "dataset": dataset.name,
        "split": split,
        "continuations": len(played),
        "left_out": left_out,
        "follow": follow,
        "follow_seconds": follow_seconds,
        "seed": seed,
        "engine": engine,
        "sampling": dataclasses.asdict(sampling),
        **findings,
    }
    if json_output:
        print(json.dumps(report, indent=2))
    else:
        _print_tables(report, dataset.path)


def _excerpts(
    dataset: Dataset, split: str, count: int, timing: Timing
) -> tuple[list[str], list[Excerpt], int]:
    """Return the paths and excerpts of up to ``count`` performances, and how many are too short.

    They are spread over the compositions.
    """
    from midirnn.codecs import NoteStream, require
    from midirnn.judging.continuations import compositions, excerpt, pick

    codec = require(dataset.codec, NoteStream, "--continuations")
    pieces, rows = dataset.pieces(split), dataset.rows(split)
    long = [index for index, row in enumerate(rows) if row["duration"] >= timing.seconds]
    if len(long) < 2:
        raise OptionError(
            f"{len(long)} of {len(rows)} {split} performances last {timing.seconds:g} s or more, "
            "and at least 2 must"
        )
    names = compositions([rows[index]["path"] for index in long])
    picked = pick(names, count)
    return (
        [rows[long[place]]["path"] for place in picked],
        [excerpt(codec.decode(pieces[long[place]]), names[place], timing) for place in picked],
        len(rows) - len(long),
    )


def _pick(excerpts: Sequence[Excerpt], count: int) -> list[int]:
    """Return the indices of the excerpts to continue."""
    from midirnn.judging.continuations import pick

    return pick([e.composition for e in excerpts], count)


def _continue(
    model: Model,
    excerpts: Sequence[Excerpt],
    timing: Timing,
    sampling: SamplingConfig,
    *,
    follow: float,
    follow_seconds: float | None,
    seed: int,
    engine: str,
    workers: int,
    save: Path | None,
) -> list[Performance]:
    """Return what the model plays after each primer, starting at 0 s."""
    from midirnn.midifile import write_midi
    from midirnn.sampling.many import continue_many
    from midirnn.sampling.requests import Request

    request = Request(timing.new_seconds, sampling, follow=follow, follow_seconds=follow_seconds)
    if save is not None:
        with one_line_errors(save, OptionError):
            save.mkdir(parents=True, exist_ok=True)
    digits = max(2, len(str(len(excerpts))))
    made: list[Performance] = []
    drawn = continue_many(
        model,
        [e.primer for e in excerpts],
        request=request,
        seeds=range(seed, seed + len(excerpts)),
        engine=engine,
        workers=workers,
    )
    for generated in counted_bar("generating", drawn, len(excerpts)):
        begin = generated.primer_seconds
        made.append(generated.performance.slice(begin, begin + timing.new_seconds))
        if save is not None:
            name = f"continuation-{len(made):0{digits}}.mid"
            write_midi(generated.performance, save / name)
    return made


def _print_tables(report: Mapping[str, Any], dataset: Path | str) -> None:
    """Print the tables of distances and recurrence."""
    from rich.console import Console

    print(
        f"{report['model']}, {report['continuations']} continuations of {dataset} "
        f"({report['split']}), --follow {report['follow']:g}"
    )
    print(
        "median distances to the primer; 1.00 is as far as another piece, "
        f"and the rows '{SCALE}' say how far that is:"
    )
    console = Console(highlight=False)
    for table in (_distance_table(report), _recurrence_table(report)):
        console.print()
        console.print(table)
    errors = (
        f"{of[report['headline']]['all']:.2f} ({name})"
        for name, of in report["standard_errors"].items()
    )
    print(f"\nstandard error of 'all' in {report['headline']} s: {', '.join(errors)}")


def _distance_table(report: Mapping[str, Any]) -> Table:
    """Return the distances: a row for each passage and each player, and the scale of each passage.

    The scale is the distance that counts as 1.00, in the units of
    :data:`midirnn.judging.style.STYLE`.
    """
    from midirnn.judging.continuations import COLUMNS

    columns = (column.replace("_", "\n") for column in COLUMNS)
    table = _table("seconds", "player", *columns, words=2)
    distances, scale = report["distances"], report["scale"]["mean_between_pieces"]
    for span in scale:
        for name, of in [*distances.items(), (SCALE, scale)]:
            values = [f"{of[span][column]:.2f}" if column in of[span] else "" for column in COLUMNS]
            table.add_row(span, name, *values, end_section=name == SCALE)
    return table


def _recurrence_table(report: Mapping[str, Any]) -> Table:
    """Return how much of the primers comes back: a row for each player."""
    seconds = f"of the primer, in {report['headline']} s"
    table = _table(seconds, "player", "median", "90 %", "largest", words=2)
    for key, title, form in (
        ("returning_share", "patterns that return", "{:.1%}"),
        ("longest_copy_notes", "longest run of notes copied", "{:.0f}"),
    ):
        for name, found in report["recurrence"].items():
            values = [form.format(found[key][quantile]) for quantile in ("median", "p90", "max")]
            table.add_row(title, name, *values)
        table.add_section()
    return table


def _table(*columns: str, words: int) -> Table:
    """Return an empty table whose first columns hold words, the others numbers."""
    from rich.box import HORIZONTALS
    from rich.table import Table

    table = Table(box=HORIZONTALS, show_edge=False, pad_edge=False, padding=0)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < words else "right", min_width=7)
    return table
