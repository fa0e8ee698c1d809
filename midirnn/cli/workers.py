"""The workers of commands that read many files."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from midirnn.errors import OptionError


@contextmanager
def chosen_workers(
    workers: int | None, dask: str | None
) -> Iterator[tuple[Executor | None, int | None]]:
    """Yield the executor (None for processes of this machine) and the number of workers."""
    if dask is None:
        yield None, workers
        return
    if workers is not None:
        raise OptionError("--workers are processes of this machine; give --workers or --dask")
    from midirnn.datasets.cluster import dask_executor

    with dask_executor(dask) as (executor, threads):
        yield executor, threads
