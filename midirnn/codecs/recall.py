"""Recall, the match memory: which pitch came next when the last few pitches occurred before.

Music repeats itself over spans that no recurrent state remembers. Looking up where the last few
pitches occurred before, and which pitch followed, tells a model how a repetition would continue.
After the match models of data compression and of melody prediction (D. Conklin and I. Witten,
"Multiple viewpoint systems for music prediction", 1995).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from midirnn.codecs import Codec, Recallable, require
from midirnn.errors import CodecError
from midirnn.performance import NUM_PITCHES

LONGEST = 12
"""The length in notes of the longest context."""

LENGTHS = LONGEST + 1
"""The number of possible match lengths, 0 (no match) included."""

NUM_VIEWPOINTS = 3
"""A context is looked up as it is, transposed, and in any order."""

NUM_MATCHES = NUM_VIEWPOINTS * LENGTHS
"""The number of kinds of matches: one for each viewpoint and length."""

Matches = npt.NDArray[np.int64]
"""(NUM_VIEWPOINTS, 2): the pitch that would come next, and how many notes of context match."""

NO_MATCHES: Matches = np.zeros((NUM_VIEWPOINTS, 2), np.int64)
"""The matches before anything was played. Read-only."""
NO_MATCHES.setflags(write=False)

_SHORTEST_TRANSPOSED = 2
_UNORDERED_LENGTHS = range(8, 2, -1)

# Their sums differ for different sets of pitches: powers of an odd number, modulo 2**64.
_HASHES = np.array([pow(6364136223846793005, p + 1, 2**64) for p in range(256)], np.uint64)


class Place(NamedTuple):
    """Where a context was found: the place after it, and its length (0: nowhere)."""

    place: int
    length: int


_NOWHERE = Place(0, 0)


def check_recallable(codec: Codec[Any]) -> None:
    """Raise :class:`CodecError` for a codec whose pitches a model cannot recall.

    The model and its engines assume that ids 0 to 127 are the note-ons of pitches 0 to 127.
    """
    ons = require(codec, Recallable, "a model with recall_notes", "note-ons to recall").note_ons
    if (ons.start, ons.stop) != (0, NUM_PITCHES):
        raise CodecError(
            f"a model with recall_notes needs a codec whose tokens 0 to {NUM_PITCHES - 1} are the "
            f"note-ons; those of the codec {codec.name!r} are {ons.start} to {ons.stop - 1}. Train "
            "without --recall-notes"
        )


def remember(history: bytes, pitch: int, size: int) -> bytes:
    """Return the last ``size`` pitches, one byte each, with a new one at the end."""
    return history[-(size - 1) :] + bytes((pitch,)) if size > 1 else bytes((pitch,))


def recall(history: bytes) -> Matches:
    """Return the pitch that followed the longest earlier match of the context, in three ways.

    The context is the end of ``history``: its last pitches as they are (1 to 12 notes), as
    intervals (2 to 12, the pitch transposed along), or as a set (3 to 8, in any order).
    """
    matches = NO_MATCHES.copy()
    if len(history) < 2:
        return matches
    exact = _longest(history, 1)
    if exact.length:
        matches[0] = history[exact.place], exact.length
    pitches = np.frombuffer(history, np.uint8)
    intervals = (pitches[1:] - pitches[:-1]).tobytes()  # modulo 256: different for all intervals
    moved = _longest(intervals, _SHORTEST_TRANSPOSED)
    if moved.length:
        pitch = (history[-1] + intervals[moved.place]) % 256
        if pitch < NUM_PITCHES:
            matches[1] = pitch, moved.length
    found = unordered(history)
    if found.length:
        matches[2] = history[found.place], found.length
    return matches


def _longest(values: bytes, shortest: int) -> Place:
    """Return where the longest earlier occurrence of the end of ``values`` last ended."""
    found = _NOWHERE
    end = len(values) - 1
    for length in range(1, min(LONGEST, end) + 1):
        start = values.rfind(values[-length:], 0, end)
        if start < 0:
            break
        end = start + length  # a longer one ends at the same place or earlier
        if length >= shortest:
            found = Place(end, length)
    return found


@lru_cache(maxsize=4)  # two features of a model may look up the same history
def unordered(history: bytes) -> Place:
    """Return where the last pitches, in any order, last occurred before."""
    pitches = np.frombuffer(history, np.uint8)
    sums = np.concatenate([[np.uint64(0)], np.cumsum(_HASHES[pitches])])
    for length in _UNORDERED_LENGTHS:
        if 2 * length > len(pitches):
            continue
        of_each = sums[length:] - sums[:-length]
        equal = of_each[:-length] == of_each[-1]  # not overlapping the last ones
        start = equal.tobytes().rfind(1)
        if start >= 0:
            return Place(start + length, length)
    return _NOWHERE
