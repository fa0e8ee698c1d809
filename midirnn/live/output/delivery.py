"""How the model's plan is played: at a clock's tempo, and with the balance applied."""

from __future__ import annotations

from dataclasses import replace

from midirnn.live.base.channel_messages import is_note_on
from midirnn.live.base.messages import PlannedEvent
from midirnn.live.timing.stretch import TimeMap


def delivered(event: PlannedEvent, time_map: TimeMap, balance: float) -> PlannedEvent:
    """Return a planned event as it is played: at its clock time and with that balance."""
    message = event.message
    if is_note_on(message):
        message = (message[0], message[1], balanced(message[2], balance))
    return replace(event, seconds=time_map.seconds(event.seconds), message=message)


def balanced(velocity: int, balance: float) -> int:
    """Return a velocity times the balance, limited to 1 to 127."""
    return min(max(round(velocity * balance), 1), 127)
