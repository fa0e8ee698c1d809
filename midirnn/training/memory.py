"""Keep freed memory from step to step."""

from __future__ import annotations

import ctypes
import functools

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc, malloc.h
_MOST = 2**31 - 1


@functools.cache
def keep_freed_memory() -> bool:
    """Make the C library keep freed memory for the next allocation; return whether it will.

    A step needs the same hundreds of megabytes as the one before. If they were returned to the
    system, they would be cleared page by page each time, which takes about a twentieth of a step.
    Only with glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, 2**30)) and bool(mallopt(_TRIM_THRESHOLD, _MOST))
