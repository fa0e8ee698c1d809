"""Encode files in worker processes: in order, in bounded memory, even if a file kills a worker."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from midirnn import sustain
from midirnn.codecs import Codec
from midirnn.codecs.performance import emit
from midirnn.datasets.cluster import LOST_WORKERS
from midirnn.datasets.onefile import FileRules, Outcome, encode_file
from midirnn.datasets.remote import AnyFile
from midirnn.errors import DatasetError
from midirnn.files import reason_of
from midirnn.midievents import scan
from midirnn.midifile import pair

Value = TypeVar("Value")

DIED = "cannot be encoded (the process that read it died; out of memory, perhaps)"

CHUNK = 16
"""Number of files that a worker gets at a time."""

_CHUNKS_AHEAD = 4  # per worker, so that one long chunk does not hold up the others


def encode_chunk(paths: Sequence[AnyFile], codec: Codec[Any], rules: FileRules) -> list[Outcome]:
    """Encode some files."""
    return [encode_file(path, codec, rules) for path in paths]


def encode_all(
    paths: Sequence[AnyFile],
    codec: Codec[Any],
    *,
    workers: int,
    executor: Executor | None = None,
    rules: FileRules | None = None,
) -> Generator[Outcome, None, None]:
    """Encode files and yield each outcome, in order, a few chunks ahead of the caller.

    The work is done in this process if there is little of it or ``workers`` is 1, else by that many
    processes, or by the ``executor``. If a worker process dies, the files that it may have had are
    tried again, each alone; a file whose process dies again is given up with a reason.
    """
    rules = rules or FileRules()
    begins = range(0, len(paths), CHUNK)
    chunks = _Chunks(list(paths[begin : begin + CHUNK]) for begin in begins)
    workers = max(1, min(workers, len(begins)))
    ahead = _CHUNKS_AHEAD * workers
    if executor is not None:
        yield from _in_order(executor, chunks, codec, ahead, rules, is_own=False)
        return
    if workers == 1:
        if len(paths) > CHUNK:
            load_cpp()
        yield from (encode_file(path, codec, rules) for path in paths)
        return
    while not chunks.are_done:
        with _pool(workers) as pool:
            try:
                yield from _in_order(pool, chunks, codec, ahead, rules)
            except BrokenExecutor:
                pool.shutdown()
                files = [path for chunk in chunks.under_way for path in chunk]
                chunks.under_way.clear()
                yield from _one_at_a_time(files, codec, rules)


class _Chunks:
    """The files in chunks. Owns those that workers hold, and an iterator over the rest."""

    def __init__(self, chunks: Iterable[Sequence[AnyFile]]) -> None:
        self.under_way: deque[Sequence[AnyFile]] = deque()
        self._coming = iter(chunks)
        self.are_done = False
        """Whether there are no more, and the outcomes of all are known."""

    def next(self) -> Sequence[AnyFile] | None:
        """Return the next chunk, which is under way from now on; None if there are no more."""
        chunk = next(self._coming, None)
        if chunk is not None:
            self.under_way.append(chunk)
        return chunk


def _in_order(
    pool: Executor,
    chunks: _Chunks,
    codec: Codec[Any],
    ahead: int,
    rules: FileRules,
    is_own: bool = True,
) -> Iterator[Outcome]:
    """Yield the outcomes of all chunks; each is under way until they are known.

    An executor from the caller restarts its own workers; here only the files that end them are
    found.
    """
    running: deque[Future[list[Outcome]]] = deque()
    while True:
        while len(running) < ahead and (chunk := chunks.next()) is not None:
            running.append(pool.submit(encode_chunk, chunk, codec, rules))
        if not running:
            chunks.are_done = True
            return
        try:
            outcomes = running.popleft().result()
        except Exception as error:
            if is_own:
                raise
            _check_lost(error)
            wait(running)  # so that no other file ends the worker of a file alone
            outcomes = [_alone(pool, path, codec, rules) for path in chunks.under_way[0]]
        chunks.under_way.popleft()
        yield from outcomes


def _alone(pool: Executor, path: AnyFile, codec: Codec[Any], rules: FileRules) -> Outcome:
    """Return the outcome of a file that may have ended its workers."""
    try:
        outcome: Outcome = pool.submit(encode_file, path, codec, rules).result()
    except Exception as error:
        _check_lost(error)
        return DIED
    return outcome


def _check_lost(error: Exception) -> None:
    """Raise :class:`DatasetError` unless the error is that workers died and were replaced."""
    if type(error).__name__ not in LOST_WORKERS:
        reason = f"{type(error).__name__}: {reason_of(error)}"
        raise DatasetError(
            f"the executor has failed ({reason}); the same command goes on from here"
        ) from error


def _one_at_a_time(
    paths: Sequence[AnyFile], codec: Codec[Any], rules: FileRules
) -> Iterator[Outcome]:
    """Yield the outcome of each file; a file whose process dies is given up."""
    left = deque(paths)
    while left:
        with _pool(1) as pool:
            _check_start(pool)
            try:
                while left:
                    outcome: Outcome = pool.submit(encode_file, left[0], codec, rules).result()
                    left.popleft()
                    yield outcome
            except BrokenExecutor:
                left.popleft()
                yield DIED


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
    """Start processes; end them without waiting."""
    pool = WorkerPool(workers)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class WorkerPool(ProcessPoolExecutor):
    """Fresh processes (a fork would copy locked locks), which leave Ctrl-C to their parent."""

    def __init__(
        self,
        workers: int,
        initializer: Callable[..., None] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        context = multiprocessing.get_context("spawn")
        super().__init__(workers, context, initializer or begin_worker, initargs)

    def submit(self, fn: Callable[..., Value], /, *args: Any, **kwargs: Any) -> Future[Value]:
        """Submit a call. If that starts a process, Ctrl-C is blocked in it from the beginning."""
        with _ctrl_c_blocked():
            return super().submit(fn, *args, **kwargs)


@contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    """Block Ctrl-C in this thread, where the system can, and in processes that it starts."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_worker() -> None:
    """Leave Ctrl-C to the parent process, end when it ends, and use C++ for files of any length."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    load_cpp()


def load_cpp() -> None:
    """Load the C++ for reading and encoding, so that files of any length use it."""
    for module in (scan, pair, sustain, emit):
        module.LIBRARY.get()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
