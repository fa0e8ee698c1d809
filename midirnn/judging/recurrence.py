"""How much of a primer returns in its continuation: patterns in any key, and exact copies."""

from __future__ import annotations

import numpy as np

from midirnn.judging.copying import Corpus, Symbols, pitch_steps
from midirnn.performance import Performance

CHORD_SECONDS = 0.04
"""Notes that begin within this time of a chord's first note belong to the chord."""

PATTERN_INTERVALS = 4
"""The number of intervals in a pattern: between 5 consecutive notes of the top voice."""


def top_voice(piece: Performance) -> Symbols:
    """Return the highest pitch of each chord, in order. A single note counts as a chord."""
    voice: list[int] = []
    chord_seconds = -np.inf
    for start, pitch in zip(piece.start.tolist(), piece.pitch.tolist(), strict=True):
        if start > chord_seconds + CHORD_SECONDS:
            chord_seconds = start
            voice.append(pitch)
        else:
            voice[-1] = max(voice[-1], pitch)
    return np.array(voice, np.uint8)


def patterns(piece: Performance) -> frozenset[bytes]:
    """Return the patterns of a piece's top voice: all 4 consecutive intervals, in semitones."""
    steps = pitch_steps(top_voice(piece)).tobytes()
    places = range(len(steps) - PATTERN_INTERVALS + 1)
    return frozenset(steps[place : place + PATTERN_INTERVALS] for place in places)


def returning_share(primer: frozenset[bytes], continuation: frozenset[bytes]) -> float:
    """Return the share of the primer's patterns that are in the continuation; 0 without any."""
    return len(primer & continuation) / max(len(primer), 1)


def longest_copy(primer: Performance, continuation: Performance) -> int:
    """Return the length of the longest run of pitches that a continuation copies from its primer.

    A run is consecutive notes in the order of a performance's notes, including those of chords.
    """
    (run,) = Corpus([primer.pitch]).longest_runs([continuation.pitch])
    return run.length
