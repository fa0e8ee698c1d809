"""Keys, scales and chords by their names, as sets of pitch classes (C is 0)."""

from __future__ import annotations

import re
from functools import cache

from midirnn.codecs.controls import ACCIDENTALS, NATURALS, parse_pitch_classes
from midirnn.errors import OptionError

PitchClasses = frozenset[int]

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "melodic minor": (0, 2, 3, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
    "pentatonic": (0, 2, 4, 7, 9),
    "minor pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "whole tone": (0, 2, 4, 6, 8, 10),
    "diminished": (0, 2, 3, 5, 6, 8, 9, 11),
    "chromatic": tuple(range(12)),
}
"""Semitones from the root."""

_TRIADS = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "5": (0, 7),
}
CHORDS = {
    **_TRIADS,
    "-": _TRIADS["m"],
    "min": _TRIADS["m"],
    "o": _TRIADS["dim"],
    "+": _TRIADS["aug"],
    "sus": _TRIADS["sus4"],
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "M7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "-7": (0, 3, 7, 10),
    "min7": (0, 3, 7, 10),
    "mM7": (0, 3, 7, 11),
    "dim7": (0, 3, 6, 9),
    "o7": (0, 3, 6, 9),
    "m7b5": (0, 3, 6, 10),
    "aug7": (0, 4, 8, 10),
    "7sus4": (0, 5, 7, 10),
    "7b9": (0, 1, 4, 7, 10),
    "add9": (0, 2, 4, 7),
    "9": (0, 2, 4, 7, 10),
    "maj9": (0, 2, 4, 7, 11),
    "m9": (0, 2, 3, 7, 10),
    "11": (0, 2, 4, 5, 7, 10),
    "13": (0, 2, 4, 7, 9, 10),
}
"""Semitones from the root, by what is written after it."""

_ROOT = re.compile(r"([A-Ga-g])([#b]*)")


def parse_scale(text: str) -> PitchClasses:
    """Return the pitch classes of a key or scale ("D minor", "F# dorian"), or of a set ("C E G").

    Raises :class:`OptionError` for anything else.
    """
    root, *rest = text.split() or [""]
    name = " ".join(rest).lower()
    if name in SCALES and (found := _ROOT.fullmatch(root)):
        return frozenset((_pitch_class(found) + step) % 12 for step in SCALES[name])
    try:
        weights = parse_pitch_classes(text)
    except OptionError as error:
        raise OptionError(
            f"{text!r} is no key, scale or set of pitch classes. Write 'D minor', 'C E G', or a "
            f"root and one of {', '.join(SCALES)}"
        ) from error
    return frozenset(pitch_class for pitch_class, weight in enumerate(weights) if weight)


@cache
def parse_chord(text: str) -> PitchClasses:
    """Return the pitch classes of a chord symbol, "Am7" or "C/E".

    Raises :class:`OptionError` for an unknown one.
    """
    symbol, slash, bass = text.partition("/")
    found = _ROOT.match(symbol)
    below = _ROOT.fullmatch(bass)
    if not found or symbol[found.end() :] not in CHORDS or bool(slash) != bool(below):
        known = ", ".join(kind for kind in CHORDS if kind)
        raise OptionError(f"{text!r} is no chord. Write a root, and behind it nothing or {known}")
    root = _pitch_class(found)
    tones = {(root + step) % 12 for step in CHORDS[symbol[found.end() :]]}
    return frozenset(tones | ({_pitch_class(below)} if below else set()))


def _pitch_class(root: re.Match[str]) -> int:
    letter, accidentals = root.groups()
    return (NATURALS[letter.upper()] + sum(ACCIDENTALS[sign] for sign in accidentals)) % 12
