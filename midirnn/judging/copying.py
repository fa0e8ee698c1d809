"""How much of a piece is copied from other pieces, note for note: exact, for millions of notes.

A run is a sequence of consecutive pitches, in the order of a performance's notes. All runs of one
length are searched at once, then lengthened by a note while any are left: few exceed 15 notes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from midirnn.codecs import NoteStream, Tokens
from midirnn.performance import NUM_PITCHES

Symbols = npt.NDArray[np.uint8]
"""Pitches, or intervals from pitch to pitch: anything below :data:`BORDER`."""

BORDER = 255
"""Follows every piece where pieces are laid end to end; no run crosses it."""

_GRAM = 8  # symbols that fit into 64 bits: the length at which the search starts
_CHUNK = 1 << 20  # windows that are looked up at a time, so that memory stays modest


@dataclass(frozen=True)
class Run:
    """The longest run of a piece that occurs in a corpus.

    ``source`` is the index of the piece of the corpus, or -1. The run begins at ``start`` in the
    piece and at ``source_start`` in the source.
    """

    length: int = 0
    start: int = 0
    source: int = -1
    source_start: int = 0


def pitches(codec: NoteStream, tokens: Tokens) -> Symbols:
    """Return the pitches that tokens strike, in the order of a performance's notes; shape ``(N,)``.

    Those of one step of the grid are in ascending order, as in the decoded performance.
    """
    ons = codec.note_ons
    step = np.cumsum(codec.token_steps[tokens])
    struck = (tokens >= ons.start) & (tokens < ons.stop)
    in_order = np.sort(step[struck] * NUM_PITCHES + (tokens[struck] - ons.start))
    return (in_order % NUM_PITCHES).astype(np.uint8)


def pitch_steps(pitch: Symbols) -> Symbols:
    """Return the intervals from pitch to pitch, the same in every key; shape ``(N - 1,)``."""
    return (np.diff(pitch.astype(np.int16)) + 127).astype(np.uint8)


class Corpus:
    """Pieces in which runs are searched, laid end to end."""

    def __init__(self, pieces: Sequence[Symbols]) -> None:
        self.symbols, self.starts = _lay_out(pieces)

    def longest_runs(self, pieces: Sequence[Symbols]) -> list[Run]:
        """Return the longest run of each piece that occurs in one piece of the corpus.

        If several are equally long it is one of them, always the same.
        """
        found = [Run()] * len(pieces)
        # Pieces without a run as long as a gram are searched again, from single symbols on.
        for gram in (_GRAM, 1):
            missing = [index for index, run in enumerate(found) if not run.length]
            runs = self._lengthen([pieces[index] for index in missing], gram)
            for index, run in zip(missing, runs, strict=True):
                found[index] = run
        return found

    def _lengthen(self, pieces: Sequence[Symbols], length: int) -> list[Run]:
        """Return the longest runs of at least ``length`` symbols; empty ones if there are none."""
        symbols, starts = _lay_out(pieces)
        begins = np.flatnonzero(_whole(symbols, length))
        names, (here, here_name), (there, there_name) = _name_grams(
            symbols, begins, self.symbols, length
        )
        longest = [Run()] * len(pieces)
        while len(here):
            place = np.zeros(names, np.int64)
            place[there_name[::-1]] = there[::-1]
            piece, first = np.unique(_piece_of(here, starts), return_index=True)
            for index, begin, at in zip(piece, here[first], place[here_name[first]], strict=True):
                source = _piece_of(at, self.starts)
                start, source_start = begin - starts[index], at - self.starts[source]
                longest[index] = Run(length, int(start), int(source), int(source_start))
            # A longer run is a run of the last length plus a symbol: its name is made of both.
            after, there_after = symbols[here + length], self.symbols[there + length]
            keep, there_keep = after != BORDER, there_after != BORDER
            here, there = here[keep], there[there_keep]
            keys = _pairs(here_name[keep], after[keep])
            there_keys = _pairs(there_name[there_keep], there_after[there_keep])
            names, (here, here_name), (there, there_name) = _match(here, keys, there, there_keys)
            length += 1
        return longest


_Index = npt.NDArray[np.int64]
_Named = tuple[_Index, _Index]
"""Where runs begin, and a number for each, which equal runs share."""


def _lay_out(pieces: Sequence[Symbols]) -> tuple[Symbols, _Index]:
    """Return the pieces end to end, each followed by a border, and where each begins."""
    border = np.array([BORDER], np.uint8)
    joined = [part for piece in pieces for part in (piece, border)]
    lengths = [len(piece) + 1 for piece in pieces]
    starts = np.cumsum([0, *lengths])[:-1].astype(np.int64)
    return np.concatenate([border[:0], *joined]), starts


def _piece_of(place: npt.ArrayLike, starts: _Index) -> _Index:
    """Return the piece in which each place is."""
    return np.searchsorted(starts, place, side="right") - 1


def _whole(symbols: Symbols, length: int) -> npt.NDArray[np.bool_]:
    """Return where the next ``length`` symbols hold no border, as a mask of ``symbols``."""
    borders = np.cumsum(symbols == BORDER)
    whole = np.zeros(len(symbols), dtype=bool)
    count = max(0, len(symbols) - length + 1)
    before = np.concatenate([[0], borders])[:count]
    whole[:count] = borders[length - 1 : length - 1 + count] == before
    return whole


def _pairs(names: _Index, symbols: Symbols) -> npt.NDArray[np.uint64]:
    """Return a number for each pair of a name and a symbol."""
    return names.astype(np.uint64) << np.uint64(8) | symbols.astype(np.uint64)


def _grams(symbols: Symbols, length: int) -> npt.NDArray[np.uint64]:
    """Return the ``length`` (up to 8) symbols from each place on, packed into 64 bits."""
    count = max(0, len(symbols) - length + 1)
    packed = np.zeros(count, np.uint64)
    for offset in range(length):
        packed = packed << np.uint64(8) | symbols[offset : offset + count].astype(np.uint64)
    return packed


def _name_grams(
    symbols: Symbols, begins: _Index, others: Symbols, length: int
) -> tuple[int, _Named, _Named]:
    """Do what :func:`_match` does, for the runs of ``length`` symbols at ``begins``."""
    keys = _grams(symbols, length)[begins]
    sieve = _Sieve(keys)
    there: list[_Index] = [np.empty(0, np.int64)]
    there_keys = [keys[:0]]
    for begin in range(0, len(others), _CHUNK):
        grams = _grams(others[begin : begin + _CHUNK + length - 1], length)
        at = sieve.pick(grams)
        there.append(at + begin)
        there_keys.append(grams[at])
    return _match(begins, keys, np.concatenate(there), np.concatenate(there_keys))


def _match(
    here: _Index,
    keys: npt.NDArray[np.uint64],
    there: _Index,
    there_keys: npt.NDArray[np.uint64],
) -> tuple[int, _Named, _Named]:
    """Return the number of names, and on both sides the named places whose keys are in both."""
    known, name = np.unique(keys, return_inverse=True)
    index = np.searchsorted(known, there_keys)
    found = index < len(known)
    found[found] = known[index[found]] == there_keys[found]
    there, there_name = there[found], index[found]
    has_other = np.zeros(len(known), dtype=bool)
    has_other[there_name] = True
    keep = has_other[name]
    return len(known), (here[keep], name[keep]), (there, there_name)


class _Sieve:
    """Passes all known keys and few others, in a fraction of the time of a search."""

    _BITS = 24

    def __init__(self, known: npt.NDArray[np.uint64]) -> None:
        self._holds = np.zeros(1 << self._BITS, dtype=bool)
        self._holds[self._slot(known)] = True

    def _slot(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        # Fibonacci hashing: the top bits of a product with 2**64 over the golden ratio.
        return (keys * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - self._BITS)

    def pick(self, keys: npt.NDArray[np.uint64]) -> _Index:
        """Return the places of keys that may be known."""
        return np.flatnonzero(self._holds[self._slot(keys)])
