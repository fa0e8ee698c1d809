"""What pages play: which keys each page holds, and releasing them when it is gone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

from midirnn.midievents import CONTROL_CHANGE, NOTE_OFF, NOTE_ON, SUSTAIN, SUSTAIN_DOWN
from midirnn.ports.base import Message

OLDEST_SECONDS = 0.1
"""A key press that took longer than this to arrive counts as played this long ago."""

Play: TypeAlias = Callable[[str, Message, float], None]
"""Called with the page, the message and the clock time at which it counts as played."""


class Performers:
    """Passes on what pages play, with plausible times. Owns which page holds which keys and pedal.

    A key that two pages hold ends when both have let go. Thread-safe.
    """

    def __init__(self, play: Play, clock: Callable[[], float]) -> None:
        self._play = play
        self._clock = clock
        self._keys: dict[str, set[int]] = {}
        self._pedals: set[str] = set()
        self._last_seconds = float("-inf")
        self._lock = threading.RLock()

    @property
    def holding(self) -> bool:
        """True while a page holds a key or the pedal."""
        return bool(self._pedals) or any(self._keys.values())

    def play(self, page: str, message: Message, seconds: float) -> None:
        """Play a message of a page, which gives the clock time at which it was played."""
        with self._lock:
            now = self._clock()
            at = min(max(seconds, now - OLDEST_SECONDS, self._last_seconds), now)
            self._last_seconds = at
            status, first, second = message
            if status == CONTROL_CHANGE and first == SUSTAIN:
                self._press_pedal(page, second, at)
            elif status == NOTE_ON and second:
                self._keys.setdefault(page, set()).add(first)
                self._play(page, message, at)
            else:
                self._let_go(page, first, at)

    def leave(self, page: str) -> None:
        """Release everything that a page holds."""
        with self._lock:
            now = self._clock()
            for pitch in sorted(self._keys.get(page, ())):
                self._let_go(page, pitch, now)
            self._keys.pop(page, None)
            self._press_pedal(page, 0, now)

    def leave_all(self) -> None:
        """Release everything that any page holds."""
        with self._lock:
            for page in {*self._keys, *self._pedals}:
                self.leave(page)

    def _let_go(self, page: str, pitch: int, at: float) -> None:
        held = self._keys.get(page, set())
        if pitch not in held:
            return
        held.discard(pitch)
        if not any(pitch in keys for keys in self._keys.values()):
            self._play(page, (NOTE_OFF, pitch, 0), at)

    def _press_pedal(self, page: str, value: int, at: float) -> None:
        was_down = bool(self._pedals)
        (self._pedals.add if value >= SUSTAIN_DOWN else self._pedals.discard)(page)
        if was_down != bool(self._pedals):
            self._play(page, (CONTROL_CHANGE, SUSTAIN, value), at)
