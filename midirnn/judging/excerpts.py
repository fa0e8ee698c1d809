"""Real music to compare with: how the pieces of a data set begin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from midirnn.codecs import PerformanceCodec, Tokens, TokenType
from midirnn.errors import OptionError
from midirnn.performance import Performance


def openings(
    codec: PerformanceCodec, pieces: Sequence[Tokens], seconds: float, count: int, *, of: str = ""
) -> list[Performance]:
    """The first ``seconds`` of up to ``count`` pieces that last as long, evenly picked.

    Raises :class:`OptionError` if fewer than two do; ``of`` says there which pieces they are.
    """
    long = [piece for piece in pieces if _seconds(codec, piece) >= seconds]
    if len(long) < 2:
        raise OptionError(
            f"{len(long)} of {len(pieces)} {of}pieces last {seconds:g} s or more, "
            "and at least 2 must: choose a lower --sample-seconds"
        )
    picked = np.linspace(0, len(long), min(count, len(long)), endpoint=False).astype(int)
    return [codec.decode(long[index]).slice(0.0, seconds) for index in picked]


def _seconds(codec: PerformanceCodec, tokens: Tokens) -> float:
    """How long tokens last."""
    shift = codec.vocabulary.slice_of(TokenType.TIME_SHIFT)
    shifts = tokens[(tokens >= shift.start) & (tokens < shift.stop)]
    return int(codec.vocabulary.values[shifts].sum()) / codec.steps_per_second
