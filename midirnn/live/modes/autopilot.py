"""Autopilot: the model plays without end."""

from __future__ import annotations

from typing import ClassVar

from midirnn.live.base.config import LiveConfig
from midirnn.live.base.playing import NEVER, Following, Gesture, Performed, Source, Stance


class Autopilot:
    """The model plays all the time; whatever it hears influences what it plays.

    "My turn" or the foot switch pauses it until "your turn" or the foot switch.
    """

    summary: ClassVar[str] = (
        "The model plays on its own without end, and takes up whatever you play into its music."
    )
    source: ClassVar[Source] = Source.MODEL
    following: ClassVar[Following] = Following.LOOSELY

    def __init__(self, config: LiveConfig) -> None:
        self.config = config
        self._plays = True

    def hear(self, performed: Performed) -> None:
        """Take note of whose turn it is; other gestures change what is played, not whether."""
        if performed.gesture in (Gesture.YOUR_TURN, Gesture.MY_TURN):
            self._plays = performed.gesture is Gesture.YOUR_TURN
        elif performed.gesture is Gesture.SWITCH:
            self._plays = not self._plays

    def delay(self, seconds: float) -> None:
        """Ignore it: only a gesture ends what the model plays."""

    def stance(self, now: float) -> Stance:
        """Return the stance: listens and plays, or only listens after "my turn"."""
        return Stance.BOTH if self._plays else Stance.LISTENS

    def changes_at(self) -> float:
        """Return ``NEVER``: only a gesture changes the stance."""
        return NEVER
