"""What a tuning reads: a player's pieces in three parts, and music of the model's own kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from midirnn.codecs import Tokens
from midirnn.engines.load import Model
from midirnn.performance import Performance

MEASURED_EVERY = 6
"""One in so many pieces of the model's own is measured; the more others are mixed in, the less is
forgotten."""


@dataclass(frozen=True)
class Parts:
    """Playing as tokens: to learn from, to stop by, and to measure."""

    train: list[Tokens]
    validation: list[Tokens]
    test: list[Tokens]

    @property
    def tokens(self) -> int:
        """The number of all tokens."""
        return sum(
            len(piece) for part in (self.train, self.validation, self.test) for piece in part
        )


@dataclass(frozen=True)
class BaseMusic:
    """Music of the base's kind: to be mixed in, and to measure the price."""

    mixed: Sequence[Tokens] = ()
    own: Sequence[Tokens] = ()
    """Other pieces of the model's own."""
    test: Sequence[Tokens] = ()
    """Pieces of the base's test set, if there is one at hand."""


def split_by_time(
    pieces: Sequence[Performance], shares: Sequence[float]
) -> list[list[Performance]]:
    """Return parts of the time of all pieces in a row: the first part, then ``shares`` of it."""
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
    """Return pieces of the model's own as what is measured, every sixth, and what is mixed in."""
    mixed = [piece for number, piece in enumerate(own) if number % MEASURED_EVERY]
    return BaseMusic(encoded(model, mixed), encoded(model, own[::MEASURED_EVERY]), test)


def encoded(model: Model, pieces: Sequence[Performance]) -> list[Tokens]:
    """Return pieces as tokens, without those that hold none."""
    encoded = (model.codec.encode(piece) for piece in pieces)
    return [tokens for tokens in encoded if len(tokens)]
