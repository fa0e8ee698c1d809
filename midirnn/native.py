"""C++ beside the Python: compiled when it is first used, kept in the user's cache folder.

Each source is one file with C functions, loaded with :mod:`ctypes`. For each there is the same
in numpy or PyTorch, for machines without a compiler and as the reference in the tests.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

COMPILERS = ("g++", "clang++", "c++")
"""Tried in this order."""

COMPILE_SECONDS = 120
"""After so long a compiler is given up."""


def has_compiler() -> bool:
    """Return whether there is a C++ compiler."""
    return _compiler() is not None


def compiled(source: Path, flags: Sequence[str] = ()) -> ctypes.CDLL | None:
    """Return the library of a source, compiled now if it was not before.

    None where there is no compiler, or where compiling or loading fails.
    """
    compiler = _compiler()
    if compiler is None:
        return None
    machine = platform.system(), platform.release(), platform.machine()
    key = hashlib.sha256(source.read_bytes() + repr((compiler, *flags, *machine)).encode())
    try:
        path = cache_folder() / f"{source.stem}-{key.hexdigest()[:16]}.so"
        if not path.exists():
            _compile([compiler, *flags], source, path)
        return ctypes.CDLL(os.fspath(path))
    except (OSError, subprocess.SubprocessError):
        return None


def _compiler() -> str | None:
    return next(filter(None, map(shutil.which, COMPILERS)), None)


def cache_folder() -> Path:
    """Return the folder for what is kept between runs; a temporary one if it cannot be made."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "midirnn"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a read-only home: compile anew in each process
        folder = Path(tempfile.mkdtemp(prefix="midirnn-"))
    return folder


def _compile(command: Sequence[str], source: Path, path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        fresh = Path(folder) / path.name
        subprocess.run(
            [*command, "-std=c++17", "-O3", "-shared", "-fPIC", os.fspath(source), "-o", fresh],
            check=True,
            capture_output=True,
            timeout=COMPILE_SECONDS,
        )
        fresh.replace(path)  # whole or not at all, also where several processes compile it
