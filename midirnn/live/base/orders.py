"""Actions that other threads queue for the session's thread, and how they wake it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from midirnn.live.base.clock import Clock


class Orders:
    """A queue of actions for the session's thread, and the condition that wakes it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bell = threading.Condition()
        self._woken = False
        self._actions: deque[Callable[[float], None]] = deque()

    def put(self, action: Callable[[float], None]) -> None:
        """Queue an action, which will be called with the time. Thread-safe."""
        self._actions.append(action)
        self.wake()

    def wake(self) -> None:
        """Wake the session's thread, or keep its next wait from sleeping. Thread-safe."""
        with self._bell:
            self._woken = True
            self._bell.notify_all()

    def listen(self) -> None:
        """Begin an iteration of the loop: a wake from now on causes another one."""
        self._woken = False

    def carry_out(self, now: float) -> None:
        """Run the queued actions."""
        for _ in range(len(self._actions)):  # a flood of more must not hold up the music
            self._actions.popleft()(now)

    def wait(self, until: float, has_news: Callable[[], bool]) -> None:
        """Sleep until then, unless there is news or something wakes this thread."""
        with self._bell:
            if not (self._woken or self._actions or has_news()):
                self._clock.wait(self._bell, until)
