"""Shadow: the performer's notes, made thicker."""

from __future__ import annotations

from typing import ClassVar

from midirnn.live.config import LiveConfig
from midirnn.live.modes.base import NEVER, Performed, Source, Stance


class Shadow:
    """Plays while a key is down: notes that begin with the performer's and end with them."""

    summary: ClassVar[str] = (
        "Each note you play sounds thicker by notes of the model's that begin and end with yours; "
        "when you rest, all is silent."
    )
    source: ClassVar[Source] = Source.CHORD

    def __init__(self, config: LiveConfig) -> None:
        self.config = config
        self._keys_down = 0

    def hear(self, performed: Performed) -> None:
        """Nothing; it is known how many keys are down."""
        self._keys_down = performed.keys_down

    def stance(self, now: float) -> Stance:
        """Listens; while a key is down it also plays."""
        return Stance.BOTH if self._keys_down else Stance.LISTENS

    def changes_at(self) -> float:
        """Never of itself."""
        return NEVER
