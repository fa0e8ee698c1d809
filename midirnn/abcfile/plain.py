"""Write a tune in plain ABC notation: only the metre, the key and what is heard."""

from __future__ import annotations

import re
from fractions import Fraction

from midirnn.abcfile.header import Key, parse_length, parse_metre
from midirnn.abcfile.reading import parse_tune
from midirnn.abcfile.scanning import NOTE, factor_of, lines_of, scan
from midirnn.errors import CodecError


def plain_tune(text: str) -> str:
    """Return the first tune in a text in plain form: ``M:``, ``K:``, notes and an empty line.

    Titles, words, chord names, ornaments, slurs and marks are left out; the unit length is the
    default of the metre. Raises :class:`CodecError` for a text that is not a tune, and for a tune
    that changes its key, metre or unit length.
    """
    tune = parse_tune(text)
    fields: dict[str, str] = {}
    music: list[str] = []
    for _, name, content in lines_of(text):
        if not name:
            music.append(content)
        elif name in "MLK" and fields.setdefault(name, content.strip()) != content.strip():
            raise CodecError(f"the tune changes its field {name}:")
    metre = "none"
    if tune.metre.beats:
        metre = f"{tune.metre.beats}/{tune.metre.unit}"
    default = parse_metre(metre).default_length
    scale = parse_length(fields["L"]) / default if "L" in fields else Fraction(1)
    body = "\n".join(filter(None, (_plain_line(line, scale) for line in music)))
    return f"M:{metre}\nK:{_key_text(fields['K'], tune.key)}\n{body}\n\n"


def _key_text(text: str, key: Key) -> str:
    """Return a key as G, Bb, Em or Ddor. Raises :class:`CodecError` for any other kind of key."""
    found = re.match(r"([A-G][#b]?)\s*([A-Za-z]{0,3})", text)
    if found is None or key.altered:
        raise CodecError(f"the key {text!r} has no plain name")
    mode = found[2].lower()
    mode = {"maj": "", "ion": "", "min": "m", "aeo": "m", "exp": "", "cle": ""}.get(mode, mode)
    return found[1] + mode


def _plain_line(line: str, scale: Fraction) -> str:
    """Return the audible part of a line of notes, with lengths multiplied by ``scale``."""
    written: list[str] = []
    tied: tuple[int, str] | None = None
    """The position of a note with a tie, and the note."""
    for kind, found in scan(line):
        if kind in ("note", "chord", "rest") and tied is not None:
            _keep_tie(written, tied[0], same=kind == "note" and tied[1] == found[2] + found[3])
            tied = None
        if kind == "note":
            tied = (len(written), found[2] + found[3]) if found[5] else None
            written.append(_plain_note(found, scale))
        elif kind == "chord":
            notes = (_plain_note(note, scale) for note in NOTE.finditer(found[1]))
            written.append(f"[{''.join(notes)}]{_length_text(factor_of(found[2]))}{found[3]}")
        elif kind == "rest":
            written.append("z" + _length_text(factor_of(found[1]) * scale))
        elif kind == "volta":
            written.append(f"[{found[1]}")
        elif kind == "bar":
            written.append(_bar_text(found[0]))
        elif kind in ("tuplet", "broken_rhythm", "bar_rest"):
            written.append(found[0])
        elif kind == "space" and written and not written[-1].endswith(" "):
            written.append(" ")
        elif kind == "field":
            raise CodecError(f"the tune changes its field {found[1]}:")
    if tied is not None:
        _keep_tie(written, tied[0], same=False)
    return "".join(written).strip()


def _keep_tie(written: list[str], place: int, *, same: bool) -> None:
    """Leave out a tie to a different note, which old transcriptions use as a slur."""
    if not same:
        written[place] = written[place].rstrip("-")


def _plain_note(note: re.Match[str], scale: Fraction) -> str:
    length = _length_text(factor_of(note[4]) * scale)
    return f"{note[1] or ''}{note[2]}{note[3]}{length}{note[5]}"


def _length_text(factor: Fraction) -> str:
    number = "" if factor.numerator == 1 else str(factor.numerator)
    return number if factor.denominator == 1 else f"{number}/{factor.denominator}"


def _bar_text(line: str) -> str:
    """Return a bar line in its usual spelling."""
    if line in ("::", ":|:", ":||:", ":|]:", ":|[:"):
        return "::"
    if line.startswith(":"):
        return ":|"
    if line.endswith(":"):
        return "|:"
    return "|]" if "]" in line or "[" in line else "||" if line.count("|") > 1 else "|"
