"""Encode one file, whatever it holds: return its tokens, or the reason why there are none."""

from __future__ import annotations

import ctypes
import faulthandler
import hashlib
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, TextIO, runtime_checkable

from midirnn.codecs import Codec, Tokens
from midirnn.datasets.filters import PieceFilter
from midirnn.datasets.remote import AnyFile, on_disk
from midirnn.errors import MidirnnError, OptionError
from midirnn.files import reason_of
from midirnn.performance import Performance

FILE_SECONDS = 30.0
"""A file that takes longer is given up. The largest piano pieces take tens of milliseconds."""

FILE_GIGABYTES = 4.0
"""A file that needs more memory is given up."""


@dataclass(frozen=True)
class Encoded:
    """The outcome of one file; ``duration`` is in seconds."""

    tokens: Tokens
    duration: float
    notes: int
    sha256: str
    damage: str = ""
    """What was lost of a damaged file."""


@dataclass(frozen=True)
class FileRules:
    """How a file is treated, apart from its codec."""

    seconds: float = FILE_SECONDS
    """A file that takes longer is given up."""
    gigabytes: float = FILE_GIGABYTES
    """A file that needs more memory than this is given up, where the system supports limits."""
    recover: bool = False
    """Whether the intact part of a damaged file is encoded."""
    filter: PieceFilter = field(default_factory=PieceFilter)

    def __post_init__(self) -> None:
        for name in ("seconds", "gigabytes"):
            value = getattr(self, name)
            if not 0.0 < value < 1e6:
                raise OptionError(f"file_{name} is {value:g}; allowed are above 0, below 1000000")


Outcome = Encoded | str
"""An encoded file, or the reason why there is none."""


class _TooLong(BaseException):
    """A file takes too long. Not an ``Exception``, so that no interrupted code catches it."""


@runtime_checkable
class Recovers(Protocol):
    """A codec that reads the intact part of a damaged file, and warns of what is lost."""

    def recover(self, path: Path) -> Any:
        """Return the piece."""
        ...


def encode_file(path: AnyFile, codec: Codec[Any], rules: FileRules | None = None) -> Outcome:
    """Encode one file. Never raises: a file that breaks the reader must not stop a run.

    A file that breaks a limit of the rules is given up.
    """
    rules = rules or FileRules()
    try:
        with _time_limit(rules.seconds), _memory_limit(rules.gigabytes):
            data = path.read_bytes()
            with on_disk(path, data) as file:
                piece, damage = _read(file, codec, rules.recover)
            if isinstance(piece, Performance):
                piece = rules.filter.parts_of(piece)
                if reason := rules.filter.reason_against(piece):
                    return reason
            tokens = codec.encode(piece)
    except _TooLong:
        return f"cannot be encoded (it takes longer than {rules.seconds:g} s)"
    except MemoryError:
        return f"cannot be encoded (it needs more than {rules.gigabytes:g} GB of memory)"
    except MidirnnError as error:
        return getattr(error, "reason", None) or str(error)
    except OSError as error:
        return f"cannot be read ({reason_of(error)})"
    except Exception as error:
        return f"cannot be encoded ({type(error).__name__}: {error})"
    sha256 = hashlib.sha256(data).hexdigest()
    if isinstance(piece, Performance):
        if not len(tokens):
            return "holds no notes (drums are left out)"
        return Encoded(tokens, piece.duration, len(piece), sha256, damage)
    return Encoded(tokens, 0.0, 0, sha256) if len(tokens) else "is empty"


def _read(path: Path, codec: Codec[Any], recover: bool) -> tuple[Any, str]:
    """Return a piece, and what was lost of it; "" if the file is not damaged."""
    if not recover or not isinstance(codec, Recovers):
        return codec.read(path), ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        piece = codec.recover(path)
    lost = "; ".join(str(warning.message) for warning in caught)
    return piece, lost.removeprefix(f"{path}: ")


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise :class:`_TooLong` in the block after this time.

    Code that does not return to Python cannot be interrupted; a worker process is then ended.
    """
    in_main = threading.current_thread() is threading.main_thread()
    with _alarm(seconds) if in_main and hasattr(signal, "setitimer") else _timer(seconds):
        yield


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise :class:`_TooLong` by a system timer, in the main thread."""

    def too_long(number: int, frame: FrameType | None) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    if multiprocessing.parent_process() is not None:
        faulthandler.dump_traceback_later(2 * seconds + 5, exit=True, file=_nowhere())
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()


@contextmanager
def _timer(seconds: float) -> Iterator[None]:
    """Raise :class:`_TooLong` from another thread, as Dask's workers run tasks in threads."""
    here = ctypes.c_ulong(threading.get_ident())
    lock, is_over = threading.Lock(), threading.Event()
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc

    def too_long() -> None:
        with lock:
            if not is_over.is_set():
                raise_in(here, ctypes.py_object(_TooLong))

    timer = threading.Timer(seconds, too_long)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            is_over.set()
            raise_in(here, None)  # cancels one that is due but not raised yet
        timer.cancel()


@cache
def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


@contextmanager
def _memory_limit(gigabytes: float) -> Iterator[None]:
    """Limit the memory that the block may add, where the system supports such limits.

    The limit applies to the whole process, so it is set only in the main thread.
    """
    if find_spec("resource") is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    in_use = _bytes_in_use()
    most = in_use + int(gigabytes * 1e9)
    if not in_use or 0 <= soft < most:
        yield
        return
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _bytes_in_use() -> int:
    """Return the size of this process's address space; 0 where the system does not report it."""
    try:
        pages = Path("/proc/self/statm").read_bytes().split()[0]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
