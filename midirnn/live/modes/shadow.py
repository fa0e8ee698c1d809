"""Shadow: the performer's notes, made thicker."""

from __future__ import annotations

from typing import ClassVar

from midirnn.live.base.config import LiveConfig
from midirnn.live.base.playing import NEVER, Following, Gesture, Performed, Source, Stance


class Shadow:
    """Plays while the performer's notes sound: its own notes begin and end with them.

    Notes sound while a key is down, and after that until the pedal goes up. After "my turn" or the
    foot switch the performer plays alone until "your turn" or the foot switch.
    """

    summary: ClassVar[str] = (
        "The model thickens what you play: it adds notes that begin and end with yours, and is "
        "silent when you rest."
    )
    source: ClassVar[Source] = Source.CHORD
    following: ClassVar[Following] = Following.LATEST

    def __init__(self, config: LiveConfig) -> None:
        self.config = config
        self._sounds = False
        self._pauses = False

    def hear(self, performed: Performed) -> None:
        """Keep track of whether the performer's notes sound, and whose turn it is."""
        if performed.gesture in (Gesture.YOUR_TURN, Gesture.MY_TURN):
            self._pauses = performed.gesture is Gesture.MY_TURN
        elif performed.gesture is Gesture.SWITCH:
            self._pauses = not self._pauses
        self._sounds = performed.keys_down > 0 or performed.pedal_holds

    def delay(self, seconds: float) -> None:
        """Ignore it: only a gesture ends what the model plays."""

    def stance(self, now: float) -> Stance:
        """Return the stance: listens; while the performer's notes sound it also plays."""
        return Stance.BOTH if self._sounds and not self._pauses else Stance.LISTENS

    def changes_at(self) -> float:
        """Return ``NEVER``: only a gesture changes the stance."""
        return NEVER
