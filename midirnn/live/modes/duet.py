"""Duet: both play all the time."""

from __future__ import annotations

from typing import ClassVar

from midirnn.live.base.config import LiveConfig
from midirnn.live.base.playing import NEVER, Following, Gesture, Performed, Source, Stance


class Duet:
    """The model comes in with the performer's first key, and from then on both play.

    It goes on whether the performer plays or rests. The foot switch or "my turn" pauses it, and the
    next key, the foot switch or "your turn" brings it in again.
    """

    summary: ClassVar[str] = (
        "The model comes in when you begin and plays along with you all the time, through your "
        "rests, too."
    )
    source: ClassVar[Source] = Source.MODEL
    following: ClassVar[Following] = Following.LATEST

    def __init__(self, config: LiveConfig) -> None:
        self.config = config
        self._plays = False

    def hear(self, performed: Performed) -> None:
        """Take note of a gesture: a key brings the model in, the foot switch does or pauses it."""
        if performed.gesture in (Gesture.KEY_DOWN, Gesture.YOUR_TURN):
            self._plays = True
        elif performed.gesture is Gesture.MY_TURN:
            self._plays = False
        elif performed.gesture is Gesture.SWITCH:
            self._plays = not self._plays

    def delay(self, seconds: float) -> None:
        """Ignore it: only a gesture ends what the model plays."""

    def stance(self, now: float) -> Stance:
        """Return the stance: listens; from the first key on it also plays."""
        return Stance.BOTH if self._plays else Stance.LISTENS

    def changes_at(self) -> float:
        """Return ``NEVER``: only a gesture changes the stance."""
        return NEVER
