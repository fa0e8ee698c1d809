"""Ports that survive when their device, or the JACK server, vanishes and returns.

The rest of the program does not notice. While the device is gone, what is sent is lost; once it is
back, even under another number, it is opened again, and notes that sounded on it are ended.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

from midirnn.errors import PortError
from midirnn.midievents import (
    ALL_NOTES_OFF,
    CONTROL_CHANGE,
    NOTE_OFF,
    NOTE_ON,
    PROGRAM_CHANGE,
    SUSTAIN,
    SUSTAIN_DOWN,
)
from midirnn.ports.base import Clock, InputCallback, InputPort, Message, OutputPort, Port
from midirnn.ports.matching import Direction, PortRow, stable_name
from midirnn.ports.midi_clock import Song
from midirnn.ports.systems import PortListing
from midirnn.ports.watch import Sight

UNNOTICED_SECONDS = 3.0
"""Messages sent this shortly before the loss of a device was noticed may not have reached it."""

OPPOSITE: dict[Direction, Direction] = {"input": "output", "output": "input"}
"""The direction of our port as others see it: our output is an input for them."""

log = logging.getLogger("midirnn.ports")


class SystemPort(Port, Protocol):
    """A port of this machine."""

    @property
    def api(self) -> str:
        """The MIDI system that the port belongs to."""
        ...

    def abandon(self) -> None:
        """Leave the port open, because closing it would fail."""
        ...


class SystemInput(InputPort, SystemPort, Protocol):
    """An input of this machine."""


class SystemOutput(OutputPort, SystemPort, Protocol):
    """An output of this machine."""


P = TypeVar("P", bound=SystemPort)


def own_port_is_listed(row: PortRow, own: str) -> bool:
    """Return True if a row is our own port of that name, with any client and numbers."""
    name = stable_name(row.name)
    return name == own or name.endswith(f":{own}")


def answers(listing: PortListing, api: str) -> bool:
    """Return True if a MIDI system answers."""
    return not any(failure.api == api for failure in listing.failures)


def our_end_is_there(listing: PortListing, port: PortRow, own: str) -> bool:
    """Return True if our own end is listed (only JACK and virtual ports can lose it).

    A JACK server that was restarted between two listings has the devices, but not our end.
    """
    return answers(listing, port.api) and any(
        row.api == port.api
        and row.direction == OPPOSITE[port.direction]
        and own_port_is_listed(row, own)
        for row in listing.ports
    )


def same_device(listing: PortListing, port: PortRow) -> list[PortRow]:
    """Return the ports that may be this one: those with its name, with any numbers."""
    return [
        row
        for row in listing.ports
        if (row.api, row.direction, stable_name(row.name))
        == (port.api, port.direction, stable_name(port.name))
    ]


class _LastingPort(Port, Generic[P]):
    """The base of inputs and outputs. Owns the port, and reopens it when its device returns.

    ``reopen`` opens a port from (name, api). ``tell`` is called with a line when something happens.
    """

    direction: Direction

    def __init__(
        self,
        port: P,
        reopen: Callable[[str, str], P],
        *,
        virtual: bool = False,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._port = port
        self._reopen = reopen
        self._virtual = virtual
        self._tell = tell
        self.on_return: Callable[[], None] = lambda: None
        """Called in the watching thread when the device is back, perhaps under another name."""
        self._present = True
        self._failing = False
        self._closed = False
        self._opened_seconds = time.monotonic()
        self._lock = threading.RLock()
        self._row = PortRow(port.api, self.direction, port.name)
        self._twins: list[PortRow] = []

    @property
    def name(self) -> str:
        """The port's full name, as last reported by the system."""
        return self._row.name

    @property
    def api(self) -> str:
        """The MIDI system that the port belongs to."""
        return self._row.api

    @property
    def present(self) -> bool:
        """True while the device is present, as far as is known."""
        return self._present

    def look(self, sight: Sight) -> None:
        """Check what happened to the port, and open it again if it is back."""
        if self._closed or sight.seconds < self._opened_seconds:
            return
        if self._present and (self._failing or not self._is_there(sight.listing)):
            self._lose(sight.listing)
        elif self._present:
            same = same_device(sight.listing, self._row)
            self._twins = [row for row in same if row != self._row]
        if not self._present and (name := self._returning(sight.listing)) is not None:
            self._return(name)

    def close(self) -> None:
        """Close the port."""
        with self._lock:
            self._closed = True
            if self._present:
                self._port.close()

    def _is_there(self, listing: PortListing) -> bool:
        """Return True if both the device and our end of the port are present."""
        if (self._virtual or self._row.api == "jack") and not self._our_end_is_there(listing):
            return False
        return self._virtual or self._row in listing.ports

    def _our_end_is_there(self, listing: PortListing) -> bool:
        if self._row.api != "jack" and not self._virtual:
            return True
        own = self._row.name if self._virtual else self.direction
        return our_end_is_there(listing, self._row, own)

    def _returning(self, listing: PortListing) -> str | None:
        """Return the name under which the port can be opened again; None if it is not back."""
        if self._virtual:
            return self._row.name if answers(listing, self._row.api) else None
        found = [row.name for row in same_device(listing, self._row) if row not in self._twins]
        return self._row.name if self._row.name in found else next(iter(found), None)

    def _lose(self, listing: PortListing) -> None:
        """Close the port of a device that is gone, if that is safe."""
        with self._lock:
            if self._closed:
                return
            self._present = False
            port = self._port
        self._tell(f"{self.direction} {self.name!r} has vanished; waiting for it to return")
        self._lost()
        if self._our_end_is_there(listing):
            port.close()
        else:
            port.abandon()  # its server is gone

    def _return(self, name: str) -> None:
        try:
            port = self._reopen(name, self._row.api)
        except PortError as error:  # it has gone again, or is not ready yet
            log.info("%s", error)
            return
        with self._lock:
            if self._closed:
                port.close()
                return
            self._port = port
            try:
                self._returned()
            except PortError as error:  # it has gone again meanwhile
                port.close()
                log.info("%s", error)
                return
            self._opened_seconds = time.monotonic()
            self._row = replace(self._row, name=port.name)
            self._failing = False
            self._present = True
        self._tell(f"{self.direction} {self.name!r} is back")
        self.on_return()

    def _lost(self) -> None:
        """React to the loss of the device."""

    def _returned(self) -> None:
        """React to the return of the device, before anything is sent."""


class LastingOutput(_LastingPort[SystemOutput]):
    """An output that survives its device. Owns its known state: notes, programs, the song."""

    direction: Direction = "output"

    def __init__(
        self,
        port: SystemOutput,
        reopen: Callable[[str, str], SystemOutput],
        *,
        virtual: bool = False,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        super().__init__(port, reopen, virtual=virtual, tell=tell)
        self._sounding: dict[tuple[int, int], None] = {}
        self._ended: dict[tuple[int, int], float] = {}
        self._lost_seconds = 0.0
        self._channels: set[int] = set()
        self._programs: dict[int, int] = {}
        self._song = Song()

    def send(self, message: Sequence[int]) -> None:
        """Send the message; it is lost if the device is gone."""
        with self._lock:
            self._note(message)
            before = self._song.go_on(tuple(message))
            if not self._present:
                return
            try:
                for told in (*before, message):
                    self._port.send(told)
            except PortError as error:
                if self._closed:
                    raise
                log.warning("%s", error)
                self._failing = True

    def _note(self, message: Sequence[int]) -> None:
        kind, channel = message[0] & 0xF0, message[0] & 0x0F
        if kind == PROGRAM_CHANGE:
            self._programs[channel] = message[1]
        elif not self._present:
            return
        elif kind == NOTE_ON and message[2]:
            self._sounding[channel, message[1]] = None
            self._channels.add(channel)
        elif kind in (NOTE_ON, NOTE_OFF):
            self._sounding.pop((channel, message[1]), None)
            self._ended[channel, message[1]] = time.monotonic()
        elif kind == CONTROL_CHANGE and message[1] == SUSTAIN:
            self._channels.add(channel)

    def _lost(self) -> None:
        self._lost_seconds = time.monotonic()

    def _returned(self) -> None:
        """End the notes that sounded when the device vanished, and restore programs and song.

        The device may not have noticed the interruption, or it may have been switched off and have
        its default sound again.
        """
        unsure = self._lost_seconds - UNNOTICED_SECONDS
        ended = [key for key, seconds in self._ended.items() if seconds > unsure]
        for channel, pitch in dict.fromkeys([*self._sounding, *ended]):
            self._port.send((NOTE_OFF | channel, pitch, 0))
        for channel, program in self._programs.items():
            self._port.send((PROGRAM_CHANGE | channel, program))
        for channel in sorted(self._channels):
            self._port.send((CONTROL_CHANGE | channel, SUSTAIN, 0))
            self._port.send((CONTROL_CHANGE | channel, ALL_NOTES_OFF, 0))
        self._sounding.clear()
        self._ended.clear()
        self._song.rejoin()


class LastingInput(_LastingPort[SystemInput]):
    """An input that survives its device. Releases what is held down when the device vanishes.

    ``held`` is the :class:`HeldDown` that is the port's callback.
    """

    direction: Direction = "input"

    def __init__(
        self,
        port: SystemInput,
        reopen: Callable[[str, str], SystemInput],
        held: HeldDown,
        *,
        virtual: bool = False,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        super().__init__(port, reopen, virtual=virtual, tell=tell)
        self._held = held

    @property
    def callback_error(self) -> BaseException | None:
        """The first exception that the callback raised. The port stays open all the same."""
        return self._port.callback_error

    def _lost(self) -> None:
        self._held.let_go()


class HeldDown:
    """A callback between a port and another callback. Owns which keys and pedals are down."""

    def __init__(self, callback: InputCallback, clock: Clock = time.monotonic) -> None:
        self._callback = callback
        self._clock = clock
        self._keys: dict[tuple[int, int], None] = {}
        self._pedals: set[int] = set()

    def __call__(self, message: Message, seconds: float) -> None:
        """Pass the message on to the callback."""
        kind, channel = message[0] & 0xF0, message[0] & 0x0F
        if kind == NOTE_ON and message[2]:
            self._keys[channel, message[1]] = None
        elif kind in (NOTE_ON, NOTE_OFF):
            self._keys.pop((channel, message[1]), None)
        elif kind == CONTROL_CHANGE and message[1] == SUSTAIN:
            (self._pedals.add if message[2] >= SUSTAIN_DOWN else self._pedals.discard)(channel)
        self._callback(message, seconds)

    def let_go(self) -> None:
        """Send the callback the release of everything that is held."""
        seconds = self._clock()
        for channel, pitch in list(self._keys):
            self((NOTE_OFF | channel, pitch, 0), seconds)
        for channel in sorted(self._pedals):
            self((CONTROL_CHANGE | channel, SUSTAIN, 0), seconds)
