"""What pages play: what each page holds down, and releasing it when the page is gone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

from midirnn.midievents import SUSTAIN
from midirnn.ports.base import Message
from midirnn.web.holding import Held, is_pedal, movement, release_of

OLDEST_SECONDS = 0.1
"""A key press that took longer than this to arrive counts as played this long ago."""

Play: TypeAlias = Callable[[str, Message, float], None]
"""Called with the page, the message and the clock time at which it counts as played."""


class Performers:
    """Passes on what pages play, with plausible times. Owns what each page holds down.

    A key, pad or sustain pedal that two pages hold ends when both have let go. Thread-safe.
    """

    def __init__(self, play: Play, clock: Callable[[], float]) -> None:
        self._play = play
        self._clock = clock
        self._held: dict[str, set[Held]] = {}
        self._last_seconds = float("-inf")
        self._lock = threading.RLock()

    @property
    def holding(self) -> bool:
        """True while a page holds a key, a pad or a pedal."""
        return any(self._held.values())

    def play(self, page: str, message: Message, seconds: float) -> None:
        """Play a message of a page, which gives the clock time at which it was played."""
        with self._lock:
            now = self._clock()
            at = min(max(seconds, now - OLDEST_SECONDS, self._last_seconds), now)
            self._last_seconds = at
            if (moved := movement(message)) is None or self._move(page, *moved):
                self._play(page, message, at)

    def leave(self, page: str) -> None:
        """Release everything that a page holds."""
        with self._lock:
            now = self._clock()
            for held in sorted(self._held.get(page, ())):
                if self._move(page, held, False):
                    self._play(page, release_of(held), now)
            self._held.pop(page, None)

    def leave_all(self) -> None:
        """Release everything that any page holds."""
        with self._lock:
            for page in list(self._held):
                self.leave(page)

    def _move(self, page: str, held: Held, is_down: bool) -> bool:
        """Note that a page presses or releases something; return True if that is to be played."""
        was_down = self._is_down(held)
        holds = self._held.setdefault(page, set())
        (holds.add if is_down else holds.discard)(held)
        if is_pedal(held):  # other pedals than sustain may be faders that turn a knob
            return held[1] != SUSTAIN or was_down != self._is_down(held)
        return is_down or was_down != self._is_down(held)

    def _is_down(self, held: Held) -> bool:
        return any(held in each for each in self._held.values())
