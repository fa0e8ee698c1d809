"""Call and response: the performer's phrase, then the model's."""

from __future__ import annotations

from typing import ClassVar

from midirnn.live.base.config import LiveConfig
from midirnn.live.base.playing import NEVER, Following, Gesture, Performed, Source, Stance

SHORTEST_ANSWER_SECONDS = 2.0
"""The shortest answer, even to a single short note."""

HELD_PATIENCE = 4.0
"""While a key is down, a phrase ends after this many times the silence, because its note-off may
have been lost."""

ENDING_GESTURES: dict[str, Gesture | None] = {
    "silence": None,
    "pedal_up": Gesture.PEDAL_UP,
    "pedal_down": Gesture.PEDAL_DOWN,
    "switch": None,
}
"""The gesture that ends a phrase, by ``phrase_end``. The foot switch always does."""


TURNS = (Gesture.SWITCH, Gesture.YOUR_TURN, Gesture.MY_TURN)
"""Gestures that set whose turn it is."""


class CallAndResponse:
    """Listens to a phrase, answers it, and stops when the performer begins again.

    A phrase ends when no key is down and nothing has happened for ``silence_seconds``. A pedal
    that stays down does not delay that; a key that stays down does, but only for a while. With
    another ``phrase_end`` only that gesture ends it, and silence does not. The foot switch ends a
    phrase at once; during an answer it ends the answer, and after one it asks for another. "Your
    turn" begins an answer, even before any phrase, and "my turn" ends it.

    An answer is as long as the phrase, or ``answer_seconds``. A phrase lasts until the last key or
    pedal moved, or if keys are still held, until it ended. An answer goes on while the performer
    releases keys and pedals; a new key ends it.
    """

    summary: ClassVar[str] = (
        "You play a phrase; when you pause, the model answers it, and it falls silent as soon as "
        "you play again."
    )
    source: ClassVar[Source] = Source.MODEL
    following: ClassVar[Following] = Following.PHRASE

    def __init__(self, config: LiveConfig) -> None:
        self.config = config
        self.answered_from: float | None = None
        """When the phrase began that is answered, or was answered last; None before any."""
        self._phrase_start: float | None = None
        self._phrase_seconds: float | None = None
        self._last = 0.0
        self._keys_down = 0
        self._answer_end: float | None = None

    def take_over(self, before: CallAndResponse) -> None:
        """Go on with the phrase of the mode before this one, which is answered in this one."""
        self.answered_from, self._phrase_start = before.answered_from, before._phrase_start
        self._phrase_seconds, self._last = before._phrase_seconds, before._last

    def hear(self, performed: Performed) -> None:
        """Take note of a gesture: a key begins or continues a phrase, and ends an answer."""
        self._keys_down = performed.keys_down
        if performed.gesture in TURNS:
            self._take_turns(performed)
            return
        self._last = performed.seconds
        if performed.gesture is Gesture.KEY_DOWN:
            self._answer_end = None
            if self._phrase_start is None:
                self._phrase_start = performed.seconds
        elif self._phrase_start is not None and performed.gesture is self._ending:
            self._begin_answer(performed.seconds)

    def delay(self, seconds: float) -> None:
        """Let the answer end so much later, since it begins so much later."""
        if self._answer_end is not None:
            self._answer_end += seconds

    def stance(self, now: float) -> Stance:
        """Return the stance: listens; during an answer it also plays."""
        if now >= self.changes_at():
            self._change(now)
        return Stance.LISTENS if self._answer_end is None else Stance.BOTH

    def changes_at(self) -> float:
        """Return the end of the answer, or the time at which the phrase will end."""
        if self._answer_end is not None:
            return self._answer_end
        if self._phrase_start is None:
            return NEVER
        if self.config.phrase_end != "silence":
            return NEVER
        return self._last + self.config.silence_seconds * (HELD_PATIENCE if self._keys_down else 1)

    @property
    def _ending(self) -> Gesture | None:
        return ENDING_GESTURES[self.config.phrase_end]

    def _change(self, now: float) -> None:
        """Change from the phrase to its answer, or from the answer to silence."""
        if self._phrase_start is None:
            self._answer_end = None
        else:
            self._begin_answer(now)

    def _take_turns(self, performed: Performed) -> None:
        """Begin an answer, or end it. Before any phrase the switch does nothing."""
        now, gesture = performed.seconds, performed.gesture
        answers = self._answer_end is not None and now < self._answer_end
        has_phrase = self._phrase_start is not None or self._phrase_seconds is not None
        if gesture is Gesture.MY_TURN or (gesture is Gesture.SWITCH and answers):
            self._answer_end = None
        elif not answers and (has_phrase or gesture is Gesture.YOUR_TURN):
            self._begin_answer(now)

    def _begin_answer(self, now: float) -> None:
        if self._phrase_start is not None:
            phrase_end = now if self._keys_down else self._last
            self._phrase_seconds = phrase_end - self._phrase_start
            self.answered_from = self._phrase_start
        equal = max(self._phrase_seconds or 0.0, SHORTEST_ANSWER_SECONDS)
        self._answer_end = now + (self.config.answer_seconds or equal)
        self._phrase_start = None
