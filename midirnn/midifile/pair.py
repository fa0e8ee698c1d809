"""Notes, pedals and controllers of a track in C++ (``pair.cpp``), compiled at first use."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from midirnn.arrays import IntArray
from midirnn.midievents import Events
from midirnn.native import INT, INT64, POINTER, Library
from midirnn.performance import order_of

_OF_CHANNEL = INT64, [POINTER, INT64, INT, *([POINTER] * 3)]

LIBRARY = Library(
    Path(__file__).with_name("pair.cpp"),
    {
        "pair_notes": (INT, [POINTER, INT64, INT64, *([POINTER] * 6), INT64, POINTER]),
        "order_notes": (INT, [POINTER, POINTER, INT64, POINTER]),
        "pedals_of": _OF_CHANNEL,
        "controls_of": _OF_CHANNEL,
    },
    least=2000,
)
"""Fewer events or notes are handled in numpy."""

_MOST_PARTS = 512
"""A track with more parts is left to numpy."""


class PairedNotes(NamedTuple):
    """The notes of a track, in ticks; those that are released come first."""

    start: IntArray
    end: IntArray
    pitch: npt.NDArray[np.uint8]
    velocity: npt.NDArray[np.uint8]
    part: npt.NDArray[np.int32]
    released: int
    """The number of notes that are released."""
    parts: list[int]
    """The key of each part: its channel, bank and program."""


def paired_notes(events: Events, last_tick: int) -> PairedNotes | None:
    """Return the notes of a track; None if it has too many parts, or without a compiler."""
    library = LIBRARY.get()
    if library is None:
        return None
    size = len(events)
    ticks = np.empty((2, size), np.int64)
    bytes_ = np.empty((2, size), np.uint8)
    part = np.empty(size, np.int32)
    parts, found = np.empty(_MOST_PARTS, np.int64), np.zeros(3, np.int64)
    if library.pair_notes(
        *_packed(events),
        last_tick,
        *(row.ctypes.data for row in (*ticks, *bytes_, part, parts)),
        _MOST_PARTS,
        found.ctypes.data,
    ):
        return None
    released, count, part_count = found.tolist()
    start, end, pitch, velocity, part = (row[:count].copy() for row in (*ticks, *bytes_, part))
    keys = parts[:part_count].tolist()
    return PairedNotes(start, end, pitch, velocity, part, released, keys)


def pedal_columns(
    events: Events, channel: int
) -> tuple[IntArray, npt.NDArray[np.int16], npt.NDArray[np.bool_]] | None:
    """Return the sustain pedal of a channel: ticks, values, and whether they are shared."""
    library = LIBRARY.get()
    if library is None:
        return None
    size = len(events)
    columns = np.empty(size, np.int64), np.empty(size, np.int16), np.empty(size, np.bool_)
    places = [column.ctypes.data for column in columns]
    count = library.pedals_of(*_packed(events), channel, *places)
    tick, value, shared = columns
    return tick[:count].copy(), value[:count].copy(), shared[:count].copy()


def control_columns(
    events: Events, channel: int
) -> tuple[IntArray, npt.NDArray[np.uint8], npt.NDArray[np.int16]] | None:
    """Return the controllers of a channel: ticks, numbers, values. None if some are reset."""
    library = LIBRARY.get()
    if library is None:
        return None
    size = len(events)
    columns = np.empty(size, np.int64), np.empty(size, np.uint8), np.empty(size, np.int16)
    places = [column.ctypes.data for column in columns]
    count = library.controls_of(*_packed(events), channel, *places)
    if count < 0:
        return None
    tick, number, value = columns
    return tick[:count].copy(), number[:count].copy(), value[:count].copy()


def note_order(
    start: npt.NDArray[np.float64], pitch: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int64] | None:
    """Return the order of notes by start, then by pitch; None if they are already sorted."""
    library = LIBRARY.get() if LIBRARY.is_for(len(start)) else None
    if library is None:
        return order_of(start, pitch)
    order = np.empty(len(start), np.int64)
    places = start.ctypes.data, pitch.ctypes.data
    return order if library.order_notes(*places, len(start), order.ctypes.data) else None


def _packed(events: Events) -> tuple[int, int]:
    """Return the address and the number of the packed events."""
    assert events.packed.flags.c_contiguous
    return events.packed.ctypes.data, len(events)
