"""Small pieces for tests of what is said of pieces."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from midirnn.performance import Performance


def melody(
    pitches: Iterable[int], *, each_seconds: float = 0.25, begin_seconds: float = 0.0
) -> Performance:
    """One note after another, without a rest between them."""
    return Performance.from_notes(
        (begin_seconds + each_seconds * n, begin_seconds + each_seconds * (n + 1), pitch, 64)
        for n, pitch in enumerate(pitches)
    )


def at_random(notes: int, seed: int = 0, **options: float) -> Performance:
    """A melody of random pitches."""
    rng = np.random.default_rng(seed)
    return melody(rng.integers(30, 100, notes).tolist(), **options)


def together(*pieces: Performance) -> Performance:
    """The notes of several pieces in one."""
    return Performance.from_notes(
        row
        for piece in pieces
        for row in zip(
            *(array.tolist() for array in (piece.start, piece.end, piece.pitch, piece.velocity)),
            strict=True,
        )
    )
