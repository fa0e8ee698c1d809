"""The beat gate: delays the model until the next beat."""

from __future__ import annotations

from collections.abc import Callable

from midirnn.live.base.playing import NEVER, Stance

LEAD_SECONDS = 0.05
"""How long before the beat the model begins to plan for it."""


class BeatGate:
    """Passes stances on, but lets the model play only from the beat on. Owns that beat.

    ``next_beat`` returns the time of the beat at or after a given time. While the model waits it is
    asked again and again, since the tempo may change.
    """

    def __init__(self, next_beat: Callable[[float], float]) -> None:
        self._next_beat = next_beat
        self._beat = NEVER
        self._waited = False
        self._open = False

    @property
    def beat(self) -> float | None:
        """The beat on which the model begins; None if it need not wait."""
        return self._beat if self._waited else None

    def admit(self, stance: Stance, now: float) -> Stance:
        """Return the stance; until shortly before the beat, the model only listens."""
        if Stance.PLAYS not in stance:
            self._beat, self._open, self._waited = NEVER, False, False
        elif not self._open:
            if now < self._beat - LEAD_SECONDS:
                self._beat = self._next_beat(now)
                self._waited = self._waited or self._beat > now
            self._open = now >= self._beat - LEAD_SECONDS
        return stance if self._open else Stance.LISTENS

    def changes_at(self) -> float:
        """Return when to ask again: shortly before the awaited beat, else ``NEVER``."""
        return NEVER if self._open else self._beat - LEAD_SECONDS
