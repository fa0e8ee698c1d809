"""Bytes of an intact track to packed events in C++: ``scan.cpp``.

Compiled on first use; without a compiler only the Python loop is used. The C++ gives up on tracks
that are not intact, so that only the Python loop decides what counts as damage.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import NamedTuple

import numpy as np

from midirnn.midievents.events import Events
from midirnn.native import INT, INT64, POINTER, Library

LONG_TRACK = 8192
"""Bytes; shorter tracks are parsed in Python."""

LIBRARY = Library(
    Path(__file__).with_name("scan.cpp"),
    {"scan_track": (INT, [ctypes.c_char_p, INT64, POINTER, POINTER, INT64, POINTER])},
    least=LONG_TRACK,
)

_MOST_METAS = 100_000
"""A track with more tempos, signatures and names is left to the Python loop."""


class Scanned(NamedTuple):
    """The channel messages of a track, and (tick, kind, position, length) of meta messages."""

    events: Events
    metas: list[list[int]]
    last_tick: int


def scan_track(body: bytes) -> Scanned | None:
    """Return what a track holds; None if it is damaged or odd, or without a compiler."""
    library = LIBRARY.get()
    if library is None:
        return None
    events = np.empty(len(body) // 2 + 1, np.int64)
    metas = np.empty((min(len(body) // 4 + 1, _MOST_METAS), 4), np.int64)
    found = np.zeros(3, np.int64)
    places = (events.ctypes.data, metas.ctypes.data, len(metas), found.ctypes.data)
    if library.scan_track(body, len(body), *places):
        return None
    count, rows, last_tick = found.tolist()
    return Scanned(Events(events[:count].copy()), metas[:rows].tolist(), last_tick)
