"""Compare engines: the likelihood that each gives music, and how much their logits differ."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from midirnn.codecs import BoolArray, Codec, Tokens
from midirnn.codecs.held import held_of
from midirnn.engines.base import StepEngine
from midirnn.engines.state import FloatVector
from midirnn.errors import OptionError
from midirnn.sampling.filters import log_likelihood


@dataclass(frozen=True)
class Comparison:
    """The results of engines on the same tokens. Differences are from the first engine."""

    tokens: int
    nats_per_token: dict[str, float]
    """By the engine's name: the mean negative log-likelihood under the grammar."""
    step_ms: dict[str, float]
    """By the engine's name: the median time of a step."""
    logit_spread: float
    """The standard deviation of the first engine's logits."""
    mean_difference: dict[str, float]
    """By the names of the other engines: the mean absolute difference of a logit."""
    max_difference: dict[str, float]


def compare_engines(
    engines: Mapping[str, StepEngine],
    codec: Codec[Any],
    pieces: Iterable[Tokens],
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Comparison:
    """Compare engines of one model on the same pieces, each fed from its start."""
    constraint = codec.constraint()
    tallies = {name: _Tally() for name in engines}
    first, *others = tallies
    for piece in pieces:
        state = constraint.start()
        for engine in engines.values():
            engine.reset()
        for token in piece.tolist():
            mask = constraint.mask(state)
            expected = engines[first].logits()
            for name, engine in engines.items():
                tallies[name].count(engine.logits(), expected, mask, token)
            constraint.advance(state, token)
            for name, engine in engines.items():
                begun = clock()
                engine.feed(token, held_of(state))
                engine.logits()  # the step waits for this
                tallies[name].seconds.append(clock() - begun)
    if not tallies[first].seconds:
        raise OptionError("there are no tokens to compare engines by")
    differing = {name: tallies[name] for name in others}
    return Comparison(
        tokens=len(tallies[first].seconds),
        nats_per_token={name: tally.mean(tally.nats) for name, tally in tallies.items()},
        step_ms={name: 1e3 * float(np.median(tally.seconds)) for name, tally in tallies.items()},
        logit_spread=tallies[first].spread(),
        mean_difference={name: tally.mean(tally.difference) for name, tally in differing.items()},
        max_difference={name: tally.max_difference for name, tally in differing.items()},
    )


class _Tally:
    """Sums over the tokens, for one engine."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.nats = self.difference = self.max_difference = 0.0
        self._logits = self._squares = 0.0

    def count(
        self, logits: FloatVector, expected: FloatVector, mask: BoolArray, token: int
    ) -> None:
        """Count the logits before a token; ``expected`` are the first engine's."""
        self.nats -= log_likelihood(logits, mask, token)
        differences = np.abs(logits - expected)
        self.difference += float(differences.mean())
        self.max_difference = max(self.max_difference, float(differences.max()))
        self._logits += float(logits.mean(dtype=np.float64))
        self._squares += float(np.square(logits, dtype=np.float64).mean())

    def mean(self, total: float) -> float:
        """Return a sum divided by the number of tokens."""
        return total / len(self.seconds)

    def spread(self) -> float:
        """Return the standard deviation of all logits."""
        variance = self.mean(self._squares) - self.mean(self._logits) ** 2
        return math.sqrt(max(variance, 0.0))
