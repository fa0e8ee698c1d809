"""Feedback: what was sent comes back, because the output is connected to the input."""

from __future__ import annotations

import threading
from collections import deque

from midirnn.midievents import NOTE_OFF, NOTE_ON
from midirnn.ports.base import Message

WITHIN_SECONDS = 0.1
"""What comes back later than this is someone's playing."""

IN_A_ROW = 4
"""How many notes in a row must come back before it counts as feedback."""

MEMORY = 256


class FeedbackDetector:
    """Recognises our own notes when they come in. Owns what was sent recently.

    Once there is feedback, :meth:`hear` returns True for each of our own notes.
    """

    def __init__(self) -> None:
        self.found = False
        self._sent: deque[tuple[float, Message]] = deque(maxlen=MEMORY)
        self._in_a_row = 0
        self._lock = threading.Lock()

    def sent(self, message: Message, seconds: float) -> None:
        """Remember a message that was sent. Thread-safe."""
        if message[0] & 0xF0 in (NOTE_ON, NOTE_OFF):
            with self._lock:
                self._sent.append((seconds, message))

    def hear(self, message: Message, seconds: float) -> bool:
        """Return True if a message that came in is one of ours and there is feedback."""
        if message[0] & 0xF0 not in (NOTE_ON, NOTE_OFF):
            return False
        if not self._came_back(message, seconds):
            self._in_a_row = 0
            return False
        self._in_a_row += 1
        self.found = self.found or self._in_a_row >= IN_A_ROW
        return self.found

    def _came_back(self, message: Message, seconds: float) -> bool:
        """Return True if it was sent a moment ago, and forget it: it comes back only once."""
        with self._lock:
            while self._sent and self._sent[0][0] < seconds - WITHIN_SECONDS:
                self._sent.popleft()
            for entry in self._sent:
                if entry[1] == message and abs(seconds - entry[0]) <= WITHIN_SECONDS:
                    self._sent.remove(entry)
                    return True
        return False
