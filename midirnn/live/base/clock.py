"""Clocks: the time, and how to wait. Sessions use a monotonic clock, tests a manual one."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """A time in seconds that never runs backwards, and a way to wait."""

    def now(self) -> float:
        """Return the time in seconds."""
        ...

    def wait(self, condition: threading.Condition, until: float) -> None:
        """Sleep until then, or until the condition, which the caller holds, is notified.

        It may also return early: the caller must check its condition again.
        """
        ...


class MonotonicClock:
    """The computer's monotonic clock, which ports stamp messages with."""

    def now(self) -> float:
        """Return the time in seconds."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, until: float) -> None:
        """Sleep until then, or until the condition, which the caller holds, is notified."""
        seconds = min(until - self.now(), threading.TIMEOUT_MAX)
        if seconds > 0:
            condition.wait(seconds)


class ManualClock:
    """A clock that stands still until someone waits. Owns the planned actions.

    Waiting moves the time to ``until``, or to the next action planned with :meth:`at`, and runs
    it. So a session plays minutes in milliseconds, in one thread, and identically each time.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self._order = itertools.count()
        self._actions: list[tuple[float, int, Callable[[], None]]] = []

    def now(self) -> float:
        """Return the time in seconds."""
        return self._seconds

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Plan an action for that time. It runs in the thread that waits."""
        heapq.heappush(self._actions, (seconds, next(self._order), action))

    def advance(self, seconds: float) -> None:
        """Let time pass, as if something had taken that long."""
        self._seconds += seconds

    def wait(self, condition: threading.Condition, until: float) -> None:
        """Move the time to ``until``, or to the next planned actions, and run those."""
        if self._actions:
            until = min(until, self._actions[0][0])
        self._seconds = max(self._seconds, until)
        while self._actions and self._actions[0][0] <= self._seconds:
            heapq.heappop(self._actions)[2]()
