"""What a page holds down: keys, pads and pedals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from midirnn.midievents import CONTROL_CHANGE, NOTE_OFF, NOTE_ON, SUSTAIN, SUSTAIN_DOWN
from midirnn.ports.base import Message

PEDALS = (SUSTAIN, 66, 67)
"""The controllers that are pedals of a piano: sustain, sostenuto and soft."""

Held: TypeAlias = tuple[int, int]
"""A key, pad or pedal: the status of the message that presses it, and its number."""


def movement(message: Sequence[int]) -> tuple[Held, bool] | None:
    """Return what a message moves, and whether it goes down; None if it moves nothing."""
    status, number, value = (*message, 0, 0)[:3]
    kind, channel = status & 0xF0, status & 0x0F
    if kind in (NOTE_ON, NOTE_OFF):
        return (NOTE_ON | channel, number), kind == NOTE_ON and value > 0
    if kind == CONTROL_CHANGE and number in PEDALS:
        return (status, number), value >= SUSTAIN_DOWN
    return None


def is_pedal(held: Held) -> bool:
    """Return True for a pedal, False for a key or pad."""
    return held[0] & 0xF0 == CONTROL_CHANGE


def release_of(held: Held) -> Message:
    """Return the message that releases a key, pad or pedal."""
    status, number = held
    return (status if is_pedal(held) else NOTE_OFF | status & 0x0F, number, 0)
