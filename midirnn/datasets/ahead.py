"""Prepare the next training batch in a thread while the current one is in use."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from midirnn.datasets.windows import Batch

State = list[dict[str, Any]]


class Windows(Protocol):
    """Endless batches that can be resumed exactly, such as ``TrainingWindows``."""

    def __next__(self) -> Batch:
        """Return the next batch."""

    def state(self) -> State:
        """Return all that the following batches depend on."""

    def restore(self, state: State) -> None:
        """Continue where :meth:`state` was taken."""

    def restore_randomness(self, state: State) -> None:
        """Use the random generators of a state from here on."""


class WindowsAhead:
    """The same batches, each prepared while the one before it is in use.

    Owns a thread, the windows, which only that thread reads, and the batch that is ready. The state
    is that after the batch returned last: a batch that is ready is prepared again on resuming.
    """

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._thread = ThreadPoolExecutor(1, "midirnn windows")
        self._ready: Future[tuple[Batch, State]] | None = None
        self._state: State | None = None

    def __next__(self) -> Batch:
        ready = self._ready or self._thread.submit(self._prepare)
        batch, self._state = ready.result()
        self._ready = self._thread.submit(self._prepare)
        return batch

    def _prepare(self) -> tuple[Batch, State]:
        return next(self._windows), self._windows.state()

    def _settle(self) -> State:
        """Drop the batch that is ready; return the state before it."""
        if self._ready is not None:
            self._ready.exception()  # waits for it
        state = self._windows.state() if self._state is None else self._state
        self._ready = self._state = None
        return state

    def state(self) -> State:
        """Return all that the following batches depend on."""
        return self._windows.state() if self._state is None else self._state

    def restore(self, state: State) -> None:
        """Continue where :meth:`state` was taken."""
        self._settle()
        self._windows.restore(state)

    def restore_randomness(self, state: State) -> None:
        """Use the random generators of a state from here on."""
        before = self._settle()
        self._windows.restore(before)
        self._windows.restore_randomness(state)
