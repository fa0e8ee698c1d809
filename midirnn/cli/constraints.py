"""The flags of ``midirnn generate`` that constrain what is played."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.errors import OptionError

if TYPE_CHECKING:
    from midirnn.sampling.constraints import Constraints

GROUP = "Constraints"

_SPAN = re.compile(r"([\d.]+)-([\d.]+)")
_PITCH = re.compile(r"([A-Ga-g][#b]*)(-?\d+)")


@dataclass(frozen=True)
class ConstraintFlags:
    """Constraints that every new note keeps to."""

    key: Annotated[
        str | None,
        Parameter(
            group=GROUP,
            help="Allow only pitches of a key or scale ('D minor', 'F# dorian') or of a set "
            "('C E G'). With --chords they are passing notes.",
        ),
    ] = None
    pitch_range: Annotated[
        str | None,
        Parameter(
            name="--range",
            group=GROUP,
            help="Lowest and highest pitch, 'C2:C6' or '36:84'; C4 is middle C.",
        ),
    ] = None
    polyphony: Annotated[
        int | None, Parameter(group=GROUP, help="The most notes that sound at once.")
    ] = None
    chords: Annotated[
        str | None,
        Parameter(
            group=GROUP,
            help="A chord chart such as 'C | Am7 | F G7', or a .txt file with one. It repeats "
            "until the end.",
        ),
    ] = None
    tempo: Annotated[
        float | None, Parameter(group=GROUP, help="Beats per minute of the chords. [120]")
    ] = None
    beats_per_bar: Annotated[
        int | None, Parameter(group=GROUP, help="Beats in each bar of chords. [4]")
    ] = None
    curves: Annotated[
        Path | None,
        Parameter(
            group=GROUP,
            help="A .csv or .toml file with notes_per_second, least_notes_per_second or loudness "
            "over time.",
        ),
    ] = None
    silence: Annotated[
        tuple[str, ...],
        Parameter(
            group=GROUP,
            negative_iterable=(),
            show_default=False,
            help="A span in which nothing sounds, in seconds of the new music: '10-12.5'. Can be "
            "repeated.",
        ),
    ] = ()
    exact: Annotated[
        bool,
        Parameter(
            group=GROUP,
            negative="",
            show_default=False,
            help="Make the new music exactly --seconds long; its last second is a rest.",
        ),
    ] = False

    def with_defaults(self) -> ConstraintFlags:
        """Return these flags with the default of --beats-per-bar."""
        return replace(self, beats_per_bar=self._beats_per_bar)

    @property
    def _beats_per_bar(self) -> int:
        from midirnn.sampling.constraints.chart import DEFAULT_BEATS

        return DEFAULT_BEATS if self.beats_per_bar is None else self.beats_per_bar

    def constraints(self, seconds: float) -> Constraints:
        """Return the constraints on music of this length."""
        from midirnn.sampling.constraints import Constraints, parse_chart, parse_scale, read_curves

        if self.chords is None and self.tempo is not None:
            raise OptionError("--tempo is the tempo of --chords, which were not given")
        if self.chords is None and self.beats_per_bar is not None:
            raise OptionError("--beats-per-bar is for the bars of --chords, which were not given")
        chart = None
        if self.chords is not None:
            tempo = 120.0 if self.tempo is None else self.tempo
            chart = parse_chart(self.chords, tempo, self._beats_per_bar)
        curves = {} if self.curves is None else read_curves(self.curves)
        lowest, highest = (0, 127) if self.pitch_range is None else _range(self.pitch_range)
        return Constraints(
            key=None if self.key is None else parse_scale(self.key),
            lowest=lowest,
            highest=highest,
            polyphony=self.polyphony,
            chords=chart,
            silences=tuple(_silence(text) for text in self.silence),
            exact_seconds=seconds if self.exact else None,
            notes_per_second=curves.get("notes_per_second"),
            least_notes_per_second=curves.get("least_notes_per_second"),
            loudness=curves.get("loudness"),
        )


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.partition(":")
    return _pitch(low, text), _pitch(high, text)


def _pitch(name: str, text: str) -> int:
    """Return the number of a pitch, given as such or by its name."""
    from midirnn.codecs.controls import ACCIDENTALS, NATURALS

    if name.isdecimal():
        return int(name)
    found = _PITCH.fullmatch(name)
    if found is None:
        raise OptionError(f"--range is {text!r}; write it like C2:C6 or 36:84")
    letter, signs = found[1][0], found[1][1:]
    pitch_class = NATURALS[letter.upper()] + sum(ACCIDENTALS[sign] for sign in signs)
    return 12 * (int(found[2]) + 1) + pitch_class


def _silence(text: str) -> tuple[float, float]:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise OptionError(f"--silence is {text!r}; write it in seconds, like 10-12.5")
    try:
        return float(found[1]), float(found[2])
    except ValueError:
        raise OptionError(f"--silence is {text!r}; write it in seconds, like 10-12.5") from None
