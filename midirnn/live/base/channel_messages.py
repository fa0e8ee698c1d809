"""Channel messages, system messages, and the messages that end all notes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from midirnn.midievents import (
    ALL_NOTES_OFF,
    BEND,
    CONTROL_CHANGE,
    MODE_MESSAGES,
    NOTE_OFF,
    NOTE_ON,
    PEDAL_RESETS,
    PRESSURE,
    RESET_CONTROLLERS,
    SUSTAIN,
    SYSTEM_RESET,
)
from midirnn.ports.base import Message

CHANNELS = range(16)

_RESET = (
    (1, 0),
    (11, 127),
    (65, 0),
    (66, 0),
    (67, 0),
    (98, 127),
    (99, 127),
    (100, 127),
    (101, 127),
)
"""(controller, value) after "reset all controllers", apart from the sustain pedal (RP-015)."""

_FIRST_SYSTEM_MESSAGE = 0xF0


def is_system(message: Message) -> bool:
    """Return True for a message without a channel: clock, start, stop, song position and so on."""
    return bool(message) and message[0] >= _FIRST_SYSTEM_MESSAGE


def is_reset(message: Message) -> bool:
    """Return True for a system reset, which releases every key and pedal of its sender."""
    return bool(message) and message[0] == SYSTEM_RESET


def is_controller(message: Message) -> bool:
    """Return True for a movement of a controller, such as the sustain pedal."""
    return message[0] & 0xF0 == CONTROL_CHANGE


def is_note_on(message: Message) -> bool:
    """Return True for a note-on that begins a note."""
    return len(message) == 3 and message[0] & 0xF0 == NOTE_ON and message[2] > 0


def endings(
    channels: Iterable[int] = CHANNELS, controllers: Sequence[int] = (SUSTAIN, ALL_NOTES_OFF)
) -> list[Message]:
    """Return the messages that end all notes on channels: sustain pedal up, then all notes off."""
    return [
        (CONTROL_CHANGE | channel, controller, 0)
        for channel in sorted(channels)
        for controller in controllers
    ]


class ModeMessages:
    """Translates channel mode messages. Owns which keys and pedals of the sender are down.

    "All notes off" becomes a note-off for each key that is down, "reset all controllers" a message
    for each controller, and so on. So they mean the same when heard and when recorded, and do not
    affect what others play on the same channel. A system reset does all of this on every channel.
    """

    def __init__(self) -> None:
        self._keys: dict[int, dict[int, None]] = {channel: {} for channel in CHANNELS}
        self._pedals: dict[int, int] = dict.fromkeys(CHANNELS, 0)

    def plain(self, message: Message) -> list[Message]:
        """Return what it stands for: itself, its translation, or nothing if it has no effect."""
        if is_reset(message):
            return [plain for channel in CHANNELS for plain in self._all_off(channel)]
        if not message or is_system(message):
            return [message]
        kind, channel = message[0] & 0xF0, message[0] & 0x0F
        if kind == CONTROL_CHANGE and message[1] in MODE_MESSAGES | PEDAL_RESETS:
            return self._mode(channel, message[1])
        if kind == NOTE_ON and message[2]:
            self._keys[channel][message[1]] = None
        elif kind in (NOTE_ON, NOTE_OFF):
            self._keys[channel].pop(message[1], None)
        elif kind == CONTROL_CHANGE and message[1] == SUSTAIN:
            self._pedals[channel] = message[2]
        return [message]

    def _mode(self, channel: int, controller: int) -> list[Message]:
        ends = self._note_offs(channel) if controller in MODE_MESSAGES else []
        lifts = self._pedal_up(channel) if controller in PEDAL_RESETS else []
        resets = _resets(channel) if controller == RESET_CONTROLLERS else []
        return ends + lifts + resets

    def _all_off(self, channel: int) -> list[Message]:
        return self._note_offs(channel) + self._pedal_up(channel) + _resets(channel)

    def _note_offs(self, channel: int) -> list[Message]:
        keys, self._keys[channel] = self._keys[channel], {}
        return [(NOTE_OFF | channel, pitch, 0) for pitch in keys]

    def _pedal_up(self, channel: int) -> list[Message]:
        value, self._pedals[channel] = self._pedals[channel], 0
        return [(CONTROL_CHANGE | channel, SUSTAIN, 0)] if value else []


def _resets(channel: int) -> list[Message]:
    """Return the effect of "reset all controllers", apart from lifting the sustain pedal."""
    controllers: list[Message] = [
        (CONTROL_CHANGE | channel, controller, value) for controller, value in _RESET
    ]
    return [*controllers, (PRESSURE | channel, 0), (BEND | channel, 0, 64)]
