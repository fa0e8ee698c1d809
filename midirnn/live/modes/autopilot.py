"""Autopilot: the model plays on and on."""

from __future__ import annotations

from typing import ClassVar

from midirnn.live.base.config import LiveConfig
from midirnn.live.base.playing import NEVER, Following, Performed, Source, Stance


class Autopilot:
    """The model plays all the time; whatever it hears influences what it plays."""

    summary: ClassVar[str] = (
        "The model plays on its own without end, and takes up whatever you play into its music."
    )
    source: ClassVar[Source] = Source.MODEL
    following: ClassVar[Following] = Following.LOOSELY

    def __init__(self, config: LiveConfig) -> None:
        self.config = config

    def hear(self, performed: Performed) -> None:
        """Do nothing: what is heard changes what is played, not whether."""

    def stance(self, now: float) -> Stance:
        """Return the stance: always listens and plays."""
        return Stance.BOTH

    def changes_at(self) -> float:
        """Return ``NEVER``."""
        return NEVER
