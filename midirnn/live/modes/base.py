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


class Source(Enum):
    """Where what the model plays comes from."""

    MODEL = "model"
    """It is drawn, one token after the other."""

    PHRASE = "phrase"
    """It is the performer's last phrase, its unlikely tokens drawn anew."""

    CHORD = "chord"
    """It is drawn to the performer's notes, begins with them and ends with them."""


class Gesture(Enum):
    """What the performer did. ``PEDAL`` is a movement that leaves the pedal up, or down."""

    KEY_DOWN = auto()
    KEY_UP = auto()
    PEDAL = auto()
    PEDAL_DOWN = auto()
    PEDAL_UP = auto()
    SWITCH = auto()


@dataclass(frozen=True)
class Performed:
    """Something that the performer did, and how many keys are down since."""

    seconds: float
    gesture: Gesture
    keys_down: int


class Mode(Protocol):
    """A small state machine without I/O. Times are seconds of the session's clock and rise.

    ``summary`` says in one sentence what a performer hears, ``source`` where it comes from while
    the model plays. ``config`` may be another from any time on.
    """

    summary: ClassVar[str]
    source: ClassVar[Source]
    config: LiveConfig

    def __init__(self, config: LiveConfig) -> None: ...

    def hear(self, performed: Performed) -> None:
        """Nothing; the mode knows what the performer did."""
        ...

    def stance(self, now: float) -> Stance:
        """What the model does from now on."""
        ...

    def changes_at(self) -> float:
        """When the stance changes if nothing more is heard; ``NEVER`` if it does not."""
        ...
