"""``midirnn fetch``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from midirnn.cli.progress import progress_bar
from midirnn.cli.targets import check_folder
from midirnn.errors import OptionError


def fetch(
    name: Annotated[str, Parameter(name="NAME", help="The data set: maestro or lakh.")],
    /,
    *,
    output: Annotated[
        Path | None,
        Parameter(name=["--output", "-o"], help="The folder to unpack to. [NAME]"),
    ] = None,
    encode: Annotated[
        Path | None,
        Parameter(help="Also encode it as this data set, with the publisher's splits, if any."),
    ] = None,
) -> None:
    """Download a data set of MIDI files from its publisher.

    The archive is checked against the publisher's SHA-256. An interrupted download resumes where it
    stopped. Mind the licence, which is printed.
    """
    from midirnn.datasets.fetch import fetch as download

    folder = output or Path(name)
    if encode is not None and not folder.exists():  # which is an error, too
        _check_new(encode)
    with progress_bar("downloading") as progress:
        published = download(name, folder, progress)
    print(f"{folder}: {published.about}. Licence: {published.licence}")
    table = folder / published.table if published.table else None
    if encode is None:
        splits = f" --splits {table}" if table else ""
        print(f"encode it with: midirnn encode {folder} -o DATASET{splits}")
        return
    from midirnn.datasets import SplitTable, encode_files

    with progress_bar("encoding") as progress:
        report = encode_files(
            [folder], encode, splits=SplitTable.read(table) if table else None, progress=progress
        )
    print(report)


def _check_new(dataset: Path) -> None:
    """Raise :class:`OptionError` if no data set can be written there."""
    check_folder(dataset)
    if dataset.is_file() or (dataset.is_dir() and any(dataset.iterdir())):
        raise OptionError(f"{dataset} exists; remove it, or choose another --encode")
