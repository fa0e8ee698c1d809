"""What a mode is: told what was heard and what time it is, it says what the model does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, Flag, auto
from typing import ClassVar, Protocol

from midirnn.live.config import LiveConfig

NEVER = math.inf


class Stance(Flag):
    """What the model does: it listens, plays, or both."""

    LISTENS = auto()
    PLAYS = auto()
    BOTH = LISTENS | PLAYS


class Gesture(Enum):
    """What the performer did."""

    KEY_DOWN = auto()
    KEY_UP = auto()
    PEDAL = auto()


@dataclass(frozen=True)
class Heard:
    """Something that the performer did, and how many keys are down since."""

    seconds: float
    gesture: Gesture
    keys_down: int


class Mode(Protocol):
    """A small state machine without I/O. Times are seconds of the session's clock and rise.

    ``summary`` says in one sentence what a performer hears.
    """

    summary: ClassVar[str]

    def __init__(self, config: LiveConfig) -> None: ...

    def hear(self, heard: Heard) -> None:
        """Nothing; the mode knows what the performer did."""
        ...

    def stance(self, now: float) -> Stance:
        """What the model does from now on."""
        ...

    def changes_at(self) -> float:
        """When the stance changes if nothing more is heard; ``NEVER`` if it does not."""
        ...
