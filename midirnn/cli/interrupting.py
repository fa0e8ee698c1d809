"""Handle a Ctrl-C that arrives while an object is freed: it must still end the command."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

AGAIN_SECONDS = 0.05
"""How long after it was lost a Ctrl-C is repeated; by then the object is freed."""


@contextmanager
def repeating_lost_interrupts() -> Iterator[None]:
    """Repeat a Ctrl-C that Python drops because it arrived in a ``__del__``."""
    before = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            before(unraisable)
            return
        timer = threading.Timer(AGAIN_SECONDS, _interrupt_main_thread)
        timer.daemon = True
        timer.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _interrupt_main_thread() -> None:
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:  # also ends a wait
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
