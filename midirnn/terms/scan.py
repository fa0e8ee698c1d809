"""The terms of whole windows: in C++ where there is a compiler, else by the rules in numpy.

The C++ (``scan.cpp``) is compiled on first use, which takes a few seconds, and kept in the user's
cache folder. It gives exactly the indices of :meth:`OutputTerms.indices`, a hundred times as fast.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from midirnn.codecs.recall import NO_MATCHES, Matches
from midirnn.native import INT, INT64, POINTER, Functions, compiled, compiled_before, declared
from midirnn.terms.densities import NUM_DENSITIES
from midirnn.terms.memory import NoteMemory
from midirnn.terms.table import OutputTerms

Tokens = npt.NDArray[np.uint16]
IndexArray = npt.NDArray[np.int16]

_SOURCE = Path(__file__).with_name("scan.cpp")


class TermScan(Protocol):
    """Reads the tokens of a piece in order. Owns the memory of its notes.

    For each moment it writes a row of 16-bit numbers (:func:`row_width`): the indices of all terms,
    followed by the bits of the densities (6, shifts), two numbers for each.
    """

    def skip(self, tokens: Tokens) -> None:
        """Read tokens without writing their rows."""
        ...

    def write_now(self, row: IndexArray) -> None:
        """Write the row of the present moment."""
        ...

    def write(self, tokens: Tokens, rows: IndexArray) -> None:
        """Read tokens; write the row after each one (T, row width). Rows must be contiguous."""
        ...


def row_width(terms: OutputTerms) -> int:
    """Return the length of a moment's row, in 16-bit numbers."""
    return terms.width + 2 * NUM_DENSITIES * terms.max_shift


def term_scan(terms: OutputTerms, size: int) -> TermScan:
    """Return a scan at the start of a piece that remembers ``size`` notes."""
    library = native_library()
    return NativeScan(library, terms, size) if library else NumpyScan(terms, size)


class NumpyScan:
    """The reference: a :class:`NoteMemory` for each token, and the rules applied to all of them."""

    def __init__(self, terms: OutputTerms, size: int) -> None:
        self.terms = terms
        self.memory = NoteMemory.empty(size)

    def skip(self, tokens: Tokens) -> None:
        """Read tokens without writing their rows."""
        for token in tokens.tolist():
            self.memory = self.terms.follow(self.memory, token)

    def write_now(self, row: IndexArray) -> None:
        """Write the row of the present moment."""
        self._write([self.memory], row[None])

    def write(self, tokens: Tokens, rows: IndexArray) -> None:
        """Read tokens; write the row after each one (T, row width)."""
        memories = []
        for token in tokens.tolist():
            self.memory = self.terms.follow(self.memory, token)
            memories.append(self.memory)
        if memories:
            self._write(memories, rows)

    def _write(self, memories: Sequence[NoteMemory], rows: IndexArray) -> None:
        indices, densities = self.terms.indices(memories)
        rows[:, : self.terms.width] = indices
        rows[:, self.terms.width :] = densities.reshape(len(densities), -1).view(np.int16)


class NativeScan:
    """The same in C++."""

    def __init__(self, library: ctypes.CDLL, terms: OutputTerms, size: int) -> None:
        self.terms = terms
        self._library = library
        self._handle = library.scan_new(terms.max_shift, terms.velocity_bins, size)
        weakref.finalize(self, library.scan_free, self._handle)

    def skip(self, tokens: Tokens) -> None:
        """Read tokens without writing their rows."""
        tokens = np.ascontiguousarray(tokens, np.uint16)
        self._library.scan_feed(self._handle, tokens.ctypes.data, len(tokens), None, None)

    def write_now(self, row: IndexArray) -> None:
        """Write the row of the present moment."""
        assert row.flags.c_contiguous
        self._library.scan_now(self._handle, row.ctypes.data)

    def write(self, tokens: Tokens, rows: IndexArray) -> None:
        """Read tokens; write the row after each one (T, row width)."""
        self.read(tokens, rows)

    def read(self, tokens: Tokens, rows: IndexArray) -> Matches:
        """Write the rows; return the matches (T, 3, 2) as well, as :class:`RecallScan` does."""
        assert rows.flags.c_contiguous
        assert rows.shape == (len(tokens), row_width(self.terms))
        tokens = np.ascontiguousarray(tokens, np.uint16)
        matches: Matches = np.empty((len(tokens), *NO_MATCHES.shape), np.int64)
        arrays = rows.ctypes.data, matches.ctypes.data
        self._library.scan_feed(self._handle, tokens.ctypes.data, len(tokens), *arrays)
        return matches


class Layers(ctypes.Structure):
    """The layout of the terms' layers, of a window's rows and of the logits, for C++."""

    _fields_ = (
        ("layers", ctypes.c_void_p),
        *((name, ctypes.c_int32) for name in ("count", "width", "vocab", "first_shift", "shifts")),
    )

    @classmethod
    def of(cls, terms: OutputTerms) -> Self:
        """Return the layout of a table of terms, which must outlive it."""
        runs, last = terms.layer_runs, list(terms.groups.values())[-1]
        first = terms.groups["time_shift"].start
        return cls(runs.ctypes.data, len(runs), row_width(terms), last.stop, first, terms.max_shift)


class RecallScan:
    """Finds the matches of :func:`midirnn.codecs.recall.recall` after each token, in C++."""

    def __init__(self, library: ctypes.CDLL, size: int) -> None:
        self._library = library
        self._handle = library.scan_new(0, 0, size)
        weakref.finalize(self, library.scan_free, self._handle)

    def skip(self, pitches: Tokens) -> None:
        """Read pitches without returning matches."""
        pitches = np.ascontiguousarray(pitches, np.uint16)
        self._library.scan_recall(self._handle, pitches.ctypes.data, len(pitches), None)

    def read(self, tokens: Tokens) -> Matches:
        """Read tokens; return the matches after each one (T, 3, 2). Only note-ons change them."""
        tokens = np.ascontiguousarray(tokens, np.uint16)
        matches: Matches = np.empty((len(tokens), *NO_MATCHES.shape), np.int64)
        self._library.scan_recall(
            self._handle, tokens.ctypes.data, len(tokens), matches.ctypes.data
        )
        return matches


_ADDS = None, [POINTER, INT64, INT64, INT, *([POINTER] * 3)]

_FUNCTIONS: Functions = {
    "term_names": (ctypes.c_char_p, []),
    "scan_new": (POINTER, [INT, INT, INT]),
    "scan_free": (None, [POINTER]),
    "scan_feed": (None, [POINTER, POINTER, INT64, POINTER, POINTER]),
    "scan_now": (None, [POINTER, POINTER]),
    "add_terms": _ADDS,
    "scan_after": (POINTER, [POINTER, INT, INT, INT]),
    "scan_add": (INT, [POINTER, INT, INT, *([POINTER] * 5)]),
    "scan_save": (INT64, [POINTER, POINTER]),
    "scan_load": (None, [POINTER, ctypes.c_char_p]),
    "term_gradients": _ADDS,
    "scan_recall": (None, [POINTER, POINTER, INT64, POINTER]),
}


@functools.cache
def native_library() -> ctypes.CDLL | None:
    """Return the compiled ``scan.cpp``; None where there is no compiler."""
    library = compiled(_SOURCE)
    return declared(library, _FUNCTIONS) if library else None


def native_library_now() -> ctypes.CDLL | None:
    """Return the library without waiting; if it is not compiled yet, start that and return None."""
    is_known = native_library.cache_info().currsize > 0
    if not is_known and compiled_before(_SOURCE) is None:
        return None
    return native_library()
