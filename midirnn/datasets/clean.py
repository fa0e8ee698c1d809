"""Look through files before they are encoded: which to leave out, and which belong together."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace

from midirnn.codecs import PerformanceCodec
from midirnn.datasets.filters import PieceFilter
from midirnn.datasets.onefile import FileRules
from midirnn.datasets.similar import SimilarPieces, find_similar
from midirnn.datasets.sources import find_files, named_jobs


def clean_files(
    sources: Sequence[str | os.PathLike[str]],
    *,
    filter: PieceFilter | None = None,
    recover: bool = False,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SimilarPieces:
    """Read files, and folders of them; return the pieces with those that they are like.

    Files that cannot be read, or that the ``filter`` leaves out, are reported with the reason.
    Pieces are named by their paths below the folder that holds all sources. Raises
    :class:`DatasetError` if there are no files.
    """
    codec = PerformanceCodec()
    files, refused = find_files(sources, codec.suffixes)
    rules = FileRules(recover=recover, filter=filter or PieceFilter())
    found = find_similar(
        named_jobs(files), codec, workers=workers, executor=executor, rules=rules, progress=progress
    )
    return replace(found, refused=(*refused, *found.refused))
