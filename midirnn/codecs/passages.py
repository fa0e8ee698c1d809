"""Passages: pieces of text with their position in the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Passage:
    """A piece of a text file, and the line and column (from 1) at which it begins."""

    text: str
    line: int = 1
    column: int = 1

    def split(self, index: int) -> tuple[Passage, Passage]:
        """Split at a character; return the passage before it and the one from it on."""
        line, column = place_in(self.text[:index], self.line, self.column)
        first = Passage(self.text[:index], self.line, self.column)
        return first, Passage(self.text[index:], line, column)


def place_in(before: str, line: int = 1, column: int = 1) -> tuple[int, int]:
    """Return the line and column after the text ``before``, which begins at those given."""
    breaks = before.count("\n")
    if not breaks:
        return line, column + len(before)
    return line + breaks, len(before) - before.rindex("\n")


def find_tunes(text: str) -> list[Passage]:
    """Return the tunes in an ABC tune book: the blocks between empty lines that have a key.

    Each ends with an empty line. A block without a line ``K:`` is a comment or a heading.
    """
    tunes: list[Passage] = []
    lines: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line.strip():
            lines.append(line.rstrip())
            continue
        if any(header.startswith("K:") for header in lines):
            tunes.append(Passage("\n".join(lines) + "\n\n", number - len(lines)))
        lines = []
    return tunes


def cut_passages(
    passages: Sequence[Passage], ends: Sequence[float], *, whole: bool
) -> list[list[Passage]]:
    """Cut passages into parts: part k ends at the share ``ends[k]`` of their characters.

    With ``whole`` no passage is cut: it belongs to the part in which it begins.
    """
    total = sum(len(passage.text) for passage in passages)
    stops = [int(total * end + 1e-6) for end in ends]  # 0.9 may be a little less as a float
    parts: list[list[Passage]] = [[] for _ in ends]
    place = 0
    for passage in passages:
        rest = passage
        for part, stop in zip(parts, stops, strict=True):
            room = stop - place
            if not rest.text or room <= 0:
                continue
            if whole or room >= len(rest.text):
                taken, rest = rest, Passage("")
            else:
                taken, rest = rest.split(room)
            part.append(taken)
            place += len(taken.text)
    return parts
