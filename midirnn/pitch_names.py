"""The names of pitches, pitch classes and keys."""

from __future__ import annotations

PITCH_CLASS_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

_FIFTHS = (
    *("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G"),
    *("D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#"),
)
"""The tonics of the keys, up in fifths: of major from seven flats on, of minor three later."""


def pitch_name(pitch: int) -> str:
    """Return the name of a pitch; 60 is C4."""
    return f"{PITCH_CLASS_NAMES[pitch % 12]}{pitch // 12 - 1}"


def tonic_name(sharps: int, *, minor: bool) -> str:
    """Return the tonic of a key with so many sharps, negative for flats; Eb for -3."""
    return _FIFTHS[sharps + 7 + 3 * minor]
