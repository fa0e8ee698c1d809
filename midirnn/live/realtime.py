"""Priorities: who sends, then who decides, then the model while it is waited for; then all else.

Real time is SCHED_FIFO, which Linux permits to root, and to others within ``ulimit -r``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

SENDING_PRIORITY = 60
"""Below a JACK server's own threads (70 by default there), above all that is not in real time."""

DECIDING_PRIORITY = 2
"""Below all that makes sound, and above the model: what it must not do is keep others waiting."""

MODEL_PRIORITY = 1
"""That of the model while it is waited for. It is at work for milliseconds, which audio goes before
but nothing else."""

MODEL_NICENESS = 10
"""That of the model while it works ahead."""

LONGEST_HASTE_SECONDS = 0.01
"""So much time in real time the model saves up at most: a reaction or two."""

HASTE_SHARE = 0.5
"""So much of the time it may run in real time. Linux holds up whatever is in real time on a
processor, the thread that sends included, for 50 ms as soon as that is 95 %."""


def go_first(priority: int = SENDING_PRIORITY) -> str | None:
    """Why this thread does not run in real time from now on; None if it does."""
    if not hasattr(os, "sched_setscheduler"):
        return "this system has no SCHED_FIFO"
    highest = os.sched_get_priority_max(os.SCHED_FIFO)
    parameters = os.sched_param(min(priority, highest))
    # What this thread starts does not run in real time.
    policy = os.SCHED_FIFO | getattr(os, "SCHED_RESET_ON_FORK", 0)
    try:
        os.sched_setscheduler(0, policy, parameters)
    except OSError as error:
        return f"SCHED_FIFO is not permitted ({error.strerror}); see: ulimit -r"
    return None


def go_along() -> None:
    """Nothing; this thread runs like any other again."""
    if hasattr(os, "sched_setscheduler"):
        policy = os.SCHED_OTHER | getattr(os, "SCHED_RESET_ON_FORK", 0)
        with suppress(OSError):
            os.sched_setscheduler(0, policy, os.sched_param(0))


@contextmanager
def going_first(priority: int) -> Iterator[None]:
    """Nothing; meanwhile this thread runs in real time, where that is permitted."""
    is_first = go_first(priority) is None
    try:
        yield
    finally:
        if is_first:
            go_along()


def step_back() -> None:
    """Nothing; this process runs when others have nothing to do, where the system can do that."""
    if hasattr(os, "nice"):
        os.nice(MODEL_NICENESS)


class Haste:
    """Has this thread run in real time when work has come, within limits. Owns what time is left.

    So it is there at once when it is waited for, and never keeps a machine from all else.
    """

    def __init__(self, priority: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_first = False
        """Whether it runs in real time now."""
        self._priority = priority
        self._clock = clock
        self._left = LONGEST_HASTE_SECONDS
        self._seen = clock()

    def rest(self) -> None:
        """Nothing; the thread is about to wait, and goes first when work has come."""
        self._pass(works=True)
        if not self.is_first:
            self.is_first = go_first(self._priority) is None

    def begin(self) -> None:
        """Nothing; it has waited, and work has come."""
        self._pass(works=False)
        self._limit()

    def go_on(self) -> None:
        """Nothing; it is at work. Once its time is up it goes behind others until it has rested."""
        self._pass(works=True)
        self._limit()

    def _pass(self, *, works: bool) -> None:
        before, self._seen = self._seen, self._clock()
        passed = self._seen - before
        spent = passed if works and self.is_first else 0.0
        self._left = min(self._left + HASTE_SHARE * passed - spent, LONGEST_HASTE_SECONDS)

    def _limit(self) -> None:
        if self.is_first and self._left <= 0.0:
            go_along()
            self.is_first = False
