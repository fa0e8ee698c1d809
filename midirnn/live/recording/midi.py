"""A session as a performance, with performer and model on separate tracks."""

from __future__ import annotations

import numpy as np

from midirnn.live.base.channel_messages import ModeMessages
from midirnn.live.output.ledger import MODEL, PERFORMER
from midirnn.midievents import Event, Events, MidiChunks, Track
from midirnn.midifile import assemble
from midirnn.performance import Performance
from midirnn.ports.base import Message

TICKS_PER_SECOND = 1_000_000
"""Times are kept to the microsecond."""

PLAYERS = (PERFORMER, MODEL)
"""The players, in the order of their tracks."""

CHANNEL_MESSAGES = range(0x80, 0xF0)


class Recording:
    """Collects what both played. Owns the messages, in the order of their arrival."""

    def __init__(self, start_seconds: float) -> None:
        self._start = start_seconds
        self._events: dict[str, list[Event]] = {player: [] for player in PLAYERS}
        self._modes = {player: ModeMessages() for player in PLAYERS}
        self._last_tick = 0

    def add(self, player: str, message: Message, seconds: float) -> None:
        """Add a message of one of the :data:`PLAYERS`, at that time of the session's clock."""
        tick = max(0, round((seconds - self._start) * TICKS_PER_SECOND))
        self.until(seconds)
        for plain in self._modes[player].plain(message):
            if plain and plain[0] in CHANNEL_MESSAGES:
                first, second, *_ = (*plain[1:], 0, 0)
                self._events[player].append((tick, plain[0], first, second))

    def until(self, seconds: float) -> None:
        """Make the recording last at least until then."""
        tick = round((seconds - self._start) * TICKS_PER_SECOND)
        self._last_tick = max(self._last_tick, tick)

    def performance(self) -> Performance:
        """Return the notes and pedals since the start, with a part for each player and channel.

        Notes that still sound at the end last until then, and are ``unreleased``.
        """
        tracks = [
            Track(
                Events.of(sorted(events, key=lambda event: event[0])), [], player, self._last_tick
            )
            for player, events in self._events.items()
        ]
        chunks = MidiChunks(1, 0, 1.0 / TICKS_PER_SECOND, tracks)
        return assemble(chunks, shared_channels=False)


def notes_of(performance: Performance, player: str) -> int:
    """Return how many notes one of the players played."""
    parts = [index for index, part in enumerate(performance.parts) if part.name == player]
    return int(np.isin(performance.part, parts).sum())
