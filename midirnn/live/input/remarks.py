"""Remarks about notes of the performer that the model does not hear, each made once."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from midirnn.live.base.channel_messages import is_note_on, is_system
from midirnn.parts import DRUM_CHANNEL
from midirnn.ports.base import Message

DRUMS = (
    "notes on channel 10 are drums, which the model does not hear: let the keyboard send on "
    "another channel"
)
OTHER_CHANNEL = "notes on channel {channel} are not heard: --input-channels names {channels} only"
FROZEN = "freeze is pressed: the model does not hear what you play"


class Remarks:
    """Says why a note is not heard, once for each reason. Owns the remarks made. Thread-safe."""

    def __init__(self, input_channels: Sequence[int]) -> None:
        self._channels = tuple(input_channels)
        self._said: set[str] = set()
        self._lock = threading.Lock()

    def listens_to(self, message: Message) -> bool:
        """Return True if the message is on a channel that is listened to."""
        return not self._channels or is_system(message) or _channel(message) in self._channels

    def on(self, message: Message, *, frozen: bool) -> str | None:
        """Return the remark to make about a message of the performer, if any."""
        if not frozen:
            self._said.discard(FROZEN)
        if not is_note_on(message):
            return None
        if not self.listens_to(message):
            return self._once(
                OTHER_CHANNEL.format(
                    channel=_channel(message), channels=", ".join(map(str, self._channels))
                )
            )
        if _channel(message) == DRUM_CHANNEL + 1:
            return self._once(DRUMS)
        return self._once(FROZEN) if frozen else None

    def _once(self, text: str) -> str | None:
        with self._lock:
            if text in self._said:
                return None
            self._said.add(text)
            return text


def _channel(message: Message) -> int:
    return (message[0] & 0x0F) + 1
