"""Where a command writes: a place that cannot be written is found before the work is done."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from midirnn.errors import OptionError


def check_file(path: Path, suffixes: Collection[str] = ()) -> None:
    """Raise :class:`OptionError` where no file, or none of that kind, can be written."""
    with _one_line_errors(path):
        if path.is_dir():
            raise OSError(errno.EISDIR, "it is a folder")
        if suffixes and path.suffix.lower() not in suffixes:
            raise ValueError(f"its name must end in {' or '.join(suffixes)}")
        _check_place(path.absolute().parent)


def check_folder(path: Path) -> None:
    """Raise :class:`OptionError` where no folder can be made, or nothing be written into it."""
    with _one_line_errors(path):
        _check_place(path.absolute())


def _check_place(folder: Path) -> None:
    """Look at the nearest folder that is there: those below it are made with what is written."""
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    for number, fits in (
        (errno.ENOTDIR, nearest.is_dir()),
        (errno.EACCES, os.access(nearest, os.W_OK | os.X_OK)),
    ):
        if not fits:
            raise OSError(number, os.strerror(number))


@contextmanager
def _one_line_errors(path: Path) -> Iterator[None]:
    """Make what the file system says into an :class:`OptionError`."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"{path} cannot be written ({reason})") from None
