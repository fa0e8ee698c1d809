"""The ledger: every note that has begun and not ended, its owner, and when it must end.

A sustain pedal that is down is entered like a note: it has an owner, and must end as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from midirnn.midievents import CONTROL_CHANGE, NOTE_OFF, SUSTAIN
from midirnn.performance import NUM_PITCHES
from midirnn.ports.base import Message

Key: TypeAlias = tuple[int, int]
"""(channel, pitch), or (channel, :data:`PEDAL`)"""

PEDAL = NUM_PITCHES
"""Stands for the sustain pedal in place of a pitch."""

MODEL = "model"
PERFORMER = "performer"
"""The players, who own the notes. The performer's notes may sound without limit."""


def is_pedal(key: Key) -> bool:
    """Return True for the sustain pedal of a channel."""
    return key[1] == PEDAL


def ending_of(key: Key) -> Message:
    """Return the message that ends a note or lifts a pedal."""
    channel, pitch = key
    if pitch == PEDAL:
        return (CONTROL_CHANGE | channel, SUSTAIN, 0)
    return (NOTE_OFF | channel, pitch, 0)


@dataclass(frozen=True)
class SoundingNote:
    """A note that has begun: its owner, and the second by which it must end."""

    key: Key
    owner: str
    latest_end: float


class Ledger:
    """The notes that sound on an output. Owns them until their note-off has been sent.

    Each owner can have a note of the same key (channel and pitch), while the output has only one:
    :attr:`on_output` holds those. A note must end by its own ``latest_end``. A note of the model
    must also end by the time last given to :meth:`extend`: while it plans, that is called again and
    again, and if it dies no note is left behind.
    """

    def __init__(self) -> None:
        self._notes: dict[tuple[Key, str], SoundingNote] = {}
        self._all_end = math.inf
        self.on_output: set[Key] = set()
        """The keys that have begun on the output and not ended there."""
        self.channels: set[int] = set()
        """The channels that a note was ever begun on."""

    def __contains__(self, key: Key) -> bool:
        return any(note.key == key for note in self._notes.values())

    def owns(self, key: Key, owner: str = MODEL) -> bool:
        """Return True if the owner has a note of that key."""
        return (key, owner) in self._notes

    def begin(self, key: Key, latest_end: float, owner: str = MODEL) -> None:
        """Enter a note. Call this before its note-on is sent."""
        self._notes[key, owner] = SoundingNote(key, owner, latest_end)
        self.on_output.add(key)
        self.channels.add(key[0])

    def end(self, key: Key, owner: str = MODEL) -> None:
        """Remove the owner's note."""
        self._notes.pop((key, owner), None)

    def forget(self, key: Key) -> None:
        """Remove all notes of that key, the performer's and the model's."""
        self.on_output.discard(key)
        for owner in (MODEL, PERFORMER):
            self.end(key, owner)

    def extend(self, until: float) -> None:
        """Let the model's notes sound until then, but none past its own latest end."""
        self._all_end = until

    @property
    def sounding(self) -> list[SoundingNote]:
        """The notes that sound and the pedals that are down, in the order in which they began."""
        return list(self._notes.values())

    @property
    def next_deadline(self) -> float:
        """The second by which the next note must end; infinite in silence."""
        return min((self._deadline(note) for note in self._notes.values()), default=math.inf)

    def overdue(self, now: float) -> list[SoundingNote]:
        """Return the notes that should have ended by now."""
        return [note for note in self._notes.values() if self._deadline(note) <= now]

    def _deadline(self, note: SoundingNote) -> float:
        if note.owner == PERFORMER:
            return note.latest_end
        return min(self._all_end, note.latest_end)
