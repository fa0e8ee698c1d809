"""Channel messages of MIDI files, packed, and the tracks that contain them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from midirnn.arrays import IntArray

MAX_DELTA = 0x0FFFFFFF
"""The longest delta time and the longest message: four bytes of seven bits each."""

MAX_TICKS = 2**41 - 1
"""A longer track counts as damaged, because its ticks do not fit into a packed event."""

Event = tuple[int, int, int, int]
"""(tick, status, data 1, data 2) of a channel message."""


@dataclass(frozen=True)
class Events:
    """Channel messages in order, each packed into 8 bytes."""

    packed: IntArray
    """tick << 22 | status - 128 << 15 | data 1 << 7 | data 2; data 1 has 8 bits"""

    @classmethod
    def of(cls, events: Iterable[Event]) -> Events:
        """Pack some events."""
        rows = [tick << 22 | (status & 0x7F) << 15 | a << 7 | b for tick, status, a, b in events]
        return cls(np.array(rows, np.int64))

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(self, chosen: slice | npt.NDArray[np.bool_] | IntArray) -> Events:
        return Events(self.packed[chosen])

    @property
    def tick(self) -> IntArray:
        """Ticks since the start."""
        return self.packed >> 22

    @cached_property
    def status(self) -> npt.NDArray[np.uint8]:
        """The kind of message and the channel."""
        return (self.packed >> 15).astype(np.uint8) | np.uint8(0x80)

    @property
    def kind(self) -> npt.NDArray[np.uint8]:
        """The kind of message."""
        return self.status & np.uint8(0xF0)

    @property
    def channel(self) -> npt.NDArray[np.uint8]:
        """0 to 15."""
        return self.status & np.uint8(0x0F)

    @property
    def first(self) -> npt.NDArray[np.uint8]:
        """The first data byte: pitch, controller or program."""
        return (self.packed >> 7).astype(np.uint8)

    @property
    def second(self) -> npt.NDArray[np.uint8]:
        """The second data byte: velocity or value."""
        return self.packed.astype(np.uint8) & np.uint8(0x7F)


NO_EVENTS = Events(np.empty(0, np.int64))


@dataclass(frozen=True)
class Track:
    """One track chunk: channel messages in order, tempo changes, its name, its last tick."""

    events: Events = NO_EVENTS
    tempos: list[tuple[int, int]] = field(default_factory=list)
    """(tick, microseconds per quarter note)"""
    name: str = ""
    last_tick: int = 0
    signatures: tuple[tuple[int, bytes], ...] = ()
    """(tick, payload): time signatures have 4 bytes, key signatures 2."""


@dataclass(frozen=True)
class MidiChunks:
    """A parsed file: its format (0, 1 or 2), its time division and its tracks."""

    format: int
    ticks_per_quarter: int
    seconds_per_tick: float | None
    """Fixed by an SMPTE division; None if it depends on the tempo."""
    tracks: list[Track]
