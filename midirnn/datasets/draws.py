"""Drawing the pieces that training reads, from memory or from the disk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from midirnn.codecs import Augmentation, Codec, Tokens
from midirnn.datasets.store import StoredPieces

Item = TypeVar("Item")

SHORTEST_EXCERPT = 128
"""Tokens of a piece below which an excerpt tells little: rather fewer pieces than shorter ones."""


class PieceDraw:
    """Draws pieces with a probability that goes by their length, each augmented afresh.

    Only the piece that is drawn is read: the same one, whether the pieces are in memory or not.
    """

    def __init__(
        self, pieces: Sequence[Tokens], augmentation: Augmentation, codec: Codec[Any]
    ) -> None:
        self.pieces = pieces
        self.augmentation = augmentation
        self.codec = codec
        self._ends = np.cumsum(lengths_of(pieces), dtype=np.float64)

    def __call__(self, rng: np.random.Generator) -> Tokens:
        """The tokens of a piece that is drawn."""
        place = rng.random() * self._ends[-1]
        # The first piece that ends behind the place: never an empty one.
        index = min(int(np.searchsorted(self._ends, place, side="right")), len(self.pieces) - 1)
        return self.codec.augment(self.pieces[index], self.augmentation, rng)


def lengths_of(pieces: Sequence[Tokens]) -> npt.NDArray[np.int64]:
    """The number of tokens of each piece; nothing is read for it."""
    if isinstance(pieces, StoredPieces):
        return pieces.lengths
    return np.fromiter(map(len, pieces), np.int64, len(pieces))


def excerpts(pieces: Sequence[Tokens], tokens: int) -> list[Tokens]:
    """The beginnings of pieces, equally long, that together have about ``tokens`` tokens.

    Of all pieces, or where that would leave each under :data:`SHORTEST_EXCERPT` tokens, of some
    that are spread evenly over the set; only those are read.
    """
    filled: list[int] = np.flatnonzero(lengths_of(pieces)).tolist()
    chosen = evenly(filled, max(1, tokens // SHORTEST_EXCERPT))
    each = math.ceil(tokens / max(len(chosen), 1))
    return [pieces[index][:each].copy() for index in chosen]


def evenly(pieces: Sequence[Item], count: int) -> list[Item]:
    """So many of the pieces, or all where there are no more, spread evenly over them."""
    count = min(count, len(pieces))
    return [pieces[number * len(pieces) // count] for number in range(count)]
