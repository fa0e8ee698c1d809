"""The tokens of quantized notes, computed in C++ (``emit.cpp``), which is compiled on first use."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt

from midirnn import native
from midirnn.codecs.base import Tokens

SOURCE = Path(__file__).with_name("emit.cpp")

LEAST_NATIVE = 200
"""Fewer notes are encoded in numpy, so that live sessions never wait for a compiler."""

_ROOM = 8
"""Tokens per note in the first buffer; most music needs four or five."""

Steps = npt.NDArray[np.int64]


def emit_tokens(
    start: Steps,
    end: Steps,
    pitch: Steps,
    velocity: Steps,
    is_open: npt.NDArray[np.bool_],
    firsts: tuple[int, int, int, int],
    max_shift: int,
    has_bins: bool,
) -> Tokens | None:
    """Return the tokens of notes, which are sorted by start; None without a compiler.

    ``firsts`` are the first ids of note-ons, note-offs, time shifts and velocities.
    """
    library = load_library()
    if library is None:
        return None
    ids = np.array(firsts, np.int64)
    arrays = [np.ascontiguousarray(each) for each in (start, end, pitch, velocity)]
    flags = np.ascontiguousarray(is_open, np.uint8)
    most = _ROOM * len(start) + 64
    while True:
        tokens = np.empty(most, np.uint16)
        count = library.emit_tokens(
            *(each.ctypes.data for each in arrays),
            flags.ctypes.data,
            len(start),
            ids.ctypes.data,
            max_shift,
            has_bins,
            tokens.ctypes.data,
            most,
        )
        if count >= 0:
            return tokens[:count].copy()
        most *= 2


def is_for(count: int) -> bool:
    """Return whether to encode this many notes in C++."""
    return native.for_so_many(load_library, count, LEAST_NATIVE)


@functools.cache
def load_library() -> ctypes.CDLL | None:
    """Return the C++ library, compiled if needed; None without a compiler."""
    library = native.compiled(SOURCE)
    if library is not None:
        integer, pointer = ctypes.c_int64, ctypes.c_void_p
        library.emit_tokens.restype = integer
        library.emit_tokens.argtypes = [
            *([pointer] * 5), integer, pointer, integer, integer, pointer, integer,
        ]  # fmt: skip
    return library
