"""Channel messages, system messages, and the messages that end all notes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from midirnn.midievents import CONTROL_CHANGE, SUSTAIN
from midirnn.ports.base import Message

ALL_SOUND_OFF, ALL_NOTES_OFF = 120, 123
CHANNELS = range(16)

_FIRST_SYSTEM_MESSAGE = 0xF0


def is_system(message: Message) -> bool:
    """Return True for a message without a channel: clock, start, stop, song position and so on."""
    return bool(message) and message[0] >= _FIRST_SYSTEM_MESSAGE


def endings(
    channels: Iterable[int] = CHANNELS, controllers: Sequence[int] = (SUSTAIN, ALL_NOTES_OFF)
) -> list[Message]:
    """Return the messages that end all notes on channels: sustain pedal up, then all notes off."""
    return [
        (CONTROL_CHANGE | channel, controller, 0)
        for channel in sorted(channels)
        for controller in controllers
    ]
