"""Inspect files before they are encoded: which to leave out, and which belong together."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

from midirnn.codecs import PerformanceCodec
from midirnn.datasets.encode import nothing_to_use
from midirnn.datasets.filters import PieceFilter
from midirnn.datasets.onefile import FileRules
from midirnn.datasets.similar import SimilarPieces, find_similar, reading_journal
from midirnn.datasets.sources import find_files, named_jobs
from midirnn.datasets.splits import SplitShares


def clean_files(
    sources: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str] | None = None,
    *,
    shares: SplitShares | None = None,
    name: Callable[[str], str] = str,
    filter: PieceFilter | None = None,
    recover: bool = False,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SimilarPieces:
    """Read files and folders of them; return the pieces, and which of them are similar.

    Files that cannot be read, or that the ``filter`` leaves out, are reported with the reason.
    Pieces are named by their paths below the folder that holds all sources.

    With an ``output``, a table of splits by ``shares`` is written there, in which the path of a
    piece is ``name(path)``; a run that was killed is continued by the next one with the same
    ``output``. Raises :class:`DatasetError` if no file can be used, or if the table cannot be
    written.
    """
    codec = PerformanceCodec()
    files, refused = find_files(sources, codec.suffixes)
    rules = FileRules(recover=recover, filter=filter or PieceFilter())
    journal = None if output is None else reading_journal(Path(output), codec, rules)
    found = find_similar(
        named_jobs(files),
        codec,
        workers=workers,
        executor=executor,
        rules=rules,
        journal=journal,
        progress=progress,
    )
    if not found.pieces:
        raise nothing_to_use((*refused, *found.refused))
    if output is not None and journal is not None:
        found.write(Path(output), shares or SplitShares(), name)
        journal.forget()
    return replace(found, refused=(*refused, *found.refused))
