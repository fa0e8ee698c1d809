"""The fields of an ABC tune: key, metre, unit length and tempo."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from midirnn.errors import CodecError

NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
SHARP_ORDER = "FCGDAEB"
MODES = {
    **dict.fromkeys(("", "maj", "ion"), 0),
    **dict.fromkeys(("m", "min", "aeo"), -3),
    "mix": -1,
    "dor": -2,
    "phr": -4,
    "lyd": 1,
    "loc": -5,
}
"""How many more sharps a mode has than major, by its first three letters."""

ACCIDENTALS = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}

_PIPES = {"HP": 2, "Hp": 2}
"""Keys of the Highland pipes, and their number of sharps."""

_KEY = re.compile(r"([A-G])([#b]?)\s*([A-Za-z]*)")
_ALTERED = re.compile(r"(\^\^|__|[\^_=])([A-Ga-g])")
_CLEF = re.compile(r"(clef=|treble|bass|alto|tenor|none|perc)")


@dataclass(frozen=True)
class Key:
    """A key signature: its number of sharps (negative for flats) and explicit accidentals."""

    sharps: int = 0
    minor: bool = False
    altered: tuple[tuple[str, int], ...] = ()
    tonic: int = 0
    """The pitch class of the tonic."""

    def alteration(self, letter: str) -> int:
        """Return by how many semitones the key alters a letter, A to G."""
        return dict(self.altered).get(letter, _of_signature(self.sharps, letter))

    @property
    def pitch_classes(self) -> frozenset[int]:
        """The pitch classes of the scale."""
        return frozenset((NATURALS[name] + self.alteration(name)) % 12 for name in NATURALS)


@dataclass(frozen=True)
class Metre:
    """A time signature; without beats, the metre is free."""

    beats: int = 0
    unit: int = 4

    @property
    def bar(self) -> Fraction | None:
        """The length of a bar in whole notes; None in free metre."""
        return Fraction(self.beats, self.unit) if self.beats else None

    @property
    def default_length(self) -> Fraction:
        """The unit length of notes if there is no field ``L:``."""
        return (
            Fraction(1, 16)
            if self.bar is not None and self.bar < Fraction(3, 4)
            else Fraction(1, 8)
        )


def parse_key(text: str) -> Key:
    """Return the key of a field ``K:``. Raises :class:`CodecError`."""
    text = text.strip()
    altered = tuple((name.upper(), ACCIDENTALS[sign]) for sign, name in _ALTERED.findall(text))
    if text[:2] in _PIPES:
        return Key(_PIPES[text[:2]], altered=altered, tonic=NATURALS["A"])
    if not text or _CLEF.match(text) or text[0] in "^_=":
        return Key(altered=altered)
    found = _KEY.match(text)
    if found is None:
        raise CodecError(f"the key {text!r} is not known; a key is written as G, Bb, Em or Ddor")
    letter, sign, word = found.groups()
    mode = "m" if word == "m" else word.lower()[:3]
    if mode not in MODES:
        if mode not in ("exp", "cle", "tre", "bas", "alt", "ten"):
            raise CodecError(f"the key {text!r} has the mode {word!r}; known are {_modes()}")
        mode = ""
    sharps = SHARP_ORDER.index(letter) - 1 + 7 * ((sign == "#") - (sign == "b")) + MODES[mode]
    if not -7 <= sharps <= 7:
        raise CodecError(f"the key {text!r} has {abs(sharps)} accidentals; at most 7 are known")
    tonic = NATURALS[letter] + (sign == "#") - (sign == "b")
    return Key(sharps, MODES[mode] == -3, altered, tonic % 12)


def parse_metre(text: str) -> Metre:
    """Return the metre of a field ``M:``. Raises :class:`CodecError`."""
    text = text.strip()
    if text in ("", "none"):
        return Metre()
    if text in ("C", "C|"):
        return Metre(4, 4) if text == "C" else Metre(2, 2)
    found = re.match(r"\(?([\d+ ]+)\)?/(\d+)", text)
    beats = sum(int(part) for part in found[1].split("+") if part.strip()) if found else 0
    unit = int(found[2]) if found else 0
    if not 0 < beats <= 255 or unit not in (1, 2, 4, 8, 16, 32, 64):
        raise CodecError(f"the metre {text!r} is not known; a metre is written as 6/8, C or C|")
    return Metre(beats, unit)


def parse_length(text: str) -> Fraction:
    """Return the unit length of a field ``L:``, in whole notes. Raises :class:`CodecError`."""
    found = re.match(r"(\d{1,3})(?:/(\d{1,3}))?\s*$", text.strip())
    if found is None or not int(found[1]) or not int(found[2] or 1):
        raise CodecError(f"the unit length {text.strip()!r} is not known; write it as 1/8")
    return Fraction(int(found[1]), int(found[2] or 1))


def parse_tempo(text: str, unit: Fraction) -> float | None:
    """Return the quarter notes per minute of a field ``Q:``; None if it is only words."""
    text = re.sub(r'"[^"]*"', "", text)
    beats = sum(
        (Fraction(int(a), int(b)) for a, b in re.findall(r"(\d+)/([1-9]\d*)", text)), Fraction(0)
    )
    found = re.search(r"=\s*(\d{1,4})", text) or re.match(r"\s*(\d{1,4})\s*$", text)
    per_minute = int(found[1]) if found else 0
    if not 0 < per_minute <= 2000:
        return None
    return float(4 * (beats or unit) * per_minute)


def _of_signature(sharps: int, letter: str) -> int:
    if sharps >= 0:
        return int(SHARP_ORDER.index(letter) < sharps)
    return -int(SHARP_ORDER[::-1].index(letter) < -sharps)


def _modes() -> str:
    return ", ".join(mode for mode in MODES if mode)
