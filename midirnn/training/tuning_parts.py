"""The music for tuning: a player's pieces in three parts, and the model's own music."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from midirnn.codecs import Tokens
from midirnn.engines.load import Model
from midirnn.performance import Performance

MEASURED_EVERY = 6
"""One in this many of the model's own pieces is used to measure. The others are mixed in: the more
of them, the less is forgotten."""


@dataclass(frozen=True)
class Parts:
    """Playing as tokens: to learn from, to decide when to stop, and to measure."""

    train: list[Tokens]
    validation: list[Tokens]
    test: list[Tokens]

    @property
    def tokens(self) -> int:
        """The total number of tokens."""
        return sum(
            len(piece) for part in (self.train, self.validation, self.test) for piece in part
        )


@dataclass(frozen=True)
class BaseMusic:
    """Music that the base knows: to be mixed in, and to measure the price."""

    mixed: Sequence[Tokens] = ()
    own: Sequence[Tokens] = ()
    """Other pieces of the model's own, to measure with."""
    test: Sequence[Tokens] = ()
    """Pieces of the base's test set, if it is available."""


def split_by_time(
    pieces: Sequence[Performance], shares: Sequence[float]
) -> list[list[Performance]]:
    """Split pieces, in a row, by time: the last parts have these ``shares``, the first the rest."""
    total = sum(piece.duration for piece in pieces)
    ends = np.cumsum([1.0 - sum(shares), *shares]) * total
    begins = [0.0, *ends[:-1]]
    parts: list[list[Performance]] = [[] for _ in ends]
    played = 0.0
    for piece in pieces:
        for part, begin, end in zip(parts, begins, ends, strict=True):
            low, high = max(begin - played, 0.0), min(end - played, piece.duration)
            if high > low:
                part.append(piece.slice(low, high))
        played += piece.duration
    return parts


def base_music(model: Model, own: Sequence[Performance], test: Sequence[Tokens] = ()) -> BaseMusic:
    """Split the model's own pieces: every sixth is used to measure, the others are mixed in."""
    mixed = [piece for number, piece in enumerate(own) if number % MEASURED_EVERY]
    return BaseMusic(encoded(model, mixed), encoded(model, own[::MEASURED_EVERY]), test)


def encoded(model: Model, pieces: Sequence[Performance]) -> list[Tokens]:
    """Return pieces as tokens, leaving out empty ones."""
    encoded = (model.codec.encode(piece) for piece in pieces)
    return [tokens for tokens in encoded if len(tokens)]
