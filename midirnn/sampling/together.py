"""Generate pieces together: a token of each in turn, so that their steps are batched."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from midirnn.engines.base import StepEngine

T = TypeVar("T")

Steps = Generator[None, None, T]
"""Yields after every token, and returns a piece."""

Begin = Callable[[StepEngine], Steps[T]]
"""Begins a piece with an engine."""

_AHEAD = 2
"""The most pieces per lane that are in progress, or complete and waiting for one before them."""


def together(pieces: Iterable[Begin[T]], lanes: Sequence[StepEngine]) -> Iterator[T]:
    """Yield the pieces in order; as many are in progress as there are lanes.

    The pieces do not depend on the number of lanes, provided that their engines are independent.
    """
    waiting = iter(pieces)
    free = list(lanes)[::-1]
    running: deque[_Running[T]] = deque()
    """In order; complete pieces wait for those before them."""
    while True:
        while free and len(running) < _AHEAD * len(lanes):
            begin = next(waiting, None)
            if begin is None:
                break
            lane = free.pop()
            running.append(_Running(lane, begin(lane)))
        if not running:
            return
        for piece in running:
            if not piece.results and piece.advance():
                free.append(piece.lane)
        while running and running[0].results:
            yield running.popleft().results[0]


class _Running(Generic[T]):
    """A piece in progress, and its result once it is complete."""

    def __init__(self, lane: StepEngine, steps: Steps[T]) -> None:
        self.lane = lane
        self.results: list[T] = []
        self._steps = steps

    def advance(self) -> bool:
        """Draw a token; return whether the piece is complete."""
        try:
            next(self._steps)
        except StopIteration as stopped:
            self.results.append(stopped.value)
            return True
        return False


def run_to_end(steps: Steps[T]) -> T:
    """Run a generator of steps to its end, and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as stopped:
            result: T = stopped.value
            return result
