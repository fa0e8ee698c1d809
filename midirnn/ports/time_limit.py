"""A limit for calls into a MIDI system, which may hold Python's lock for as long as they take."""

from __future__ import annotations

import faulthandler
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

CLOSE_LIMIT_SECONDS = 10.0
"""How long closing a port may take. With a dead JACK server it takes a second."""

_one_at_a_time = threading.RLock()
_is_limited = False


@contextmanager
def time_limit(seconds: float, *, quiet: bool = False) -> Iterator[None]:
    """End the process with exit code 1 if the ``with`` block takes longer.

    No Python thread could do this while python-rtmidi holds the lock, so :mod:`faulthandler` does
    it, from a thread in C. Unless ``quiet``, the traceback on standard error shows which call it
    was. A limit within another limit has no effect.
    """
    global _is_limited
    with _one_at_a_time, _nowhere() if quiet else _standard_error() as told:
        if _is_limited:
            yield
            return
        faulthandler.dump_traceback_later(seconds, exit=True, file=told)
        _is_limited = True
        try:
            yield
        finally:
            _is_limited = False
            faulthandler.cancel_dump_traceback_later()


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w")


def _standard_error() -> TextIO:
    """Return a duplicate of standard error, which stays valid if that is redirected later."""
    try:
        return os.fdopen(os.dup(2), "w")
    except OSError:  # a process without one, such as pythonw
        return _nowhere()
