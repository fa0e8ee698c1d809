"""The ledger: every note that was begun and not yet ended, whose it is, and when it must end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

Key: TypeAlias = tuple[int, int]
"""(channel, pitch)"""

MODEL = "model"


@dataclass(frozen=True)
class SoundingNote:
    """A note that was begun: who plays it, and the second at which it ends at the latest."""

    key: Key
    owner: str
    latest_end: float


class Ledger:
    """The notes that sound on an output. Owns them until their note-off has been sent.

    A note must end by its own ``latest_end``, and no later than :meth:`extend` has said last: a
    player who plans on says so again and again, and one who has died leaves no note behind.
    """

    def __init__(self) -> None:
        self._notes: dict[Key, SoundingNote] = {}
        self._all_end = math.inf
        self.channels: set[int] = set()
        """The channels that a note was ever begun on."""

    def __contains__(self, key: Key) -> bool:
        return key in self._notes

    def begin(self, key: Key, latest_end: float, owner: str = MODEL) -> None:
        """Nothing; the note is in the ledger. To be called before its note-on is sent."""
        self._notes[key] = SoundingNote(key, owner, latest_end)
        self.channels.add(key[0])

    def end(self, key: Key) -> None:
        """Nothing; the note is out of the ledger. To be called when its note-off was sent."""
        self._notes.pop(key, None)

    def extend(self, until: float) -> None:
        """Nothing; all notes may sound until then, but none longer than its own latest end."""
        self._all_end = until

    @property
    def sounding(self) -> list[SoundingNote]:
        """The notes that sound, in the order in which they were begun."""
        return list(self._notes.values())

    @property
    def next_deadline(self) -> float:
        """The second at which the next note must have ended; infinite in silence."""
        if not self._notes:
            return math.inf
        return min(self._all_end, *(note.latest_end for note in self._notes.values()))

    def overdue(self, now: float) -> list[Key]:
        """The notes that must have ended by now."""
        if self._all_end <= now:
            return list(self._notes)
        return [note.key for note in self._notes.values() if note.latest_end <= now]
