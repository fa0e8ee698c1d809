"""Real music to compare with: the beginnings of a data set's pieces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from midirnn.codecs import NoteStream, Tokens
from midirnn.errors import OptionError
from midirnn.performance import Performance


def openings(
    codec: NoteStream, pieces: Sequence[Tokens], seconds: float, count: int, *, of: str = ""
) -> list[Performance]:
    """Return the first ``seconds`` of up to ``count`` long enough pieces, spread evenly.

    Raises :class:`OptionError` if there are fewer than two; ``of`` names them in its message.
    """
    long = [piece for piece in pieces if _seconds(codec, piece) >= seconds]
    if len(long) < 2:
        raise OptionError(
            f"{len(long)} of {len(pieces)} {of}pieces last {seconds:g} s or more, "
            "and at least 2 must: choose a lower --sample-seconds"
        )
    picked = np.linspace(0, len(long), min(count, len(long)), endpoint=False).astype(int)
    return [codec.decode(long[index]).slice(0.0, seconds) for index in picked]


def _seconds(codec: NoteStream, tokens: Tokens) -> float:
    """Return how long tokens last."""
    return int(codec.token_steps[tokens].sum()) / codec.steps_per_second
