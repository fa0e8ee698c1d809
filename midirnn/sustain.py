"""How long a sustain pedal holds notes: in numpy, or for many notes in C++ (``sustain.cpp``)."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from midirnn.arrays import ByteArray, Float64Array
from midirnn.midievents import SUSTAIN_DOWN
from midirnn.native import INT, INT64, POINTER, Library

LIBRARY = Library(
    Path(__file__).with_name("sustain.cpp"),
    {
        "sustained_ends": (
            None,
            [*([POINTER] * 3), INT64, POINTER, POINTER, INT64, INT, POINTER],
        )
    },
    least=200,
)
"""It is not compiled for fewer notes, so that live sessions never wait for a compiler."""


def sustained_ends(
    start: Float64Array,
    end: Float64Array,
    pitch: ByteArray,
    pedal_time: Float64Array,
    pedal_value: ByteArray,
    *,
    as_note_seq: bool = False,
) -> Float64Array:
    """Return when one part's notes end with its pedal; infinite where it stays down.

    Notes are in order of start, pedals in order of time. Of several pedal events at one time the
    last counts; with ``as_note_seq`` the pedal is up if any of them is up.
    """
    library = LIBRARY.get() if LIBRARY.is_for(len(start)) else None
    if library is None:
        downs, ups = _pedal_intervals(pedal_time, pedal_value, as_note_seq)
        return _sustained_ends(start, end, pitch, downs, ups)
    notes = [np.ascontiguousarray(each) for each in (start, end, pitch)]
    pedals = [np.ascontiguousarray(each) for each in (pedal_time, pedal_value)]
    ends = np.empty(len(start))
    library.sustained_ends(
        *(each.ctypes.data for each in notes),
        len(start),
        *(each.ctypes.data for each in pedals),
        len(pedal_time),
        as_note_seq,
        ends.ctypes.data,
    )
    return ends


def _pedal_intervals(
    time: Float64Array, value: ByteArray, as_note_seq: bool
) -> tuple[Float64Array, Float64Array]:
    """Return the times at which a pedal goes down and comes up; the last may be infinite."""
    down = value >= SUSTAIN_DOWN
    if not len(time) or not down.any():
        return np.empty(0), np.empty(0)
    moments, first = np.unique(time, return_index=True)
    has_up = np.logical_or.reduceat(~down, first)
    is_down = ~has_up if as_note_seq else down[np.append(first[1:], len(down)) - 1]
    was_down = np.append(False, is_down[:-1])
    # A pedal that goes up and down at one time ends an interval and begins another.
    downs, ups = moments[is_down & (has_up | ~was_down)], moments[was_down & has_up]
    return downs, np.append(ups, np.inf) if len(ups) < len(downs) else ups


def _next_up(time: Float64Array, downs: Float64Array, ups: Float64Array) -> Float64Array:
    """Return when the pedal next goes up, for each time at which it is down; else NaN."""
    index = np.searchsorted(downs, time, side="right") - 1
    up = np.where(index >= 0, ups[np.maximum(index, 0)], -np.inf) if len(downs) else time - 1
    return np.where(up > time, up, np.nan)


def _sustained_ends(
    start: Float64Array,
    end: Float64Array,
    pitch: ByteArray,
    downs: Float64Array,
    ups: Float64Array,
) -> Float64Array:
    """Return when one part's notes end with the pedal; infinite where it stays down."""
    up = _next_up(end, downs, ups)
    held = ~np.isnan(up)
    sustained = np.where(held, up, end)
    # The next strike of the same pitch with the pedal down, looked up backwards within a pitch.
    order = np.argsort(pitch, kind="stable")
    strike = np.where(~np.isnan(_next_up(start, downs, ups)), start, np.inf)[order]
    following = np.full(len(order), np.inf)
    first_of_pitch = np.flatnonzero(np.diff(pitch[order].astype(np.int16), prepend=-1))
    for begin, stop in itertools.pairwise([*first_of_pitch, len(order)]):
        following[begin : stop - 1] = np.minimum.accumulate(strike[begin + 1 : stop][::-1])[::-1]
    restrike = np.empty(len(order))
    restrike[order] = following
    still_sounds = np.where(held, restrike < up, restrike <= end)
    return np.where(still_sounds, restrike, sustained)
