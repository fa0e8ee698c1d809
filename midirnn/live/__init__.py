"""Playing live: a model that listens and plays along, on time.

The way of a note: a port's thread hands it to the listener; the session, in the main thread, tells
the mode and lets the planner's model hear it; the planner draws what the model plays, ahead of
time; the scheduler, in a thread of its own, sends it when it is due, and sees to it that it ends.
"""

from __future__ import annotations

from midirnn.live.clock import Clock, ManualClock, MonotonicClock
from midirnn.live.config import LiveConfig
from midirnn.live.console import Console
from midirnn.live.modes import MODES, Mode, Stance
from midirnn.live.session import Session

__all__ = [
    "MODES",
    "Clock",
    "Console",
    "LiveConfig",
    "ManualClock",
    "Mode",
    "MonotonicClock",
    "Session",
    "Stance",
]
