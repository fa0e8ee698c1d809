"""The ledger: every note that was begun and not yet ended, whose it is, and when it must end.

A sustain pedal that is down is entered like a note: it has an owner, and it has to end as well.
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
"""Stands for the sustain pedal where else a pitch stands."""

MODEL = "model"
PERFORMER = "performer"
"""Who plays: the owners of notes. What the performer holds may sound for as long as they like."""


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
    """A note that was begun: who plays it, and the second at which it ends at the latest."""

    key: Key
    owner: str
    latest_end: float


class Ledger:
    """The notes that sound on an output. Owns them until their note-off has been sent.

    Each owner's note of a key (channel and pitch) is counted apart, while the output has one note
    of a key at a time: :attr:`on_output` says which. A note must end by its own ``latest_end``, and
    no later than :meth:`extend` has said last: a player that plans on calls it again and again, and
    one that has died leaves no note behind.
    """

    def __init__(self) -> None:
        self._notes: dict[tuple[Key, str], SoundingNote] = {}
        self._all_end = math.inf
        self.on_output: set[Key] = set()
        """What was begun on the output and not ended there."""
        self.channels: set[int] = set()
        """The channels that a note was ever begun on."""

    def __contains__(self, key: Key) -> bool:
        return any(note.key == key for note in self._notes.values())

    def owns(self, key: Key, owner: str = MODEL) -> bool:
        """Return True if a note of that owner sounds there."""
        return (key, owner) in self._notes

    def begin(self, key: Key, latest_end: float, owner: str = MODEL) -> None:
        """Enter a note. To be called before its note-on is sent."""
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
        """Let notes sound until then, but none longer than its own latest end."""
        self._all_end = until

    @property
    def sounding(self) -> list[SoundingNote]:
        """The notes that sound and the pedals that are down, in the order of their beginnings."""
        return list(self._notes.values())

    @property
    def next_deadline(self) -> float:
        """The second at which the next note must have ended; infinite in silence."""
        return min((self._deadline(note) for note in self._notes.values()), default=math.inf)

    def overdue(self, now: float) -> list[SoundingNote]:
        """Return the notes that must have ended by now."""
        return [note for note in self._notes.values() if self._deadline(note) <= now]

    def _deadline(self, note: SoundingNote) -> float:
        if note.owner == PERFORMER:
            return note.latest_end
        return min(self._all_end, note.latest_end)
