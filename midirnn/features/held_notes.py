"""The held notes as a feature: which notes sound."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from midirnn.codecs import BoolArray, Codec, HoldsNotes, Tokens, require
from midirnn.codecs.held import held_after, held_rows, no_notes
from midirnn.features.base import Feature, Given, Reader, Settings
from midirnn.performance import NUM_PITCHES


class HeldNotes(Feature):
    """The pitches that sound after the token, as 0 and 1."""

    name = "held"
    layer = "held"
    width = NUM_PITCHES
    initial_std = 0.1
    window_type = np.bool_

    @property
    def window_shape(self) -> tuple[int, ...]:
        """The shape of the held pitches."""
        return (NUM_PITCHES,)

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the feature, if the model has ``held_input``."""
        return cls() if settings.held_input else None

    def check(self, codec: Codec[Any]) -> None:
        """Raise :class:`CodecError` for a codec without notes."""
        _require_notes(codec)

    def reader(self, codec: Codec[Any]) -> Reader:
        """Return a reader of the notes that sound."""
        return _HeldReader(_require_notes(codec))

    def inputs(self, memory: Any, given: Given) -> npt.NDArray[Any]:
        """Return which pitches sound, as given by the caller."""
        return given[self.name]


def _require_notes(codec: Codec[Any]) -> HoldsNotes:
    return require(codec, HoldsNotes, "a model with held_input", "notes to hold")


class _HeldReader(Reader):
    """Tracks which notes of a piece sound."""

    def __init__(self, codec: HoldsNotes) -> None:
        self._codec = codec
        self._held: BoolArray = no_notes()

    def open(self, tokens: Tokens, position: int, stop: int, choice: Any) -> None:
        """Track the notes up to the token before the first input."""
        self._held = held_after(self._codec, no_notes(), tokens[: max(position - 1, 0)])

    def read(self, rows: npt.NDArray[Any], inputs: Tokens, begin: int) -> None:
        """Write which pitches sound after each input."""
        first = len(rows) - len(inputs)
        rows[:first] = self._held
        if len(inputs):
            held = held_rows(self._codec, self._held, inputs)
            rows[first:], self._held = held, held[-1]
