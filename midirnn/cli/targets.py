"""Check where a command is going to write, before it does the work."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from pathlib import Path

from midirnn.errors import OptionError
from midirnn.files import one_line_errors


def check_file(path: Path, suffixes: Collection[str] = ()) -> None:
    """Raise :class:`OptionError` if no file with such a suffix can be written to ``path``."""
    with one_line_errors(path, OptionError):
        if path.is_dir():
            raise OSError("it is a folder")
        if suffixes and path.suffix.lower() not in suffixes:
            raise OSError(f"its name must end in {' or '.join(suffixes)}")
        _check_place(path.absolute().parent)


def check_folder(path: Path) -> None:
    """Raise :class:`OptionError` if ``path`` is not a writable folder and cannot become one."""
    with one_line_errors(path, OptionError):
        _check_place(path.absolute())


def _check_place(folder: Path) -> None:
    """Check the nearest folder that exists; those below it are created on writing."""
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    for number, fits in (
        (errno.ENOTDIR, nearest.is_dir()),
        (errno.EACCES, os.access(nearest, os.W_OK | os.X_OK)),
    ):
        if not fits:
            raise OSError(number, os.strerror(number))
