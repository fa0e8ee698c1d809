"""What other threads want done in the session's thread, and how they wake it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from midirnn.live.base.clock import Clock


class Orders:
    """Actions that wait for the session's thread, and the bell that wakes it. Owns the queue."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bell = threading.Condition()
        self._woken = False
        self._actions: deque[Callable[[float], None]] = deque()

    def put(self, action: Callable[[float], None]) -> None:
        """Queue an action, whose argument will be the time. Thread-safe."""
        self._actions.append(action)
        self.wake()

    def wake(self) -> None:
        """Wake the session's thread, or have it not fall asleep next time. Thread-safe."""
        with self._bell:
            self._woken = True
            self._bell.notify_all()

    def listen(self) -> None:
        """Begin a turn of the loop: what wakes from now on may be too late for it."""
        self._woken = False

    def carry_out(self, now: float) -> None:
        """Carry out the actions that wait."""
        for _ in range(len(self._actions)):  # a flood of more must not hold up the music
            self._actions.popleft()(now)

    def wait(self, until: float, has_news: Callable[[], bool]) -> None:
        """Sleep until then, unless there is news or something wakes this thread."""
        with self._bell:
            if not (self._woken or self._actions or has_news()):
                self._clock.wait(self._bell, until)
