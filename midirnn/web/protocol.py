"""The protocol of pages: the form of each request, which is checked before it is carried out.

A page sends JSON objects, one a WebSocket message, whose ``t`` says what they are::

    {"t": "midi", "m": [144, 60, 80], "at": 12.5}    a note, a pedal, a pad or a controller
    {"t": "turn", "knob": "density", "value": 4.0}   a knob; null leaves it free
    {"t": "press", "name": "panic"}                  panic, reset, undo or whose turn it is
    {"t": "store", "preset": 1}                      store the model's state
    {"t": "load", "preset": 1}                       load it
    {"t": "model", "name": "piano-small"}            change the model
    {"t": "record", "on": true}                      begin a take, or end it
    {"t": "play_here"}                               make this page the one that plays
    {"t": "ping", "c": 1234.5}                       answered with the time of the clock

``at`` is the second of the session's clock at which a key went down, as far as the page knows.
Notes and the sustain pedal are sent on channel 1, whatever they were played on; pads, other
controllers and program changes keep their channel.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from midirnn.errors import MidirnnError
from midirnn.midievents import CONTROL_CHANGE, NOTE_OFF, NOTE_ON, PROGRAM_CHANGE, SUSTAIN

Message: TypeAlias = dict[str, Any]
"""A request of a page, or a message to a page."""

MOST_BYTES = 2048
"""A request that is longer is refused unread."""

MOST_TEXT = 256
MOST_PRESET = 999
"""Far above the number of presets; the session checks the actual limit."""

PAD_CHANNEL = 9
"""The channel of drum pads, counted from 0."""

FIRST_MODE_MESSAGE = 120
"""Control changes from this number on end notes or the like: pages send note-offs instead."""

SWITCHES = ("panic", "reset", "undo", "untune", "switch", "your_turn", "my_turn")


class RequestError(MidirnnError):
    """A page has sent something that is not a request."""


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MOST_TEXT and value.isprintable()


def _is_preset(value: object) -> bool:
    return type(value) is int and 1 <= value <= MOST_PRESET


def _is_value(value: object) -> bool:
    return value is None or isinstance(value, bool) or _is_text(value) or _is_number(value)


def is_music(message: Sequence[int]) -> bool:
    """Return True for a note or the sustain pedal: pages send both on channel 1."""
    status, first = message[:2]
    return status in (NOTE_ON, NOTE_OFF) or (status == CONTROL_CHANGE and first == SUSTAIN)


def _is_control(message: Sequence[int]) -> bool:
    """Return True for a pad or a controller, on its own channel."""
    kind, channel, first = message[0] & 0xF0, message[0] & 0x0F, message[1]
    if kind == CONTROL_CHANGE:
        return first != SUSTAIN and first < FIRST_MODE_MESSAGE
    return kind in (NOTE_ON, NOTE_OFF) and channel == PAD_CHANNEL


def _is_midi(value: object) -> bool:
    """Return True for a MIDI message that pages may send."""
    if not (isinstance(value, list) and value and all(type(byte) is int for byte in value)):
        return False
    status, *data = value
    if not (0 <= status <= 0xFF and all(0 <= byte <= 127 for byte in data)):
        return False
    if len(data) == 2:
        return is_music(value) or _is_control(value)
    return len(data) == 1 and status & 0xF0 == PROGRAM_CHANGE


Check: TypeAlias = Callable[[object], bool]

REQUESTS: dict[str, dict[str, Check]] = {
    "midi": {"m": _is_midi, "at": _is_number},
    "turn": {"knob": _is_text, "value": _is_value},
    "press": {"name": lambda value: value in SWITCHES},
    "store": {"preset": _is_preset},
    "load": {"preset": _is_preset},
    "model": {"name": _is_text},
    "record": {"on": lambda value: isinstance(value, bool)},
    "play_here": {},
    "ping": {"c": _is_number},
}
"""The fields of each request in addition to ``t``, with a check for each value."""


def read_request(text: str) -> Message:
    """Return the request in a page's message. Raises :class:`RequestError` if there is none."""
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise RequestError("a message is not JSON") from None
    if not isinstance(found, dict):
        raise RequestError("a message is no JSON object")
    kind = found.get("t")
    checks = REQUESTS.get(kind) if isinstance(kind, str) else None
    if checks is None:
        raise RequestError(f"there is no request {str(kind)[:MOST_TEXT]!r}")
    if found.keys() - {"t"} != checks.keys():
        raise RequestError(f"{kind!r} has the fields {', '.join(checks) or 'none'}")
    for name, is_allowed in checks.items():
        if not is_allowed(found[name]):
            raise RequestError(f"{name} of {kind!r} is not allowed to be {str(found[name])[:40]!r}")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def line_of(message: object) -> bytes:
    """Return a message as a line for the pipe between the two processes."""
    return json.dumps(message, separators=(",", ":"), default=_plain).encode() + b"\n"


def _plain(value: Any) -> Any:
    """Return a numpy number as a Python number."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON")
