"""The terms of playing together: what the performer does, and what the model does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, Flag, auto

NEVER = math.inf
"""A time that never comes."""

LAST_SOUND_SECONDS = 1.0
"""An answer starts no notes later than this before its end; a short one, in its second half."""


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
    """Sampled for several players, each told by a network what to do next."""


class Following(Enum):
    """Which style of the performer the model keeps to while it plays."""

    PHRASE = "phrase"
    """The style of the phrase before it began."""

    LATEST = "latest"
    """The style of the last seconds, also while the performer rests."""

    LOOSELY = "loosely"
    """The style of the last seconds, given up when the performer rests."""


class Gesture(Enum):
    """What the performer did. ``PEDAL`` is a movement that neither presses nor lifts the pedal."""

    KEY_DOWN = auto()
    KEY_UP = auto()
    PEDAL = auto()
    PEDAL_DOWN = auto()
    PEDAL_UP = auto()
    SWITCH = auto()
    """The foot switch: it is the other's turn."""
    YOUR_TURN = auto()
    """The performer tells the model that it is its turn."""
    MY_TURN = auto()


@dataclass(frozen=True)
class Performed:
    """A gesture of the performer, and how many keys are down after it.

    With ``pedal_holds`` a sustain pedal holds notes after it whose keys are up.
    """

    seconds: float
    gesture: Gesture
    keys_down: int
    pedal_holds: bool = False
