"""Memory that is kept from step to step."""

from __future__ import annotations

import ctypes
import functools

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc, malloc.h
_MOST = 2**31 - 1


@functools.cache
def keep_freed_memory() -> bool:
    """Whether the C library from now on keeps what is freed for what is asked for next.

    A step needs the same hundreds of megabytes as the one before. Given back to the system they are
    cleared page by page each time, which takes about a twentieth of a step. Only glibc is told.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, 2**30)) and bool(mallopt(_TRIM_THRESHOLD, _MOST))
