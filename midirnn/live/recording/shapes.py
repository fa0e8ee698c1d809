"""What the records of an event log hold: checks of logs that come from elsewhere or were edited."""

from __future__ import annotations

from collections.abc import Callable

from midirnn.live.base.messages import Delivery, ModelSettings, Reply, Request
from midirnn.ports.base import LENGTHS

MOST_SECONDS = 1e12
"""No clock stands later than this."""


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < MOST_SECONDS


def is_settings(value: object) -> bool:
    """Return True for settings that a model can be started from."""
    if not isinstance(value, ModelSettings):
        return False
    return isinstance(value.model, str) and _is_time(value.start_seconds)


def _is_message(value: object) -> bool:
    """Return True for a message of the right length. What a device puts into it is its affair."""
    if not (isinstance(value, tuple) and value and all(type(byte) is int for byte in value)):
        return False
    is_whole = len(value) == LENGTHS.get(value[0], len(value))
    return is_whole and all(0 <= byte <= 0xFF for byte in value)


def _is_sent(value: object) -> bool:
    if not (isinstance(value, tuple) and len(value) == 3):
        return False
    message, due_seconds, player = value
    return _is_message(message) and _is_time(due_seconds) and isinstance(player, str)


_SHAPES: dict[str, Callable[[object], bool]] = {
    "in": _is_message,
    "out": _is_sent,
    "start": is_settings,
    "ask": lambda value: isinstance(value, Request),
    "answer": lambda value: isinstance(value, Reply),
    "tune": lambda value: isinstance(value, Delivery),
    "note": lambda value: isinstance(value, str),
}
"""What the records of each kind hold. Kinds of a newer version are not checked."""


def is_record(seconds: object, kind: str, value: object) -> bool:
    """Return True if a record of that kind can have this time and value."""
    shape = _SHAPES.get(kind)
    return _is_time(seconds) and (shape is None or shape(value))
