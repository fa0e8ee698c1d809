"""Read a tune in ABC notation: its fields, and its notes, rests and bar lines in order."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction

from midirnn.abcfile.header import (
    ACCIDENTALS,
    NATURALS,
    Key,
    Metre,
    parse_key,
    parse_length,
    parse_metre,
    parse_tempo,
)
from midirnn.abcfile.scanning import NOTE, factor_of, lines_of, scan
from midirnn.errors import CodecError

MIDDLE_C = 60
LONGEST = Fraction(64)
"""The longest note, in whole notes: longer ones are mistakes in the text."""

_TUPLETS = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
"""The number of notes in whose time p notes are played; for 5, 7 and 9 the metre decides."""


@dataclass(frozen=True)
class Sound:
    """A note, a chord or, without pitches, a rest. ``length`` is in whole notes."""

    pitches: tuple[int, ...]
    length: Fraction
    tied: bool = False
    """Whether it is tied to the next one."""


@dataclass(frozen=True)
class Bar:
    """A bar line: whether it ends a repeated section (``:|``) and begins one (``|:``)."""

    ends: bool = False
    begins: bool = False
    final: bool = False
    """A double or closing line."""


@dataclass(frozen=True)
class Volta:
    """An ending, for some of the repetitions of a section."""

    numbers: frozenset[int]


@dataclass(frozen=True)
class Change:
    """A new key, metre or tempo (quarter notes per minute)."""

    key: Key | None = None
    metre: Metre | None = None
    tempo: float | None = None


Event = Sound | Bar | Volta | Change


@dataclass(frozen=True)
class Tune:
    """A tune as written, repeats and all."""

    key: Key
    metre: Metre
    tempo: float | None
    events: tuple[Event, ...]


@dataclass
class _State:
    """What the next note depends on. Owned by the parser of one tune."""

    metre: Metre = field(default_factory=Metre)
    key: Key | None = None
    unit: Fraction | None = None
    """The unit length: that of the field ``L:``, otherwise the default of the header's metre."""
    tempo: str | None = None
    events: list[Event] = field(default_factory=list)
    accidentals: dict[str, int] = field(default_factory=dict)
    """The accidentals of letters, valid until the bar line."""
    tuplet: tuple[int, Fraction] = (0, Fraction(1))
    """The number of remaining notes in a tuplet, and the factor of their lengths."""
    broken: Fraction = Fraction(1)
    """The factor of the next note's length in a broken rhythm (``>``)."""

    @property
    def unit_length(self) -> Fraction:
        assert self.unit is not None
        return self.unit


def parse_tune(text: str) -> Tune:
    """Return the first tune in a text. Raises :class:`CodecError` with line and column."""
    state = _State()
    first: tuple[Key, Metre] | None = None
    for number, name, content in lines_of(text):
        try:
            if name:
                _read_field(state, name, content)
                if first is None and state.key is not None:
                    first = state.key, state.metre
                    state.unit = state.unit or state.metre.default_length
            elif first is not None:
                _read_music(state, content)
        except CodecError as error:
            raise CodecError(f"no tune in ABC notation: line {number}, {error}") from None
    if first is None:
        raise CodecError(
            "no tune in ABC notation: it has no line K: with the key, which comes before the notes"
        )
    if not any(isinstance(event, Sound) and event.pitches for event in state.events):
        raise CodecError("no tune in ABC notation: it has no notes")
    tempo = None if state.tempo is None else parse_tempo(state.tempo, state.unit_length)
    return Tune(*first, tempo, tuple(state.events))


def _read_field(state: _State, name: str, text: str) -> None:
    """Read a field of the header or, after the key, of the body."""
    in_body = state.key is not None
    change = Change()
    if name == "K":
        state.key = parse_key(text)
        state.accidentals.clear()
        change = Change(key=state.key)
    elif name == "M":
        state.metre = parse_metre(text)
        change = Change(metre=state.metre)
    elif name == "L":
        state.unit = parse_length(text)
    elif name == "Q":
        if in_body:
            change = Change(tempo=parse_tempo(text, state.unit_length))
        else:
            state.tempo = text
    if in_body and change != Change():
        state.events.append(change)


def _read_music(state: _State, line: str) -> None:
    """Read a line of notes."""
    for kind, found in scan(line):
        if kind in _READERS:
            try:
                _READERS[kind](state, found)
            except CodecError as error:
                raise CodecError(f"column {found.start() + 1}: {error}") from None


def _add(state: _State, pitches: tuple[int, ...], factor: Fraction, tied: bool) -> None:
    """Add a note, chord or rest, its length adjusted for tuplets and broken rhythm."""
    left, stretch = state.tuplet
    length = state.unit_length * factor * (stretch if left else 1) * state.broken
    state.tuplet, state.broken = (max(left - 1, 0), stretch), Fraction(1)
    if length > LONGEST:
        raise CodecError(f"a note of {float(length):g} whole notes; at most {LONGEST} are allowed")
    state.events.append(Sound(pitches, length, tied))


def _pitch(state: _State, sign: str | None, letter: str, octaves: str) -> int:
    """Return the MIDI number of a note; its accidental holds until the bar line."""
    name = letter.upper()
    if sign:
        state.accidentals[name] = ACCIDENTALS[sign]
    assert state.key is not None
    moved = state.accidentals.get(name, state.key.alteration(name))
    octave = letter.islower() + octaves.count("'") - octaves.count(",")
    pitch = MIDDLE_C + NATURALS[name] + moved + 12 * octave
    if not 0 <= pitch <= 127:
        raise CodecError(f"the note {letter + octaves!r} is outside the range of MIDI")
    return pitch


def _note(state: _State, found: re.Match[str]) -> None:
    sign, letter, octaves, length, tie = found.groups()
    _add(state, (_pitch(state, sign, letter, octaves),), factor_of(length), bool(tie))


def _rest(state: _State, found: re.Match[str]) -> None:
    _add(state, (), factor_of(found[1]), tied=False)


def _bar_rest(state: _State, found: re.Match[str]) -> None:
    bar = state.metre.bar or Fraction(1)
    _add(state, (), bar * int(found[1] or 1) / state.unit_length, tied=False)


def _chord(state: _State, found: re.Match[str]) -> None:
    notes = list(NOTE.finditer(found[1]))
    factor = factor_of(notes[0][4]) * factor_of(found[2])
    pitches = {_pitch(state, note[1], note[2], note[3]) for note in notes}
    tied = bool(found[3]) or all(note[5] for note in notes)
    _add(state, tuple(sorted(pitches)), factor, tied)


def _bar(state: _State, found: re.Match[str]) -> None:
    line = found[0]
    state.accidentals.clear()
    double = line in ("::", ":||:", ":|:", ":|]:")
    ends = double or line.startswith(":")
    begins = double or line.endswith(":")
    final = line.count("|") > 1 or "]" in line or "[" in line
    state.events.append(Bar(ends, begins, final))


def _volta(state: _State, found: re.Match[str]) -> None:
    numbers: set[int] = set()
    for part in found[1].split(","):
        low, _, high = part.partition("-")
        if low:
            numbers.update(range(int(low), int(high or low) + 1))
    if state.events and not isinstance(state.events[-1], Bar):
        state.events.append(Bar())
        state.accidentals.clear()
    state.events.append(Volta(frozenset(numbers)))


def _tuplet(state: _State, found: re.Match[str]) -> None:
    count = int(found[1])
    if not 2 <= count <= 9:
        raise CodecError(f"a tuplet of {count} notes; known are 2 to 9")
    compound = state.metre.beats % 3 == 0 and state.metre.beats > 3
    time = int(found[2]) if found[2] else _TUPLETS.get(count, 3 if compound else 2)
    state.tuplet = int(found[3]) if found[3] else count, Fraction(time, count)


def _broken_rhythm(state: _State, found: re.Match[str]) -> None:
    last = next((i for i in reversed(range(len(state.events))) if _is_sound(state.events[i])), None)
    if last is None:
        raise CodecError(f"{found[0]!r} stands before any note")
    short = Fraction(1, 2 ** len(found[0]))
    before, after = (2 - short, short) if found[0][0] == ">" else (short, 2 - short)
    sound = state.events[last]
    assert isinstance(sound, Sound)
    state.events[last] = replace(sound, length=sound.length * before)
    state.broken = after


def _is_sound(event: Event) -> bool:
    return isinstance(event, Sound)


def _inline_field(state: _State, found: re.Match[str]) -> None:
    _read_field(state, found[1], found[2])


_READERS: dict[str, Callable[[_State, re.Match[str]], None]] = {
    "note": _note,
    "chord": _chord,
    "rest": _rest,
    "bar_rest": _bar_rest,
    "bar": _bar,
    "volta": _volta,
    "tuplet": _tuplet,
    "broken_rhythm": _broken_rhythm,
    "field": _inline_field,
}
"""The function that reads each kind of token; the other kinds are not audible."""
