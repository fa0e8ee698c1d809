"""Ending a session by Ctrl-C, SIGTERM or SIGHUP, with every note released."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
"""The signals that end a session, if the system has them."""


PAUSE = "SIGTSTP"
"""The signal of Ctrl-Z, if the system has it."""


DELIVERY_SECONDS = 0.1
"""How long the MIDI system may take to fetch what was sent. JACK does so once per period, in a
thread of this process, which stops with it. The longest usual period is 93 ms."""


def stop_process() -> None:
    """Suspend this process, as Ctrl-Z does, once what was sent has gone out."""
    time.sleep(DELIVERY_SECONDS)
    os.kill(os.getpid(), signal.SIGSTOP)


@contextmanager
def _caught(name: str, action: Callable[[], None] | None) -> Iterator[None]:
    """Call ``action`` on that signal, if the system has it and this is the main thread."""
    is_main = threading.current_thread() is threading.main_thread()
    if action is None or not is_main or not hasattr(signal, name):
        yield
        return
    number = getattr(signal, name)
    before = signal.signal(number, lambda *_: action())
    try:
        yield
    finally:
        signal.signal(number, before)


class EndSignals:
    """The signals that end a session, caught as long as the ``with`` statement lasts.

    Before :meth:`running` they raise KeyboardInterrupt. Inside it the first stops the session and a
    second raises KeyboardInterrupt. After it, while notes are released, they have to wait: the next
    :meth:`between` or :meth:`running`, if another session follows, heeds them. In other threads
    than the main one, which cannot catch signals, this does nothing.
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
    def running(
        self, stop: Callable[[], None], pause: Callable[[], None] | None = None
    ) -> Iterator[None]:
        """Call ``stop`` on a signal and ``pause`` on Ctrl-Z, while the context lasts."""
        self._stop, self._over = stop, False
        if self._asked:
            stop()
        try:
            with _caught(PAUSE, pause):
                yield
        finally:
            self._over = True

    def between(self) -> None:
        """Be as before the first session again, since another follows.

        Raises KeyboardInterrupt, as signals do from now on, if one came since the last session.
        """
        self._stop, self._over = None, False
        if self._asked:
            raise KeyboardInterrupt

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self._over:
            self._asked = True
            return
        if self._stop is None or self._asked:
            raise KeyboardInterrupt
        self._asked = True
        self._stop()
