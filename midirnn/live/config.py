"""What can be set about playing live."""

from __future__ import annotations

import math
from dataclasses import dataclass

from midirnn.errors import OptionError


@dataclass(frozen=True)
class LiveConfig:
    """How the model plays along.

    ``silence_seconds`` without a new event end the performer's phrase. ``answer_seconds`` is how
    long an answer lasts (None: as long as the phrase). ``channel`` (1 to 16) is what the model
    plays on. ``lookahead_seconds`` is how far ahead it plans.
    """

    silence_seconds: float = 1.0
    answer_seconds: float | None = None
    channel: int = 1
    lookahead_seconds: float = 1.0

    def __post_init__(self) -> None:
        _check("silence_seconds", self.silence_seconds, 0.05, 60.0)
        _check("channel", self.channel, 1, 16)
        _check("lookahead_seconds", self.lookahead_seconds, 0.05, 10.0)
        if self.answer_seconds is not None:
            _check("answer_seconds", self.answer_seconds, 0.1, 24 * 3600.0)


def _check(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise OptionError(f"{name} is {value:g}; allowed are {low:g} to {high:g}")
