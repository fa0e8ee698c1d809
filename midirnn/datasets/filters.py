"""Filters: which pieces a data set takes, and which of their parts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from midirnn.errors import OptionError
from midirnn.performance import Performance

PIANOS = range(8)
"""The programs of pianos in General MIDI."""

FILTERED = "is filtered out: "
"""How a filter's reason for leaving out a piece begins."""


@dataclass(frozen=True)
class PieceFilter:
    """Limits on pieces. Pieces outside them are left out, with a reason; by default none are.

    Parts are chosen first: the limits apply to a piece without the notes of other parts.
    """

    min_seconds: float = 0.0
    """Leave out pieces that are shorter."""
    max_seconds: float = math.inf
    """Leave out pieces that are longer."""
    min_notes: int = 0
    """Leave out pieces with fewer notes."""
    min_density: float = 0.0
    """Leave out pieces with fewer notes per second."""
    max_density: float = math.inf
    """Leave out pieces with more notes per second."""
    piano_only: bool = False
    """Keep only piano parts: the programs 0 to 7 of General MIDI."""
    programs: tuple[int, ...] = ()
    """Keep only the parts with these programs, 0 to 127. Can be repeated."""
    channels: tuple[int, ...] = ()
    """Keep only the parts on these channels, 1 to 16. Can be repeated."""
    without_drums: bool = False
    """Leave out pieces that have drums. Drum notes are never encoded in any case."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, tuple) and not value >= 0:
                raise OptionError(f"{field.name} is {value}; at least 0 is needed")
        for name in ("seconds", "density"):
            least, most = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if least > most:
                raise OptionError(f"min_{name} is {least:g}, above max_{name}, which is {most:g}")
        for name, lowest, highest in (("programs", 0, 127), ("channels", 1, 16)):
            for value in getattr(self, name):
                if not lowest <= value <= highest:
                    raise OptionError(f"{name} has {value}; allowed are {lowest} to {highest}")

    def parts_of(self, piece: Performance) -> Performance:
        """Return the piece with the notes of the chosen parts."""
        chosen = [
            (part.program in PIANOS or not self.piano_only)
            and (part.program in self.programs or not self.programs)
            and (part.channel + 1 in self.channels or not self.channels)
            for part in piece.parts
        ]
        return piece if all(chosen) else piece.select(np.array(chosen, bool)[piece.part])

    def reason_against(self, piece: Performance) -> str:
        """Return the reason why a piece is left out; "" if it is kept."""
        return next((FILTERED + reason for reason in self._reasons(piece)), "")

    def _reasons(self, piece: Performance) -> Iterator[str]:
        if self.without_drums and any(part.is_drum for part in piece.parts):
            yield "with drums"
        if not len(piece) and (self.piano_only or self.programs or self.channels):
            yield "no such parts"
        seconds, notes = piece.duration, len(piece)
        if seconds < self.min_seconds:
            yield f"too short ({seconds:.1f} s, below {self.min_seconds:g})"
        if seconds > self.max_seconds:
            yield f"too long ({seconds:.1f} s, above {self.max_seconds:g})"
        if notes < self.min_notes:
            yield f"too few notes ({notes}, below {self.min_notes})"
        density = notes / seconds if seconds else 0.0
        if density < self.min_density:
            yield f"too sparse ({density:.2f} notes per second, below {self.min_density:g})"
        if density > self.max_density:
            yield f"too dense ({density:.2f} notes per second, above {self.max_density:g})"
