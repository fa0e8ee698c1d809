"""Cut ABC notation into its lines, and lines of notes into tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from midirnn.errors import CodecError

SIGNS = r"\^\^|__|[\^_=]"
LENGTH = r"\d{0,4}(?:/\d{0,4})*"
NOTE = re.compile(rf"({SIGNS})?([A-Ga-g])([,']*)({LENGTH})(-?)")
_PLAIN_NOTE = rf"(?:{SIGNS})?[A-Ga-g][,']*{LENGTH}-?"

_TOKENS = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("note", NOTE.pattern),
        ("space", r"[ \t`$\\]+"),
        ("field", r"\[([A-Za-z]):([^\]]*)\]"),
        ("chord", rf"\[((?:{_PLAIN_NOTE}[ .~uv]*)+)\]({LENGTH})(-?)"),
        ("volta", r"(?:\[ *|(?<=\|))([1-9][\d,-]*)"),
        ("bar", r"[:|\]]*\|[|\]:]*|::+|:\]|\[\|[\]:]?|\]"),
        ("rest", rf"[zx]({LENGTH})"),
        ("bar_rest", r"Z(\d{0,3})"),
        ("tuplet", r"\((\d)(?::(\d?)(?::(\d?))?)?"),
        ("broken_rhythm", r">{1,3}|<{1,3}"),
        ("ornament", r"\{[^}]*\}|\"[^\"]*\"|![^!\s]*!|\+[^+\s]*\+"),
        ("mark", rf"y{LENGTH}|[()\-.~HIJLMNOPRSTUVWuvwhijkln]"),
    )
)
"""The kinds of tokens in a line of notes; the first kind that matches is taken."""

_FIELD = re.compile(r"([A-Za-z+]):(?![|:])")


def lines_of(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the lines of the first tune: number, name of the field (empty: notes), content.

    The tune ends at an empty line after its key; comments are left out.
    """
    has_key = False
    for number, line in enumerate(text.split("\n"), 1):
        line = _without_comment(line)
        if not line.strip():
            if has_key:
                return
            continue
        found = _FIELD.match(line)
        has_key |= found is not None and found[1] == "K"
        yield number, found[1] if found else "", line[2:] if found else line


def scan(line: str) -> Iterator[tuple[str, re.Match[str]]]:
    """Yield the kind and the match of each token in a line of notes.

    Raises :class:`CodecError`, with the column, for an unknown character.
    """
    place = 0
    while place < len(line):
        matches = ((kind, pattern.match(line, place)) for kind, pattern in _TOKENS)
        token = next(((kind, found) for kind, found in matches if found and found[0]), None)
        if token is None:
            raise CodecError(f"column {place + 1}: {line[place]!r} means nothing there")
        yield token
        place = token[1].end()


def factor_of(text: str) -> Fraction:
    """Return the factor of a written note length: ``3/2``, ``2``, ``/`` or nothing."""
    number, *divisors = text.split("/")
    factor = Fraction(int(number or 1))
    for divisor in divisors:
        if divisor and not int(divisor):
            raise CodecError(f"the length {text!r} divides by 0")
        factor /= int(divisor or 2)
    if not factor:
        raise CodecError(f"the length {text!r} is 0")
    return factor


def _without_comment(line: str) -> str:
    """Return a line up to its comment, which begins with a per cent sign."""
    found = re.search(r"(?<!\\)%", line)
    return (line[: found.start()] if found else line).rstrip().rstrip("\\")
