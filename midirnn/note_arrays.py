"""The arrays of a performance: their types, what they may hold, and their order."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.arrays import ByteArray, Float64Array
from midirnn.errors import OptionError

NUM_PITCHES = 128

PITCH_BEND, CHANNEL_PRESSURE = 128, 129
"""Stand-ins for controller numbers (which end at 127) for these messages."""

MAX_BEND = 8191

IndexArray = npt.NDArray[np.int32]

ARRAYS = {
    "start": np.float64,
    "end": np.float64,
    "pitch": np.uint8,
    "velocity": np.uint8,
    "part": np.int32,
    "unreleased": np.bool_,
    "pedal_time": np.float64,
    "pedal_value": np.uint8,
    "pedal_part": np.int32,
    "pedal_shared": np.bool_,
    "control_time": np.float64,
    "control_number": np.uint8,
    "control_value": np.int16,
    "control_part": np.int32,
}
"""The type of each array of a performance."""

INDICES = ("part", "pedal_part", "control_part")
"""The arrays that index the parts."""

_ALLOWED = {
    **dict.fromkeys(("start", "end", "pedal_time", "control_time"), "finite seconds from 0 on"),
    **dict.fromkeys(("pitch", "pedal_value"), "whole numbers from 0 to 127"),
    "velocity": "whole numbers from 1 to 127",
    "control_number": "controllers from 0 to 127, 128 (pitch bend) and 129 (pressure)",
    "control_value": "whole numbers from 0 to 127, of pitch bend from -8192 to 8191",
    **dict.fromkeys(INDICES, "the indices of its parts"),
}

NOTE_FIELDS = ("start", "end", "pitch", "velocity", "part", "unreleased")
PEDAL_FIELDS = ("pedal_time", "pedal_value", "pedal_part", "pedal_shared")
CONTROL_FIELDS = ("control_time", "control_number", "control_value", "control_part")

SORTED_BY = ("start", "pitch", "pedal_time", "control_time")
"""The fields by which notes, pedal events and controls are ordered."""


def as_array(name: str, values: Any) -> npt.NDArray[Any]:
    """Return the values of a field in its type. Raise :class:`OptionError` if that changes any."""
    dtype = np.dtype(ARRAYS[name])
    given = np.asarray(values)
    if given.dtype == dtype:
        return given
    if dtype.kind == "b" or not given.size:
        return given.astype(dtype)
    try:
        exact = given.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        wrong = next((value for value in values if not isinstance(value, numbers.Real)), values)
        raise OptionError(f"{name} is {wrong!r}; allowed are {_ALLOWED[name]}") from None
    if dtype.kind == "f":
        return exact
    limits: np.iinfo[Any] = np.iinfo(dtype)
    with np.errstate(invalid="ignore"):
        fits = (exact >= limits.min) & (exact <= limits.max) & (exact == np.rint(exact))
    if not fits.all():
        wrong = given[~fits].flat[0].item()
        raise OptionError(f"{name} is {wrong}; allowed are {_ALLOWED[name]}")
    return exact.astype(dtype)


def check_lengths(fields: dict[str, npt.NDArray[Any]]) -> None:
    """Raise :class:`OptionError` unless all fields hold a value for each note or pedal event."""
    first, *_ = fields
    for name, values in fields.items():
        if values.shape != (len(fields[first]),):
            raise OptionError(
                f"{name} has shape {values.shape}; it needs one value for each of the "
                f"{len(fields[first])} of {first}"
            )


def check_range(name: str, values: npt.NDArray[Any], least: float, most: float) -> None:
    """Raise :class:`OptionError`, naming the value, for any outside ``least`` to ``most``."""
    if values.size and not (values.min() >= least and values.max() <= most):
        wrong = values[~((values >= least) & (values <= most))][0].item()
        raise OptionError(f"{name} is {wrong}; allowed are {_ALLOWED[name]}")


def order_of(time: Float64Array, pitch: ByteArray | None = None) -> npt.NDArray[np.int64] | None:
    """Return the order by time, then by pitch; None if the arrays are in order."""
    late = time[1:] < time[:-1]
    if pitch is not None:
        late |= (time[1:] == time[:-1]) & (pitch[1:] < pitch[:-1])
    if not late.any():
        return None
    return np.argsort(time, kind="stable") if pitch is None else np.lexsort((pitch, time))


def read_only(values: npt.NDArray[Any], order: npt.NDArray[np.int64] | None) -> npt.NDArray[Any]:
    """Return the values in order and read-only; a copy, unless nobody can write to them."""
    if order is not None:
        values = values[order]
    elif values.flags.writeable or values.base is not None:
        values = values.copy()
    values.flags.writeable = False
    return values


def empty_array(name: str) -> Callable[[], Any]:
    """Return a function that makes an empty array of the type of a field."""
    return lambda: np.empty(0, dtype=ARRAYS[name])


def cut_overlaps(
    start: npt.NDArray[Any], end: npt.NDArray[Any], voice: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Return the ends, cut at the next start of the same voice; shape ``(N,)``.

    Notes must be in order of start; ``voice`` is what can sound only once at a time, such as a
    pitch. A note that is struck again at its own start gets zero length.
    """
    order = np.argsort(voice, kind="stable")
    same = voice[order][1:] == voice[order][:-1]
    ends = end[order]
    ends[:-1][same] = np.minimum(ends[:-1], start[order][1:])[same]
    result = np.empty_like(end)
    result[order] = ends
    return result
