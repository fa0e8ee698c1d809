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
"""How long closing a port may take. A JACK server that has died takes a second of it."""

_one_at_a_time = threading.RLock()
_is_limited = False


@contextmanager
def time_limit(seconds: float, *, quiet: bool = False) -> Iterator[None]:
    """End the process, with exit code 1, if what is within takes longer.

    No thread of Python could do that while python-rtmidi holds the lock, so it is
    :mod:`faulthandler` that watches, from a thread in C. Unless it is to be ``quiet``, standard
    error tells which call it was. Within another limit there is no second one.
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
    """Open what is standard error now, wherever it may lead in the meantime."""
    try:
        return os.fdopen(os.dup(2), "w")
    except OSError:  # a process without one, such as pythonw
        return _nowhere()
