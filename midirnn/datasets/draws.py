"""Draw the pieces that training reads, from memory or from disk."""

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
"""Tokens of the shortest useful excerpt; rather than shorter ones, fewer are taken."""


class PieceDraw:
    """Draws pieces with probabilities proportional to ``chances``, and augments each.

    By default ``chances`` are the pieces' lengths. Only the piece that is drawn is read. The draws
    are the same whether the pieces are in memory or not.
    """

    def __init__(
        self,
        pieces: Sequence[Tokens],
        augmentation: Augmentation,
        codec: Codec[Any],
        chances: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self.pieces = pieces
        self.augmentation = augmentation
        self.codec = codec
        chances = lengths_of(pieces).astype(np.float64) if chances is None else chances
        self._ends = np.cumsum(chances)

    def __call__(self, rng: np.random.Generator) -> Tokens:
        """Draw a piece and return its tokens."""
        place = rng.random() * self._ends[-1]
        # The first piece that ends after the place: never an empty one.
        index = min(int(np.searchsorted(self._ends, place, side="right")), len(self.pieces) - 1)
        return self.codec.augment(self.pieces[index], self.augmentation, rng)


def lengths_of(pieces: Sequence[Tokens]) -> npt.NDArray[np.int64]:
    """Return the number of tokens of each piece, without reading them."""
    if isinstance(pieces, StoredPieces):
        return pieces.lengths
    return np.fromiter(map(len, pieces), np.int64, len(pieces))


def excerpts(pieces: Sequence[Tokens], tokens: int) -> list[Tokens]:
    """Return the beginnings of pieces, equally long and together about ``tokens`` tokens.

    All pieces are used or, if each excerpt would have fewer than :data:`SHORTEST_EXCERPT` tokens,
    some that are spread evenly over the set. Only those are read.
    """
    filled: list[int] = np.flatnonzero(lengths_of(pieces)).tolist()
    chosen = evenly(filled, max(1, tokens // SHORTEST_EXCERPT))
    each = math.ceil(tokens / max(len(chosen), 1))
    return [pieces[index][:each].copy() for index in chosen]


def evenly(pieces: Sequence[Item], count: int) -> list[Item]:
    """Return ``count`` of the pieces, spread evenly over them; all if there are fewer."""
    count = min(count, len(pieces))
    return [pieces[number * len(pieces) // count] for number in range(count)]
