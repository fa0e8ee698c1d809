"""Optional C++ code: compiled on first use, kept in the user's cache folder.

Each source is one file with C functions, loaded with :mod:`ctypes`. Each has an equivalent in numpy
or PyTorch, for machines without a compiler and as the reference in the tests.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COMPILERS = ("g++", "clang++", "c++")
"""Tried in this order."""

COMPILE_SECONDS = 120
"""The time limit for compiling."""


def has_compiler() -> bool:
    """Return whether there is a C++ compiler. For tests."""
    return _compiler() is not None


def compiled(source: Path, flags: Sequence[str] = ()) -> ctypes.CDLL | None:
    """Return the library of a source, compiling it if necessary.

    None without a compiler, or if compiling or loading fails.
    """
    compiler = _compiler()
    if compiler is None:
        return None
    try:
        path = cache_folder() / _library_name(source, compiler, flags)
        if not path.exists():
            _compile([compiler, *flags], source, path)
        return ctypes.CDLL(os.fspath(path))
    except (OSError, subprocess.SubprocessError):
        return None


def compiled_before(source: Path, flags: Sequence[str] = ()) -> ctypes.CDLL | None:
    """Return the library of a source if it is compiled already; else None.

    In that case another process compiles it at low priority, for the next time. For callers that
    cannot wait.
    """
    compiler, folder = _compiler(), lasting_folder()
    if compiler is None or folder is None:
        return None
    with contextlib.suppress(OSError):
        path = folder / _library_name(source, compiler, flags)
        if path.exists():
            return ctypes.CDLL(os.fspath(path))
        _compile_apart(source, path, flags)
    return None


POINTER, INT, INT64 = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64

Functions = Mapping[str, tuple[Any, Sequence[Any]]]
"""The type of the result, and those of the arguments, of each function of a library."""


def declared(library: ctypes.CDLL, functions: Functions) -> ctypes.CDLL:
    """Declare the types of the functions to ctypes; return the library."""
    for name, (result, arguments) in functions.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Library:
    """The library of a source. Owns it once it is loaded, which is on first use.

    It is worth compiling or loading for ``least`` items or more. One that does not ``wait`` is
    loaded only if it is compiled already (:func:`compiled_before`).
    """

    def __init__(
        self,
        source: Path,
        functions: Functions,
        *,
        least: int = 0,
        flags: Sequence[str] = (),
        wait: bool = True,
    ) -> None:
        self._source = source
        self._functions = functions
        self._least = least
        self._flags = flags
        self._wait = wait
        self.get = functools.cache(self._load)  # None where it cannot be used

    def is_for(self, count: int) -> bool:
        """Return whether to use it for ``count`` items; for a few only if it is loaded already."""
        return count >= self._least or self.get.cache_info().currsize > 0

    def _load(self) -> ctypes.CDLL | None:
        find = compiled if self._wait else compiled_before
        library = find(self._source, self._flags)
        return None if library is None else declared(library, self._functions)


def _library_name(source: Path, compiler: str, flags: Sequence[str]) -> str:
    machine = platform.system(), platform.release(), platform.machine()
    key = hashlib.sha256(source.read_bytes() + repr((compiler, *flags, *machine)).encode())
    return f"{source.stem}-{key.hexdigest()[:16]}.so"


_HOME = os.fspath(Path(__file__).parents[1])


@functools.cache  # once per process
def _compile_apart(source: Path, path: Path, flags: Sequence[str]) -> None:
    """Compile in another process, unless one is compiling this already."""
    claim = path.with_suffix(".compiling")
    with contextlib.suppress(FileNotFoundError):
        if time.time() - claim.stat().st_mtime < COMPILE_SECONDS:
            return
    claim.touch()
    program = (
        f"import sys; sys.path.append({_HOME!r}); from pathlib import Path; "
        f"from midirnn.native import compiled; compiled(Path({os.fspath(source)!r}), "
        f"{tuple(flags)!r}); Path({os.fspath(claim)!r}).unlink(missing_ok=True)"
    )
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(
        [*_GENTLY, sys.executable, "-P", "-c", program],
        stdin=nothing,
        stdout=nothing,
        stderr=nothing,
        start_new_session=True,
    )
    threading.Thread(target=process.wait, name="midirnn compiler", daemon=True).start()


_GENTLY = ("nice", "-n", "19") if shutil.which("nice") else ()


def _compiler() -> str | None:
    return next(filter(None, map(shutil.which, COMPILERS)), None)


def cache_folder() -> Path:
    """Return the cache folder; a temporary one if it cannot be created."""
    return lasting_folder() or Path(tempfile.mkdtemp(prefix="midirnn-"))


def lasting_folder() -> Path | None:
    """Return the cache folder, which is kept between runs; None if it cannot be created."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "midirnn"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a read-only home, say
        return None
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
