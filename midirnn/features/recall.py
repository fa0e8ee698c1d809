"""The match memory as a feature: what the notes so far recall."""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import CDLL
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from midirnn.arrays import Float32Array
from midirnn.codecs import Codec, Tokens
from midirnn.codecs.recall import (
    LENGTHS,
    NO_MATCHES,
    NUM_MATCHES,
    NUM_VIEWPOINTS,
    Matches,
    check_recallable,
    recall,
    remember,
)
from midirnn.features.base import Feature, Given, Reader, Settings
from midirnn.performance import NUM_PITCHES
from midirnn.terms.scan import RecallScan, native_library


class Recalled(NamedTuple):
    """The last pitches, and the matches found for them."""

    history: bytes = b""
    matches: Matches = NO_MATCHES

    def after(self, token: int, notes: int) -> Recalled:
        """Return the memory after a token, with the last ``notes`` pitches."""
        if token >= NUM_PITCHES:  # no note-on: check_recallable says which ids they are
            return self
        history = remember(self.history, token, notes)
        return Recalled(history, recall(history))


NOTHING_RECALLED = Recalled()


@dataclass(frozen=True)
class Recall(Feature):
    """The pitches that followed earlier occurrences of the last notes, and the kinds of match."""

    name = "recall"
    layer = "recalled"
    width = NUM_PITCHES + NUM_MATCHES
    head = "trust"
    window_type = np.int64

    notes: int
    """How many of the last pitches are kept and searched."""

    @property
    def window_shape(self) -> tuple[int, ...]:
        """The shape of the matches."""
        return NO_MATCHES.shape

    @property
    def head_rows(self) -> int:
        """The number of kinds of matches: each adds its trust to the pitch that it recalls."""
        return NUM_MATCHES

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the feature, if the model has ``recall_notes``."""
        return cls(settings.recall_notes) if settings.recall_notes else None

    def check(self, codec: Codec[Any]) -> None:
        """Raise :class:`CodecError` for a codec whose pitches cannot be recalled."""
        check_recallable(codec)

    def reader(self, codec: Codec[Any]) -> Reader:
        """Return a reader that looks up what each note recalls."""
        self.check(codec)
        library = native_library()
        return _RecallReader(self.notes) if library is None else _NativeReader(library, self.notes)

    def reader_beside(self, others: Mapping[str, Reader]) -> Reader | None:
        """Return a reader that reuses the matches of one that looks back as far; else None."""
        for other in others.values():
            if isinstance(other, MatchFinder) and other.notes == self.notes and other.finds_matches:
                return _ReaderBeside(other)
        return None

    def start(self) -> Recalled:
        """Return an empty memory."""
        return NOTHING_RECALLED

    def follow(self, memory: Recalled, token: int) -> Recalled:
        """Return the memory after a token."""
        return memory.after(token, self.notes)

    def inputs(self, memory: Recalled, given: Given) -> Float32Array:
        """Return which pitches are recalled, and by which kinds of match."""
        row = np.zeros(self.width, np.float32)
        for viewpoint, (pitch, length) in enumerate(memory.matches.tolist()):
            if length:
                row[pitch] += 1.0
                row[NUM_PITCHES + viewpoint * LENGTHS + length] = 1.0
        return row

    def add(self, logits: Float32Array, weights: Float32Array, memory: Recalled) -> None:
        """Raise the logits of recalled pitches by their matches' trust, in place."""
        for number, pitch in match_numbers(memory.matches):
            logits[pitch] += weights[number]


class _RecallReader(Reader):
    """Tracks the pitches of a piece, in Python."""

    def __init__(self, notes: int) -> None:
        self._notes = notes
        self._memory = NOTHING_RECALLED

    def open(self, tokens: Tokens, position: int, stop: int, choice: Any) -> None:
        """Remember the pitches up to the token before the first input."""
        before = tokens[: max(position - 1, 0)]
        history = before[before < NUM_PITCHES][-self._notes :].astype(np.uint8).tobytes()
        self._memory = Recalled(history, recall(history))

    def read(self, rows: npt.NDArray[Any], inputs: Tokens, begin: int) -> None:
        """Write the matches found after each input."""
        first = len(rows) - len(inputs)
        rows[:first] = self._memory.matches
        for row, token in enumerate(inputs.tolist(), first):
            self._memory = self._memory.after(token, self._notes)
            rows[row] = self._memory.matches


class MatchFinder(Reader):
    """A reader of another feature that finds the matches as well."""

    notes: int
    """How many of the last notes it looks back on."""
    finds_matches: bool
    matches: Matches
    """(T, 3, 2): the matches of the rows that it read last."""


class _ReaderBeside(Reader):
    """Reuses the matches that another reader has found."""

    def __init__(self, finder: MatchFinder) -> None:
        self._finder = finder

    def open(self, tokens: Tokens, position: int, stop: int, choice: Any) -> None:
        """Do nothing: the other reader opens the piece."""

    def read(self, rows: npt.NDArray[Any], inputs: Tokens, begin: int) -> None:
        """Write the matches found after each input."""
        rows[:] = self._finder.matches


class _NativeReader(Reader):
    """Tracks the pitches of a piece, in C++."""

    def __init__(self, library: CDLL, notes: int) -> None:
        self._library = library
        self._notes = notes
        self._scan = RecallScan(library, notes)

    def open(self, tokens: Tokens, position: int, stop: int, choice: Any) -> None:
        """Remember the pitches up to the token before the first input."""
        self._scan = RecallScan(self._library, self._notes)
        before = tokens[: max(position - 1, 0)]
        self._scan.skip(before[before < NUM_PITCHES][-self._notes :])

    def read(self, rows: npt.NDArray[Any], inputs: Tokens, begin: int) -> None:
        """Write the matches found after each input."""
        first = len(rows) - len(inputs)
        rows[:first] = NO_MATCHES  # only at the start of a piece
        rows[first:] = self._scan.read(inputs)


def match_numbers(matches: Matches) -> list[tuple[int, int]]:
    """Return (number of the match, pitch) for each viewpoint that found one.

    Matches are numbered viewpoint by viewpoint, then by length: 0 to 38.
    """
    return [
        (viewpoint * LENGTHS + length, pitch)
        for viewpoint, (pitch, length) in enumerate(matches.tolist())
        if length
    ]


assert NO_MATCHES.shape == (NUM_VIEWPOINTS, 2)
