"""MIDI ports: the protocols, the form of a message, and the filter of inputs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from midirnn.errors import PortError

Message: TypeAlias = tuple[int, ...]
"""One MIDI message as its bytes: a status byte, then its data bytes."""

Clock: TypeAlias = Callable[[], float]
"""Seconds that never run backwards, such as ``time.monotonic``."""

InputCallback: TypeAlias = Callable[[Message, float], None]
"""Called with each message and the clock time of its arrival, on the port's own thread."""

log = logging.getLogger("midirnn.ports")

_CHANNEL_LENGTHS = {0x8: 3, 0x9: 3, 0xA: 3, 0xB: 3, 0xC: 2, 0xD: 2, 0xE: 3}
_SYSTEM_LENGTHS = {0xF1: 2, 0xF2: 3, 0xF3: 2, 0xF6: 1} | dict.fromkeys(
    (0xF8, 0xFA, 0xFB, 0xFC, 0xFE, 0xFF), 1
)
LENGTHS: dict[int, int] = {
    status: _CHANNEL_LENGTHS[status >> 4] for status in range(0x80, 0xF0)
} | _SYSTEM_LENGTHS
"""Bytes of a message, its status byte included (MIDI 1.0, table 1). Sysex has no fixed length."""


class Port(Protocol):
    """An open MIDI port. Closing it twice is fine; leaving a ``with`` closes it."""

    @property
    def name(self) -> str:
        """The port's full name, as the system gives it."""
        ...

    @property
    def present(self) -> bool:
        """True while the port's device is present, as far as is known."""
        return True

    def close(self) -> None:
        """Close the port."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class InputPort(Port, Protocol):
    """A port that hands each message to the callback it was opened with."""

    @property
    def callback_error(self) -> BaseException | None:
        """The first exception that the callback raised. The port stays open all the same."""
        ...


class OutputPort(Port, Protocol):
    """A port that messages are sent to."""

    def send(self, message: Sequence[int]) -> None:
        """Send a message. Raises PortError if it is not one, the port is closed, or sending fails.

        A device that was unplugged raises nothing: the message is lost.
        """
        ...


@dataclass(frozen=True)
class Ignored:
    """Which kinds of messages an input drops before its callback.

    ``clock`` covers timing clock and MIDI time code quarter frames.
    """

    sysex: bool = True
    clock: bool = True
    active_sensing: bool = True

    def covers(self, status: int) -> bool:
        """Return True if a message that begins with this status byte is dropped."""
        return (
            (self.sysex and status == 0xF0)
            or (self.clock and status in (0xF1, 0xF8))
            or (self.active_sensing and status == 0xFE)
        )


def check_message(message: Sequence[int]) -> Message:
    """Return the message as a tuple; raise PortError if it is not one whole MIDI message."""
    whole = tuple(message)
    fault = _fault(whole)
    if fault:
        raise PortError(f"not a MIDI message: {whole}: {fault}")
    return whole


def _fault(message: Message) -> str | None:
    if not message:
        return "it is empty"
    status, data = message[0], message[1:]
    if status == 0xF0:
        if len(message) < 2 or message[-1] != 0xF7:
            return "sysex must end with 247 (0xF7)"
        data = message[1:-1]
    elif status not in LENGTHS:
        return f"{status} is not a status byte"
    elif len(message) != LENGTHS[status]:
        return f"a message with status {status} has {LENGTHS[status]} bytes, not {len(message)}"
    if data and not (min(data) >= 0 and max(data) <= 127):
        return "data bytes must be 0 to 127"
    return None


class Receiver:
    """Stamps incoming messages and hands them to a callback. Owns the callback's first error.

    An exception must not reach the MIDI library, where it would be lost: the first one is logged
    with its traceback and kept in ``error``.
    """

    def __init__(self, callback: InputCallback, clock: Clock, port_name: str) -> None:
        self.error: BaseException | None = None
        self._callback = callback
        self._clock = clock
        self._port_name = port_name
        self._open = True
        self._running_on: int | None = None

    def receive(self, message: Iterable[int]) -> None:
        """Stamp the message with the current time and hand it to the callback."""
        seconds = self._clock()
        if not self._open:
            return
        self._running_on = threading.get_ident()
        try:
            self._callback(tuple(message), seconds)
        except BaseException as error:
            self._note(error)
        finally:
            self._running_on = None

    def is_running_here(self) -> bool:
        """Return True if this thread is inside the callback."""
        return self._running_on == threading.get_ident()

    def _note(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error
            log.error(
                "the callback of MIDI input %r raised; further exceptions are not logged",
                self._port_name,
                exc_info=error,
            )

    def stop(self) -> None:
        """Drop whatever arrives from now on."""
        self._open = False
