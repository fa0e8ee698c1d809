"""Call and response: the performer's phrase, then the model's."""

from __future__ import annotations

from typing import ClassVar

from midirnn.live.config import LiveConfig
from midirnn.live.modes.base import NEVER, Gesture, Heard, Stance

SHORTEST_ANSWER_SECONDS = 2.0
"""An answer lasts so long at least, even to a single short note."""

HELD_PATIENCE = 4.0
"""While a key is down a phrase ends after so many times the silence: its note-off may be lost."""


class CallAndResponse:
    """Listens to a phrase, answers it, stops when the performer begins again.

    A phrase ends when no key is down and nothing has happened for ``silence_seconds``; a pedal
    that stays down delays nothing, and a key that stays down not for ever. An answer is as long as
    the phrase, or ``answer_seconds``. It goes on while the performer lets go of keys and pedals;
    a new key ends it.
    """

    summary: ClassVar[str] = (
        "You play a phrase; when you pause, the model answers it, and it falls silent as soon as "
        "you play again."
    )

    def __init__(self, config: LiveConfig) -> None:
        self._silence = config.silence_seconds
        self._answer = config.answer_seconds
        self._phrase_start: float | None = None
        self._last = 0.0
        self._keys_down = 0
        self._answer_end: float | None = None

    def hear(self, heard: Heard) -> None:
        """Nothing; a key begins a phrase or goes on with it, and ends an answer."""
        self._last, self._keys_down = heard.seconds, heard.keys_down
        if heard.gesture is Gesture.KEY_DOWN:
            self._answer_end = None
            if self._phrase_start is None:
                self._phrase_start = heard.seconds

    def stance(self, now: float) -> Stance:
        """Listens; during an answer it also plays."""
        if now >= self.changes_at():
            self._change(now)
        return Stance.LISTENS if self._answer_end is None else Stance.BOTH

    def changes_at(self) -> float:
        """The end of the answer, or the time at which the phrase will have ended."""
        if self._answer_end is not None:
            return self._answer_end
        if self._phrase_start is None:
            return NEVER
        return self._last + self._silence * (HELD_PATIENCE if self._keys_down else 1.0)

    def _change(self, now: float) -> None:
        """From the phrase to its answer, or from the answer to silence."""
        if self._phrase_start is None:
            self._answer_end = None
            return
        length = self._answer or max(self._last - self._phrase_start, SHORTEST_ANSWER_SECONDS)
        self._phrase_start, self._answer_end = None, now + length
