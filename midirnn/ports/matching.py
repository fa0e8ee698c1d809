"""Finding the port that an approximate name refers to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from midirnn.errors import PortError

Direction: TypeAlias = Literal["input", "output"]
DIRECTIONS: tuple[Direction, ...] = ("input", "output")

LISTING_HINT = "List them with: midirnn ports"
DOING_WITHOUT: dict[Direction, str] = {
    "input": "Without one: --virtual, or --mode autopilot",
    "output": "Without one: --virtual, or --audio",
}

_ALSA_NUMBERS = re.compile(r"\s+\d+:\d+$")
_NUMBER = re.compile(r"[1-9]\d{0,3}")
"""The number of a port in the listing, from 1 in each direction."""

_NOT_AN_INSTRUMENT = ("midi through", "midirnn")


@dataclass(frozen=True)
class PortRow:
    """One port of this machine, as ``midirnn ports`` lists it.

    ``direction`` is midirnn's view: messages come from an ``input`` and are sent to an ``output``.
    """

    api: str
    direction: Direction
    name: str
    twin: int = 0
    """The number of ports of that name before it in the same system and direction."""


def stable_name(name: str) -> str:
    """Return the name without ALSA's ``client:port`` numbers, which change with every plug."""
    return _ALSA_NUMBERS.sub("", name)


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


def _stable(name: str) -> str:
    return stable_name(_folded(name))


_TIERS: tuple[Callable[[str, str], bool], ...] = (
    lambda query, name: query == name,
    lambda query, name: _folded(query) == _folded(name),
    lambda query, name: _stable(query) == _stable(name),
    lambda query, name: _stable(name).startswith(_stable(query)),
    lambda query, name: _stable(query) in _stable(name),
    lambda query, name: all(word in _stable(name) for word in _stable(query).split()),
)
"""Ways to match a query with a name, best first: exact, prefix, substring, all words."""


def best_matches(query: str, names: Sequence[str]) -> list[int]:
    """Return the indices of the names that match best, in order; none for a blank query."""
    if not _stable(query):
        return []
    for means in _TIERS:
        found = [index for index, name in enumerate(names) if means(query, name)]
        if found:
            return found
    return []


def choose_port(
    query: str | None,
    rows: Sequence[PortRow],
    direction: Direction,
    *,
    why_none: str = "",
) -> PortRow:
    """Return the port that the query matches; raise PortError for no match or several.

    A query that is a number is the number of a port in the listing, unless a port has this very
    name. Without a query it is the only port, not counting ALSA's through port and our own. Of
    equally good matches in two MIDI systems, the system that is listed first wins. ``why_none`` is
    part of the error when there are no ports at all.
    """
    rows = [row for row in rows if row.direction == direction]
    names = [row.name for row in rows]
    matches = [rows[index] for index in best_matches(query, names)] if query is not None else rows
    if query is not None and _NUMBER.fullmatch(query) and query not in names:
        matches = rows[int(query) - 1 : int(query)]
    if query is None:
        matches = [row for row in rows if not _folded(row.name).startswith(_NOT_AN_INSTRUMENT)]
    matches = [row for row in matches if row.api == matches[0].api]
    if not matches:
        raise PortError(_none_message(query, names, direction, why_none))
    if len({row.name for row in matches}) > 1:
        raise PortError(_several_message(query, [row.name for row in matches], direction))
    return matches[0]


def _none_message(query: str | None, names: list[str], direction: Direction, why: str) -> str:
    found = _quoted(names) or (f"none ({why})" if why else "none")
    if query is not None:
        return f"no MIDI {direction} matches {query!r}. Found: {found}. {LISTING_HINT}"
    if names:
        found = f"none but midirnn's own and loops ({found}), which are opened only by name"
    hints = f"{LISTING_HINT}. {DOING_WITHOUT[direction]}"
    return f"there is no MIDI {direction} to open. Found: {found}. {hints}"


def _several_message(query: str | None, names: list[str], direction: Direction) -> str:
    if query is None:
        return f"there are several MIDI {direction}s: {_quoted(names)}. Say which one to open"
    return (
        f"{query!r} matches several MIDI {direction}s: {_quoted(names)}. "
        "Give more of the name of one"
    )


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
