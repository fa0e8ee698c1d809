"""The vocabulary of playing together: what the performer does, and what the model does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, Flag, auto

NEVER = math.inf
"""A time that does not come."""


class Stance(Flag):
    """What the model does: it listens, plays, or both."""

    LISTENS = auto()
    PLAYS = auto()
    BOTH = LISTENS | PLAYS


class Source(Enum):
    """Where the model's notes come from."""

    MODEL = "model"
    """Sampled from the model, one token after the other."""

    PHRASE = "phrase"
    """The performer's last phrase, with its unlikely tokens sampled again."""

    CHORD = "chord"
    """Sampled to go with the performer's notes: they begin and end together."""

    ENSEMBLE = "ensemble"
    """Sampled for several players, of which a network says what each does next."""


class Following(Enum):
    """Which style of the performer the model keeps to while it plays."""

    PHRASE = "phrase"
    """That of the phrase before it began."""

    LATEST = "latest"
    """That of the last seconds, through rests too."""

    LOOSELY = "loosely"
    """That of the last seconds, which it lets go of when the performer rests."""


class Gesture(Enum):
    """What the performer did. ``PEDAL`` is a movement that neither presses nor lifts the pedal."""

    KEY_DOWN = auto()
    KEY_UP = auto()
    PEDAL = auto()
    PEDAL_DOWN = auto()
    PEDAL_UP = auto()
    SWITCH = auto()
    """The foot switch: the other one's turn."""
    YOUR_TURN = auto()
    """The performer says to the model: your turn."""
    MY_TURN = auto()


@dataclass(frozen=True)
class Performed:
    """A gesture of the performer, and how many keys are down after it."""

    seconds: float
    gesture: Gesture
    keys_down: int
