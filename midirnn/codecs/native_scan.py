"""What sounds and what may come after each token of a window, in C++ (``scan.cpp``).

Compiled on first use. Without a compiler numpy computes the same.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

from midirnn.arrays import BoolArray, IntArray
from midirnn.codecs.base import Tokens
from midirnn.native import INT64, POINTER, Library
from midirnn.performance import NUM_PITCHES

LIBRARY = Library(
    Path(__file__).with_name("scan.cpp"),
    {
        "held_scan": (None, [INT64, INT64, POINTER, POINTER, INT64, POINTER]),
        "grammar_scan": (None, [*([POINTER] * 5), INT64, POINTER]),
    },
    least=16,
)
"""Fewer tokens are scanned in numpy, unless the C++ is loaded already."""


def is_for(count: int) -> bool:
    """Return whether to scan this many tokens in C++. False without a compiler."""
    return LIBRARY.is_for(count) and LIBRARY.get() is not None


def scan_held(ons: slice, offs: slice, held: BoolArray, tokens: Tokens) -> BoolArray:
    """Return what sounds (T, 128) after each token; ``held`` (128,) is changed to the last row."""
    tokens = np.ascontiguousarray(tokens, np.uint16)
    rows = np.empty((len(tokens), NUM_PITCHES), np.bool_)
    _loaded().held_scan(
        ons.start, offs.start, held.ctypes.data, tokens.ctypes.data, len(tokens), rows.ctypes.data
    )
    return rows


def skip_held(ons: slice, offs: slice, held: BoolArray, tokens: Tokens) -> None:
    """Update ``held`` (128,) to what sounds after the tokens."""
    tokens = np.ascontiguousarray(tokens, np.uint16)
    _loaded().held_scan(
        ons.start, offs.start, held.ctypes.data, tokens.ctypes.data, len(tokens), None
    )


class GrammarScan:
    """Moves the state of a grammar past tokens. Holds no state itself.

    The groups are the ids of note-ons, note-offs, time shifts and velocities. A state is what
    ``scan.cpp`` reads: the rank and the onset (128,) of the notes that sound, and six numbers.
    """

    def __init__(self, groups: tuple[slice, slice, slice, slice], vocab_size: int) -> None:
        _, _, shifts, velocities = groups
        sizes = (vocab_size, shifts.stop - shifts.start, velocities.stop - velocities.start)
        self._layout = np.array([*(group.start for group in groups), *sizes], np.int64)
        self._vocab_size = vocab_size

    def masks(self, state: tuple[IntArray, IntArray, IntArray], tokens: Tokens) -> BoolArray:
        """Move the state past the tokens; return what may come after each; shape ``(T, V)``."""
        masks = np.empty((len(tokens), self._vocab_size), np.bool_)
        self._scan(state, tokens, masks.ctypes.data)
        return masks

    def skip(self, state: tuple[IntArray, IntArray, IntArray], tokens: Tokens) -> None:
        """Move the state past the tokens."""
        self._scan(state, tokens, None)

    def _scan(
        self, state: tuple[IntArray, IntArray, IntArray], tokens: Tokens, masks: int | None
    ) -> None:
        tokens = np.ascontiguousarray(tokens, np.uint16)
        pointers = [part.ctypes.data for part in (self._layout, *state, tokens)]
        _loaded().grammar_scan(*pointers, len(tokens), masks)


def _loaded() -> ctypes.CDLL:
    library = LIBRARY.get()
    assert library is not None, "is_for was not asked"
    return library
