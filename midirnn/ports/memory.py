"""Ports in memory, for tests: feed an input by hand, and read what was sent to an output."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from midirnn.errors import PortError
from midirnn.ports.base import (
    Clock,
    Ignored,
    InputCallback,
    Message,
    Port,
    check_message,
)


class _MemoryPort(Port):
    """The base of both directions: a name, and whether the port is open and plugged in."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.closed = False
        self.plugged = True

    @property
    def name(self) -> str:
        """The name that the port was made with."""
        return self._name

    @property
    def present(self) -> bool:
        """True while the port is plugged in."""
        return self.plugged

    def vanish(self) -> None:
        """Lose messages without an error from now on, as with a pulled cable."""
        self.plugged = False

    def restore(self) -> None:
        """Work again after ``vanish`` or ``fail``."""
        self.plugged = True

    def close(self) -> None:
        """Close the port."""
        self.closed = True


class MemoryInput(_MemoryPort):
    """An input that receives the messages given to ``feed``."""

    def __init__(
        self,
        callback: InputCallback,
        *,
        clock: Clock = time.monotonic,
        ignored: Ignored | None = None,
        name: str = "memory in",
    ) -> None:
        super().__init__(name)
        self.callback_error: BaseException | None = None
        self._callback = callback
        self._clock = clock
        self._ignored = ignored or Ignored()

    def feed(self, message: Sequence[int], time: float | None = None) -> None:
        """Hand a message to the callback, stamped with ``time`` or the clock.

        A closed or vanished port receives nothing. An exception of the callback is kept in
        ``callback_error`` as on a real port, and also raised here.
        """
        whole = check_message(message)
        seconds = self._clock() if time is None else time
        if self.closed or not self.plugged or self._ignored.covers(whole[0]):
            return
        try:
            self._callback(whole, seconds)
        except BaseException as error:
            self.callback_error = self.callback_error or error
            raise


class MemoryOutput(_MemoryPort):
    """An output that records messages and their times in ``sent``."""

    def __init__(
        self,
        *,
        clock: Clock = time.monotonic,
        name: str = "memory out",
        on_send: Callable[[Message, float], None] | None = None,
    ) -> None:
        super().__init__(name)
        self.sent: list[tuple[float, Message]] = []
        self._clock = clock
        self._on_send = on_send
        self.failure: str | None = None
        """The reason of the failure; None while messages are accepted."""

    @property
    def messages(self) -> list[Message]:
        """The messages that were sent, in order, without their times."""
        return [message for _, message in self.sent]

    def fail(self, reason: str = "the device does not answer") -> None:
        """Make ``send`` raise PortError from now on."""
        self.failure = reason

    def restore(self) -> None:
        """Work again after ``vanish`` or ``fail``."""
        super().restore()
        self.failure = None

    def send(self, message: Sequence[int]) -> None:
        """Add the message to ``sent``, unless the port has vanished."""
        whole = check_message(message)
        if self.closed:
            raise PortError(f"MIDI output {self.name!r} is closed")
        if self.failure:
            raise PortError(f"cannot send to MIDI output {self.name!r}: {self.failure}")
        if not self.plugged:
            return
        seconds = self._clock()
        self.sent.append((seconds, whole))
        if self._on_send:
            self._on_send(whole, seconds)


def loopback_pair(
    callback: InputCallback,
    *,
    clock: Clock = time.monotonic,
    ignored: Ignored | None = None,
    name: str = "loopback",
) -> tuple[MemoryOutput, MemoryInput]:
    """Return an output and an input: what is sent to the output arrives at the input at once."""
    heard = MemoryInput(callback, clock=clock, ignored=ignored, name=f"{name} in")
    return MemoryOutput(clock=clock, name=f"{name} out", on_send=heard.feed), heard
