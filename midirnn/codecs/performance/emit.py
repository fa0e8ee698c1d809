"""The tokens of quantized notes, computed in C++ (``emit.cpp``), which is compiled on first use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from midirnn.codecs.base import Tokens
from midirnn.native import INT64, POINTER, Library

LIBRARY = Library(
    Path(__file__).with_name("emit.cpp"),
    {
        "emit_tokens": (
            INT64,
            [*([POINTER] * 5), INT64, POINTER, INT64, INT64, POINTER, INT64],
        )
    },
    least=200,
)
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
    library = LIBRARY.get()
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
