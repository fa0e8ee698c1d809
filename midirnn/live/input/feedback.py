"""Feedback: messages that come back because the output is connected to the input."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from midirnn.live.base.channel_messages import is_note_on
from midirnn.midievents import CONTROL_CHANGE, NOTE_OFF, NOTE_ON
from midirnn.ports.base import Message

WITHIN_SECONDS = 0.1
"""A message that comes later than this after ours is someone's playing."""

JITTER_SECONDS = 0.02
"""The most that the delay varies over a connection. When people play, it varies more."""

IN_A_ROW = 4
"""How many notes in a row must come back before it counts as feedback."""

MEMORY = 256

FEEDBACK = (
    "the output of midirnn is connected to its input, so that it hears itself. What comes back is "
    "ignored; choose another input or output"
)

_NOTES = (NOTE_ON, NOTE_OFF)

_Key: TypeAlias = tuple[int, int]
"""(channel, pitch)"""


@dataclass(frozen=True)
class _Sent:
    """The meaning of a sent message, whatever bytes it comes back as."""

    seconds: float
    meaning: Message
    passed_on: bool
    """True if it was passed on from the performer."""


class FeedbackDetector:
    """Recognises our own notes when they come in. Owns what was sent recently.

    A note counts as ours if its pitch began, or ended, on the output a moment ago; its channel, its
    velocity and the form of a note-off may have changed on the way. A note that was passed on from
    the performer counts only if it changes nothing: a key that goes down twice, or up twice.

    Once there is feedback, :meth:`hear` returns True for each of our own messages.
    """

    def __init__(self) -> None:
        self.found = False
        self._sent: deque[_Sent] = deque(maxlen=MEMORY)
        self._down: set[_Key] = set()
        """The keys that the performer holds down."""
        self._taken_in: set[_Key] = set()
        """The keys that feedback put down before it was recognised."""
        self._in_a_row = 0
        self._delay = 0.0
        """How long the last note took to come back."""
        self._lock = threading.Lock()

    def sent(self, message: Message, seconds: float, *, passed_on: bool = False) -> None:
        """Remember a message that was sent; ``passed_on`` if it is the performer's. Thread-safe."""
        if message[0] & 0xF0 not in (*_NOTES, CONTROL_CHANGE):
            return
        with self._lock:
            # A note-off for a key that is down precedes its note-on: nobody has played it.
            key_is_down = (message[0] & 0x0F, message[1]) in self._down
            makes_way = _is_note(message) and not is_note_on(message) and key_is_down
            self._sent.append(_Sent(seconds, _meaning(message), passed_on and not makes_way))

    def hear(self, message: Message, seconds: float) -> bool:
        """Return True if a message that came in is one of ours and there is feedback."""
        if message[0] & 0xF0 not in (*_NOTES, CONTROL_CHANGE):
            return False
        with self._lock:
            if not _is_note(message):
                return self.found and self._take(message, seconds) is not None
            return self._hear_note(message, seconds)

    def take_keys(self) -> list[_Key]:
        """Return and forget the (channel, pitch) of keys that only feedback put down."""
        with self._lock:
            keys, self._taken_in = sorted(self._taken_in), set()
            return keys

    def _hear_note(self, message: Message, seconds: float) -> bool:
        key = (message[0] & 0x0F, message[1])
        sent = self._take(message, seconds)
        steady = sent is not None and abs(seconds - sent.seconds - self._delay) <= JITTER_SECONDS
        ends_a_key = key in self._down and not is_note_on(message)
        if sent is None or (self.found and ends_a_key and not steady):  # no key may hang
            self._in_a_row = 0
            (self._down.add if is_note_on(message) else self._down.discard)(key)
            self._taken_in.discard(key)
            return False
        self._in_a_row = self._in_a_row + 1 if steady else 1
        self._delay = seconds - sent.seconds
        self.found = self.found or self._in_a_row >= IN_A_ROW
        if not self.found and key not in self._down:
            (self._taken_in.add if is_note_on(message) else self._taken_in.discard)(key)
        return self.found

    def _take(self, message: Message, seconds: float) -> _Sent | None:
        """Return the recent message that has come back, and forget it: it comes only once."""
        while self._sent and self._sent[0].seconds < seconds - WITHIN_SECONDS:
            self._sent.popleft()
        meaning, repeats = _meaning(message), self._repeats(message)
        for entry in self._sent:
            is_near = abs(seconds - entry.seconds) <= WITHIN_SECONDS
            if entry.meaning == meaning and is_near and (repeats or not entry.passed_on):
                self._sent.remove(entry)
                return entry
        return None

    def _repeats(self, message: Message) -> bool:
        """Return True unless the message changes a key of the performer."""
        if not _is_note(message):
            return True
        return ((message[0] & 0x0F, message[1]) in self._down) == is_note_on(message)


def _is_note(message: Message) -> bool:
    return message[0] & 0xF0 in _NOTES


def _meaning(message: Message) -> Message:
    """Return a message's meaning, whatever its channel: a pitch on or off, or a controller."""
    if _is_note(message):
        return (NOTE_ON if is_note_on(message) else NOTE_OFF, message[1])
    return (CONTROL_CHANGE, *message[1:])
