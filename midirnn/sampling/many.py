"""Generate many pieces, one after another or in several processes."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midirnn.datasets.workers import begin_worker
from midirnn.errors import OptionError
from midirnn.performance import Performance
from midirnn.sampling.filters import SamplingConfig
from midirnn.sampling.following import DEFAULT_FOLLOW
from midirnn.sampling.generate import Generated, continue_primer
from midirnn.sampling.sampler import Sampler

if TYPE_CHECKING:
    from midirnn.codecs import Codec
    from midirnn.engines.base import StepEngine
    from midirnn.engines.load import Model

_AHEAD = 2  # pieces in progress or waiting, per process


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

    With several ``workers`` each is a process with its own engine. The pieces do not depend on how
    many there are.
    """
    if count < 1:
        raise OptionError(f"count is {count}; it must be at least 1")
    made = continue_many(
        model,
        [None] * count,
        seconds=seconds,
        sampling=sampling,
        seed=seed,
        engine=engine,
        workers=workers,
    )
    return (generated.performance for generated in made)


def continue_many(
    model: Model,
    primers: Sequence[Performance | None],
    *,
    seconds: float,
    sampling: SamplingConfig | None = None,
    follow: float = DEFAULT_FOLLOW,
    follow_seconds: float | None = None,
    end: bool = False,
    seed: int = 0,
    engine: str = "auto",
    workers: int = 1,
) -> Iterator[Generated]:
    """Yield a continuation of each primer, in order; number i is drawn with seed + i.

    The music does not depend on the number of ``workers``; see :func:`generate_many`.
    """
    for name, value, low in (("seed", seed, 0), ("workers", workers, 1)):
        if value < low:
            raise OptionError(f"{name} is {value}; it must be at least {low}")
    order = _Order(seconds, sampling, follow, follow_seconds, end, seed)
    if workers == 1:
        stepping = model.engine(engine)
        return (order.make(stepping, model.codec, *numbered) for numbered in enumerate(primers))
    return _in_processes(model.folder, engine, order, primers, min(workers, len(primers)))


@dataclass(frozen=True)
class _Order:
    """What all pieces have in common."""

    seconds: float
    sampling: SamplingConfig | None
    follow: float
    follow_seconds: float | None
    end: bool
    seed: int

    def make(
        self,
        engine: StepEngine,
        codec: Codec[Any],
        index: int,
        primer: Performance | None,
    ) -> Generated:
        """Generate a piece."""
        sampler = Sampler(engine, codec, self.sampling, seed=self.seed + index)
        return continue_primer(
            sampler,
            self.seconds,
            primer,
            follow=self.follow,
            follow_seconds=self.follow_seconds,
            end=self.end,
        )


def _in_processes(
    folder: Path,
    engine: str,
    order: _Order,
    primers: Sequence[Performance | None],
    workers: int,
) -> Iterator[Generated]:
    """Yield the pieces, in order; a few are made ahead of what is taken."""
    # Fresh processes: a fork would copy locked locks.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=begin_worker)
    running: deque[Future[Generated]] = deque()
    try:
        for index, primer in enumerate(primers):
            running.append(pool.submit(_make, folder, engine, order, index, primer))
            if len(running) >= _AHEAD * workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    except BrokenExecutor:
        raise OptionError(
            "a process that generates has died; use fewer --workers, and in a script start them "
            "under \"if __name__ == '__main__':\""
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _make(
    folder: Path, engine: str, order: _Order, index: int, primer: Performance | None
) -> Generated:
    """Generate a piece in a worker process."""
    return order.make(*_loaded(folder, engine), index, primer)


@cache
def _loaded(folder: Path, engine: str) -> tuple[StepEngine, Codec[Any]]:
    """Return the engine of a process, and the codec; made once."""
    from midirnn.engines.load import load

    model = load(folder)
    return model.engine(engine), model.codec
