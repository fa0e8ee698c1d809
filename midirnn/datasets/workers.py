"""Encode files in worker processes: in order, in bounded memory, whatever a file does."""

from __future__ import annotations

import faulthandler
import hashlib
import multiprocessing
import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, TextIO, runtime_checkable

from midirnn.codecs import Codec, Tokens
from midirnn.errors import DatasetError, MidirnnError
from midirnn.files import reason_of
from midirnn.performance import Performance

CHUNK = 16
"""Number of files that a worker gets at a time."""

FILE_SECONDS = 30.0
"""A file that takes longer is given up. The largest piano pieces take some tens of milliseconds."""

_CHUNKS_AHEAD = 4  # per worker, so that one long chunk does not hold up the others


@dataclass(frozen=True)
class Encoded:
    """The outcome of one file; ``duration`` is in seconds."""

    tokens: Tokens
    duration: float
    notes: int
    sha256: str
    damage: str = ""
    """What is lost of a damaged file."""


Outcome = Encoded | str
"""An encoded file, or the reason why there is none."""


class _TooLong(BaseException):
    """A file takes too long. No code that it interrupts catches it by mistake."""


@runtime_checkable
class Recovers(Protocol):
    """A codec that reads what is whole of a damaged file, and warns of what is lost."""

    def recover(self, path: Path) -> Any:
        """Return the piece."""
        ...


def encode_file(
    path: Path, codec: Codec[Any], seconds: float = FILE_SECONDS, recover: bool = False
) -> Outcome:
    """Encode one file. Never raises: a file that breaks the reader must not stop a run.

    A file that takes more than ``seconds`` is given up.
    """
    try:
        with _time_limit(seconds):
            data = path.read_bytes()
            piece, damage = _read(path, codec, recover)
            tokens = codec.encode(piece)
    except _TooLong:
        return f"cannot be encoded (it takes longer than {seconds:g} s)"
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
    """Return a piece, and what of it is lost; nothing is unless the file is damaged."""
    if not recover or not isinstance(codec, Recovers):
        return codec.read(path), ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        piece = codec.recover(path)
    lost = "; ".join(str(warning.message) for warning in caught)
    return piece, lost.removeprefix(f"{path}: ")


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise :class:`_TooLong` in the block after so long, where the system has timers.

    Code that does not come back to Python cannot be interrupted: of a worker the process then ends.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not hasattr(signal, "setitimer") or not in_main:
        yield
        return

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


@cache
def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def encode_chunk(
    paths: Sequence[Path],
    codec: Codec[Any],
    seconds: float = FILE_SECONDS,
    recover: bool = False,
) -> list[Outcome]:
    """Encode some files."""
    return [encode_file(path, codec, seconds, recover) for path in paths]


def encode_all(
    paths: Sequence[Path],
    codec: Codec[Any],
    *,
    workers: int,
    executor: Executor | None = None,
    seconds: float = FILE_SECONDS,
    recover: bool = False,
) -> Generator[Outcome, None, None]:
    """Encode files and yield each outcome, in order, a few chunks ahead of what is taken.

    The work is done here if there is little of it or ``workers`` is 1, else by that many
    processes, or by the ``executor``. If a worker process dies, the files that it may have had are
    tried again, each alone; a file whose process dies again is given up with a reason.
    """
    chunks = deque(paths[begin : begin + CHUNK] for begin in range(0, len(paths), CHUNK))
    workers = max(1, min(workers, len(chunks)))
    ahead = _CHUNKS_AHEAD * workers
    if executor is not None:
        yield from _in_order(executor, chunks, codec, ahead, seconds, recover)
    elif workers == 1:
        yield from (encode_file(path, codec, seconds, recover) for path in paths)
    while chunks and executor is None and workers > 1:
        with _pool(workers) as pool:
            try:
                yield from _in_order(pool, chunks, codec, ahead, seconds, recover)
            except BrokenExecutor:
                pool.shutdown()
                under_way = [chunks.popleft() for _ in range(min(ahead, len(chunks)))]
                files = [path for chunk in under_way for path in chunk]
                yield from _one_at_a_time(files, codec, seconds, recover)


def _in_order(
    pool: Executor,
    chunks: deque[Sequence[Path]],
    codec: Codec[Any],
    ahead: int,
    seconds: float,
    recover: bool,
) -> Iterator[Outcome]:
    """Yield the outcomes of all chunks; a chunk leaves ``chunks`` once they are known."""
    running: deque[Future[list[Outcome]]] = deque()
    while chunks:
        while len(running) < min(ahead, len(chunks)):
            running.append(pool.submit(encode_chunk, chunks[len(running)], codec, seconds, recover))
        outcomes = running.popleft().result()
        chunks.popleft()
        yield from outcomes


def _one_at_a_time(
    paths: Sequence[Path], codec: Codec[Any], seconds: float, recover: bool
) -> Iterator[Outcome]:
    """Yield the outcome of each file; a file whose process dies is given up."""
    left = deque(paths)
    while left:
        with _pool(1) as pool:
            _check_start(pool)
            try:
                while left:
                    outcome: Outcome = pool.submit(
                        encode_file, left[0], codec, seconds, recover
                    ).result()
                    left.popleft()
                    yield outcome
            except BrokenExecutor:
                left.popleft()
                yield "cannot be encoded (the process that read it died; out of memory, perhaps)"


def _check_start(pool: Executor) -> None:
    """Raise :class:`DatasetError` if worker processes die before they do anything."""
    try:
        pool.submit(os.getpid).result()
    except BrokenExecutor:
        raise DatasetError(
            "worker processes cannot be started; a script that encodes must do so under "
            "\"if __name__ == '__main__':\", or encode with one worker"
        ) from None


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Start fresh processes (a fork would copy locked locks); end them without waiting."""
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=begin_worker
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def begin_worker() -> None:
    """Leave Ctrl-C to the parent process, and end when it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
