"""The interface of a mode, which decides from gestures and the time what the model does."""

from __future__ import annotations

from typing import ClassVar, Protocol

from midirnn.live.base.config import LiveConfig
from midirnn.live.base.playing import Following, Performed, Source, Stance


class Mode(Protocol):
    """A small state machine without I/O. Times are non-decreasing seconds of the session's clock.

    ``summary`` tells a performer in one sentence what they will hear, ``source`` is where the
    model's notes come from, ``following`` the style it keeps to. ``config`` may be replaced at any
    time.
    """

    summary: ClassVar[str]
    source: ClassVar[Source]
    following: ClassVar[Following]
    config: LiveConfig

    def __init__(self, config: LiveConfig) -> None: ...

    def hear(self, performed: Performed) -> None:
        """Take note of what the performer did."""
        ...

    def delay(self, seconds: float) -> None:
        """Take note that the model, whose turn it is, begins so much later: on a beat."""
        ...

    def stance(self, now: float) -> Stance:
        """Return what the model does from now on."""
        ...

    def changes_at(self) -> float:
        """Return when the stance will change if nothing more is heard; ``NEVER`` if it will not."""
        ...
