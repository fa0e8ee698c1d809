"""A progress bar for long commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (done, total) that draws a bar, if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (what, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Lines printed meanwhile go above the bar, but only if both are on the same terminal.
    shares = sys.stdout.isatty()
    with Progress(*columns, console=console, transient=True, redirect_stdout=shares) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def counted_bar(what: str, items: Iterable[T], total: int) -> Iterator[T]:
    """Yield the items, and draw a bar of how many are done."""
    with progress_bar(what) as show:
        for done, item in enumerate(items, 1):
            yield item
            show(done, total)
