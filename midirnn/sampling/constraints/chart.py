"""Chord charts: "C | Am7 | F G7", with bars of equal length."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from midirnn.errors import OptionError
from midirnn.files import one_line_errors
from midirnn.sampling.constraints.harmony import PitchClasses, parse_chord

FREE = ("N.C.", "NC")
"""Stands for no chord: any pitch may come."""

AGAIN = "%"
"""Repeats the bar before."""

DEFAULT_BEATS = 4


@dataclass(frozen=True)
class ChordChart:
    """A sequence of chords, repeated from the start when it is over.

    ``chords`` has the name of each, ``beats`` how long it lasts, ``tempo`` is in beats per minute.
    """

    chords: tuple[str, ...]
    beats: tuple[float, ...]
    tempo: float

    @property
    def seconds(self) -> float:
        """How long the whole chart lasts."""
        return sum(self.beats) * 60.0 / self.tempo

    def until(self, seconds: float) -> list[tuple[float, str]]:
        """Return (start in seconds, name) of each chord that begins before ``seconds``."""
        found: list[tuple[float, str]] = []
        beats = 0.0
        while True:
            for name, length in zip(self.chords, self.beats, strict=True):
                start = beats * 60.0 / self.tempo
                if start >= seconds:
                    return found
                found.append((start, name))
                beats += length


def pitch_classes_of(name: str) -> PitchClasses | None:
    """Return the pitch classes of a chord; None where any may come."""
    return None if name in FREE else parse_chord(name)


def parse_chart(text: str, tempo: float, beats_per_bar: int = DEFAULT_BEATS) -> ChordChart:
    """Return the chord chart in a text, or in the text file (``.txt``) of that name.

    Bars are separated by "|" or line breaks; the chords of a bar share it equally. "%" repeats the
    bar before, "N.C." allows any pitch, and "#" at the start of a line begins a comment. Raises
    :class:`OptionError` for an unknown chord.
    """
    if not 10.0 <= tempo <= 400.0:
        raise OptionError(f"tempo is {tempo:g}; allowed are 10 to 400 beats per minute")
    if not 1 <= beats_per_bar <= 32:
        raise OptionError(f"beats per bar are {beats_per_bar}; allowed are 1 to 32")
    lines = [line for line in _content(text).splitlines() if not line.startswith("#")]
    bars: list[list[str]] = []
    for bar in "|".join(lines).split("|"):
        names = bar.split()
        if names == [AGAIN]:
            if not bars:
                raise OptionError("the chord chart begins with %, which repeats the bar before")
            names = bars[-1]
        if names:
            bars.append(names)
    if not bars:
        raise OptionError(f"the chord chart {text!r} holds no chord; write for example 'C | F G7'")
    for names in bars:
        for name in names:
            pitch_classes_of(name)
    return ChordChart(
        tuple(name for names in bars for name in names),
        tuple(beats_per_bar / len(names) for names in bars for _ in names),
        tempo,
    )


def _content(text: str) -> str:
    """Return the text, or what is in the file of that name."""
    if not text.endswith(".txt"):
        return text
    with one_line_errors(text, OptionError, "cannot be read"):
        return Path(text).read_text(encoding="utf-8")
