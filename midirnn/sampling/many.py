"""Generate many pieces, one after another or in several processes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from midirnn.datasets.workers import WorkerPool, begin_worker
from midirnn.errors import OptionError
from midirnn.performance import Performance
from midirnn.sampling.continuation import begin_piece
from midirnn.sampling.filters import SamplingConfig
from midirnn.sampling.generated import Generated
from midirnn.sampling.native_draw import compile_now
from midirnn.sampling.requests import Request
from midirnn.sampling.together import Steps, together

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from midirnn.codecs import Codec
    from midirnn.engines.base import StepEngine
    from midirnn.engines.load import Model

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Piece = tuple[int, Performance | None]
"""A seed and a primer."""


class Begin(Protocol[T_co]):
    """Begins a piece, as :func:`~midirnn.sampling.continuation.begin_piece` does.

    It must be picklable: other processes call it.
    """

    def __call__(
        self,
        request: Request,
        engine: StepEngine,
        codec: Codec[Any],
        primer: Performance | None,
        *,
        seed: int,
    ) -> Steps[T_co]:
        """Return the steps of a piece."""
        ...


_AHEAD = 2  # groups of pieces (one without a batch) in progress or waiting, per process


def generate_many(
    model: Model,
    count: int,
    *,
    seconds: float,
    sampling: SamplingConfig | None = None,
    seed: int = 0,
    engine: str = "auto",
    workers: int = 1,
) -> Iterator[Performance]:
    """Generate ``count`` pieces without a primer, in order; piece i has the seed ``seed + i``.

    Each of several ``workers`` is a process with its own engine. The pieces do not depend on the
    number of workers.
    """
    if count < 1:
        raise OptionError(f"count is {count}; it must be at least 1")
    made = continue_many(
        model,
        [None] * count,
        request=Request(seconds, sampling),
        seeds=range(seed, seed + count),
        engine=engine,
        workers=workers,
    )
    return (generated.performance for generated in made)


def continue_many(
    model: Model,
    primers: Sequence[Performance | None],
    *,
    request: Request,
    seeds: Sequence[int],
    engine: str = "auto",
    workers: int = 1,
    batch: int | None = None,
) -> Iterator[Generated]:
    """Yield a continuation of each primer, in order, each drawn with its seed.

    See :func:`draw_many`.
    """
    return draw_many(
        model,
        primers,
        begin_piece,
        request=request,
        seeds=seeds,
        engine=engine,
        workers=workers,
        batch=batch,
    )


def draw_many(
    model: Model,
    primers: Sequence[Performance | None],
    begin: Begin[T],
    *,
    request: Request,
    seeds: Sequence[int],
    engine: str = "auto",
    workers: int = 1,
    batch: int | None = None,
) -> Iterator[T]:
    """Yield a piece for each primer, in order, each drawn by ``begin`` with its seed.

    ``batch`` is the number of pieces in progress at once, computed in numpy unless ``engine`` says
    otherwise. The music depends neither on it nor on the number of ``workers``; see
    :func:`generate_many`.
    """
    for name, value, low in (
        ("seed", min(seeds, default=0), 0),
        ("workers", workers, 1),
        ("batch", 1 if batch is None else batch, 1),
    ):
        if value < low:
            raise OptionError(f"{name} is {value}; it must be at least {low}")
    order = _Order(request, begin, batch)
    if workers == 1 or not seeds:
        pieces = zip(seeds, primers, strict=True)
        return order.make_all(model.codec, _lanes(model, engine, batch), pieces)
    return _in_processes(model, engine, order, seeds, primers, min(workers, len(seeds)))


@dataclass(frozen=True)
class _Order(Generic[T]):
    """What all pieces have in common."""

    request: Request
    begin: Begin[T]
    batch: int | None
    """How many pieces are in progress at once; None for one at a time, without lanes."""

    def make_all(
        self,
        codec: Codec[Any],
        lanes: Sequence[StepEngine],
        pieces: Iterable[Piece],
    ) -> Iterator[T]:
        """Yield the pieces, in order."""
        return together((partial(self._begin, codec, *piece) for piece in pieces), lanes)

    def _begin(
        self, codec: Codec[Any], seed: int, primer: Performance | None, engine: StepEngine
    ) -> Steps[T]:
        return self.begin(self.request, engine, codec, primer, seed=seed)


def _in_processes(
    model: Model,
    engine: str,
    order: _Order[T],
    seeds: Sequence[int],
    primers: Sequence[Performance | None],
    workers: int,
) -> Iterator[T]:
    """Yield the pieces, in order; a few are generated ahead of the consumer."""
    enough = multiprocessing.get_context("spawn").Event()
    pool = WorkerPool(workers, _begin_worker, (enough,))
    running: deque[Future[list[T]]] = deque()
    size = min(order.batch or 1, -(-len(seeds) // workers))
    try:
        for begin in range(0, len(seeds), size):
            own = slice(begin, begin + size)
            group = list(zip(seeds[own], primers[own], strict=True))
            running.append(pool.submit(_make, model.folder, model.blend, engine, order, group))
            if len(running) >= _AHEAD * workers:
                yield from running.popleft().result()
        while running:
            yield from running.popleft().result()
    except BrokenExecutor:
        raise OptionError(
            "a process that generates has died; use fewer --workers, and in a script start them "
            "under \"if __name__ == '__main__':\""
        ) from None
    except BaseException:  # Ctrl-C, or nobody wants the rest
        enough.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker(enough: Event) -> None:
    """Begin a worker process that ends at once when ``enough`` is set, as after Ctrl-C."""
    begin_worker()

    def end() -> None:
        enough.wait()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()


def _make(
    folder: Path, blend: float, engine: str, order: _Order[T], pieces: Sequence[Piece]
) -> list[T]:
    """Generate pieces in a worker process."""
    lanes, codec = _loaded(folder, blend, engine, order.batch)
    return list(order.make_all(codec, lanes, pieces))


@cache
def _loaded(
    folder: Path, blend: float, engine: str, batch: int | None
) -> tuple[Sequence[StepEngine], Codec[Any]]:
    """Return the engines and the codec of a worker process, which loads them once."""
    from midirnn.engines.load import load

    model = load(folder, blend=blend)
    return _lanes(model, engine, batch), model.codec


def _lanes(model: Model, engine: str, batch: int | None) -> Sequence[StepEngine]:
    """Return one engine, or one for each of the ``batch`` pieces in progress."""
    compile_now()
    return [model.engine(engine)] if batch is None else model.lanes(batch, engine)
