"""``midirnn clean``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.cli.progress import progress_bar
from midirnn.cli.targets import check_file
from midirnn.cli.workers import chosen_workers
from midirnn.datasets.filters import PieceFilter
from midirnn.wording import counted

if TYPE_CHECKING:
    from midirnn.datasets import SimilarPieces, SplitTable


def clean(
    *sources: Annotated[
        str,
        Parameter(
            name="SOURCE", required=True, help="MIDI files, folders and archives of them, and URLs."
        ),
    ],
    output: Annotated[
        Path,
        Parameter(name=["--output", "-o"], help="The table to write: a CSV file for --splits."),
    ],
    validation_share: Annotated[
        float, Parameter(help="Share of the compositions for validation.")
    ] = 0.05,
    test_share: Annotated[float, Parameter(help="Share of the compositions for testing.")] = 0.05,
    check: Annotated[
        Path | None,
        Parameter(
            help="A CSV file with columns 'path' and 'group', to compare the compositions with: "
            "prints the precision and the recall of pairs."
        ),
    ] = None,
    pieces: Annotated[PieceFilter | None, Parameter(name="*", group="Filters", negative="")] = None,
    workers: Annotated[
        int | None, Parameter(help="Number of worker processes. [one per processor]")
    ] = None,
    dask: Annotated[
        str | None,
        Parameter(help="The address of a Dask scheduler, whose workers read the files instead."),
    ] = None,
) -> None:
    """Find duplicates and performances of the same composition, and write a table of splits.

    Pieces are compared by their notes, not by their names. The table has a row for each usable
    piece: its split, its composition (group), and the longer version that it duplicates, if any.
    Encode with it:

    midirnn encode SOURCE -o DATASET --splits TABLE --where duplicate_of=

    If the command is killed, run it again to resume.
    """
    from midirnn.datasets import SplitShares, SplitTable, clean_files
    from midirnn.datasets.report import refusal_lines

    check_file(output, (".csv",))
    shares = SplitShares(validation_share, test_share)
    known = None if check is None else SplitTable.read(check, column="group")
    with chosen_workers(workers, dask) as (executor, tasks), progress_bar("reading") as progress:
        found = clean_files(
            sources,
            output,
            shares=shares,
            name=_naming(sources, output),
            filter=pieces,
            workers=tasks,
            executor=executor,
            progress=progress,
        )
    compositions = counted(found.groups, "composition", "compositions")
    print(f"{output}: {counted(len(found.pieces), 'piece', 'pieces')}, {compositions}")
    versions = counted(
        len(found.duplicates),
        "piece is a version or a part of a longer one",
        "pieces are versions or parts of longer ones",
    )
    print(f"duplicates: {versions}")
    if known is not None:
        print(_agreement(found, sources, known))
    for line in refusal_lines(found.refused, None):
        print(line)


def _naming(sources: tuple[str, ...], output: Path) -> Callable[[str], str]:
    """Return a function that names pieces in the table, relative to its folder or the source."""
    from midirnn.datasets.remote import remote_url

    if len(sources) == 1 or any(map(remote_url, sources)):
        return str
    paths = [Path(source).absolute() for source in sources]
    folder = os.path.commonpath([path if path.is_dir() else path.parent for path in paths])
    return lambda path: os.path.relpath(Path(folder, path), output.absolute().parent)


def _agreement(found: SimilarPieces, sources: tuple[str, ...], table: SplitTable) -> str:
    """Return how well the compositions agree with those in a table."""
    from midirnn.datasets.sources import find_files, named_jobs
    from midirnn.midifile import SUFFIXES

    files, _ = find_files(sources, SUFFIXES)
    known = {
        job.name: row[1]
        for job, file in zip(named_jobs(files), files, strict=True)
        if (row := table.find(file)) is not None
    }
    precision, recall, pairs = found.agreement(known)
    return (
        f"compared with {table.path}: {pairs:,} pairs of pieces in one group; "
        f"precision {precision:.4f}, recall {recall:.4f}"
    )
