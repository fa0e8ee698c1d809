"""The terms of a structured output as a feature: what is added to each logit in its situation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from midirnn.arrays import Float32Array
from midirnn.codecs import Codec, Tokens
from midirnn.codecs.recall import NO_MATCHES
from midirnn.errors import CodecError
from midirnn.features.base import Feature, Given, Reader, Settings
from midirnn.features.recall import MatchFinder
from midirnn.performance import NUM_PITCHES
from midirnn.terms import OutputTerms, StepMemory, TermStep
from midirnn.terms.native_step import NativeMemory, NativeStep, loaded_library
from midirnn.terms.scan import NativeScan, TermScan, native_library_now, row_width, term_scan

TermMemory = StepMemory | NativeMemory

_NO_NUMBERS = np.zeros(0, np.float32)


@dataclass(frozen=True)
class NoteTerms(Feature):
    """Adds the weights of a step to the logits that they apply to (:mod:`midirnn.terms`).

    Windows hold the indices of all terms, followed by the bits of the densities: two 16-bit numbers
    for each.
    """

    name = "terms"
    layer = ""
    width = 0
    head = "terms"
    window_type = np.int16
    fills_rows = True

    notes: int
    """How many of the last notes are remembered."""
    shifts: int
    """How many time-shift tokens the codec has."""
    velocities: int
    """How many velocity tokens the codec has."""

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the feature, if the model has ``term_notes``."""
        if not settings.term_notes:
            return None
        shifts = settings.longest_shift
        return cls(settings.term_notes, shifts, settings.vocab_size - 2 * NUM_PITCHES - shifts)

    @property
    def terms(self) -> OutputTerms:
        """The table of terms."""
        return self._step.terms

    @property
    def _step(self) -> TermStep:
        return _terms(self.shifts, self.velocities)

    @property
    def window_shape(self) -> tuple[int, ...]:
        """The shape of indices and densities."""
        return (row_width(self.terms),)

    @property
    def head_rows(self) -> int:
        """The number of weights of all terms."""
        return self.terms.rows

    def check(self, codec: Codec[Any]) -> None:
        """Raise :class:`CodecError` for a codec without notes, time shifts and velocities."""
        if dict(codec.groups()) != self.terms.groups:
            raise CodecError(
                f"the codec {codec.name!r} has no notes, time shifts and velocities in the order "
                "of the performance encoding, which a model with term_notes needs"
            )

    def reader(self, codec: Codec[Any]) -> Reader:
        """Return a reader that scans the notes of a piece."""
        self.check(codec)
        return _TermReader(self.terms, self.notes)

    def start(self) -> TermMemory:
        """Return an empty memory, in C++ where that is compiled; the results are the same."""
        native = _native_terms(self.shifts, self.velocities)
        return (native or self._step).start(self.notes)

    def follow(self, memory: TermMemory, token: int) -> TermMemory:
        """Return the memory after a token."""
        if isinstance(memory, NativeMemory):
            return self._native.follow(memory, token)
        return self._step.follow(memory, token)

    def inputs(self, memory: TermMemory, given: Given) -> Float32Array:
        """Return an empty array: terms are not an input."""
        return _NO_NUMBERS

    def add(self, logits: Float32Array, weights: Float32Array, memory: TermMemory) -> None:
        """Add what the weights give after the tokens so far to ``logits`` (V,), in place."""
        if isinstance(memory, NativeMemory):
            self._native.add(logits, weights, memory)
        else:
            self._step.add(logits, weights, memory)

    @property
    def _native(self) -> NativeStep:
        """The step in C++, which is loaded if one of its memories exists."""
        return _native_step(self.shifts, self.velocities)


@lru_cache(maxsize=8)
def _native_step(shifts: int, velocities: int) -> NativeStep:
    return NativeStep(_terms(shifts, velocities).terms, loaded_library())


def _native_terms(shifts: int, velocities: int) -> NativeStep | None:
    return _native_step(shifts, velocities) if native_library_now() else None


@lru_cache(maxsize=8)
def _terms(shifts: int, velocities: int) -> TermStep:
    return TermStep(OutputTerms(performance_groups(shifts, velocities)))


def performance_groups(shifts: int, velocities: int) -> Mapping[str, slice]:
    """Return the groups of a performance codec with these numbers of shifts and velocities."""
    sizes = {
        "note_on": NUM_PITCHES,
        "note_off": NUM_PITCHES,
        "time_shift": shifts,
        "velocity": velocities,
    }
    groups, first = {}, 0
    for name, size in sizes.items():
        groups[name] = slice(first, first + size)
        first += size
    return groups


class _TermReader(MatchFinder):
    """Scans the notes of a piece."""

    def __init__(self, terms: OutputTerms, notes: int) -> None:
        self._terms = terms
        self.notes = notes
        self._scan = self._fresh_scan()
        self.finds_matches = isinstance(self._scan, NativeScan)

    def _fresh_scan(self) -> TermScan:
        return term_scan(self._terms, self.notes)

    def open(self, tokens: Tokens, position: int, stop: int, choice: Any) -> None:
        """Scan the tokens up to the one before the first input."""
        self._scan = self._fresh_scan()
        self._scan.skip(tokens[: max(position - 1, 0)])

    def read(self, rows: npt.NDArray[Any], inputs: Tokens, begin: int) -> None:
        """Write the indices and the densities after each input."""
        first = len(rows) - len(inputs)
        if first:
            self._scan.write_now(rows[0])
        if isinstance(self._scan, NativeScan):
            found = self._scan.read(inputs, rows[first:])
            self.matches = np.concatenate([NO_MATCHES[None]] * first + [found])
        else:
            self._scan.write(inputs, rows[first:])
