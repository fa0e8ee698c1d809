"""Ending by Ctrl-C, SIGTERM and SIGHUP, with every note released."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
"""The signals that end a session, where the system has them."""


class EndSignals:
    """The signals that end a session, caught as long as the ``with`` statement lasts.

    Before :meth:`running` they raise KeyboardInterrupt. Inside it the first asks the session to
    stop and a second raises KeyboardInterrupt. After it, while notes are released, they are
    ignored. In a thread that is not the main one, which cannot catch signals, nothing is done.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._stop: Callable[[], None] | None = None
        self._asked = False
        self._over = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
                self._before[number] = signal.signal(number, self._end)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def running(self, stop: Callable[[], None]) -> Iterator[None]:
        """For as long as it lasts, a signal calls ``stop``."""
        self._stop, self._over = stop, False
        try:
            yield
        finally:
            self._over = True

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self._over:
            return
        if self._stop is None or self._asked:
            raise KeyboardInterrupt
        self._asked = True
        self._stop()
