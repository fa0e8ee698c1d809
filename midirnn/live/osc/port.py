"""The OSC port: takes messages for a session over UDP, and sends out what happens in it."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Protocol, Self

from midirnn.errors import MidirnnError, MissingExtraError, OptionError, PortError
from midirnn.files import reason_of
from midirnn.live.controls.commands import Command
from midirnn.live.osc.addresses import Played, perform
from midirnn.live.osc.teller import Teller, Told
from midirnn.live.timing.stretch import TimeMap
from midirnn.live.view.session_view import SessionView
from midirnn.ports.base import Message

LOOPBACK = "127.0.0.1"

LOOK_SECONDS = 0.05
"""How often to check whether the session's state has changed."""

MOST_BYTES = 65_536
MOST_WARNINGS = 3
"""After this many refused messages no more are shown: a patch may send thousands."""

END_SECONDS = 2.0


class Served(Protocol):
    """The part of a session that OSC plays, controls and watches."""

    def receive(self, message: Message, seconds: float) -> None:
        """Take a MIDI message that arrived at that clock time."""
        ...

    def command(self, *commands: Command) -> None:
        """Queue commands."""
        ...

    def view(self) -> SessionView:
        """Return the present state."""
        ...


class OscPort(Played):
    """Listens on a UDP port for a session, and sends what happens in it to another.

    Use it in a ``with`` statement, and give :attr:`teller` to the session as an observer. It takes
    messages from :meth:`serve` on. Notes are played on ``channel`` (0 to 15). Refused messages are
    reported as ``/midirnn/error``, the first few also to ``warn``. Raises :class:`PortError` if it
    cannot listen on the port.
    """

    def __init__(
        self,
        port: int,
        *,
        host: str = LOOPBACK,
        to: str | None = None,
        channel: int = 0,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.teller = Teller()
        self.refused = 0
        self._packet_of = _packet_reader()
        self._build = _message_builder()
        self._to = address_of(to) if to else (LOOPBACK, port + 1)
        self._warn = warn
        self._channel = channel
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._session: Served | None = None
        self._socket = _listen(host, port)

    @property
    def port(self) -> int:
        """The number of the port."""
        number: int = self._socket.getsockname()[1]
        return number

    def __str__(self) -> str:
        host, port = self._socket.getsockname()[:2]
        return f"{host}:{port}, sends to {self._to[0]}:{self._to[1]}"

    def serve(self, session: Served, time_map: TimeMap) -> None:
        """Take messages for this session from now on, and send its state.

        ``time_map`` converts the times of its plans to those of its clock.
        """
        self._session = session
        self.teller.follow(time_map)
        self._threads = [
            threading.Thread(target=self._take_messages, name="midirnn osc listens", daemon=True),
            threading.Thread(target=self._tell, name="midirnn osc tells", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    # What messages do, in the listening thread.

    def receive(self, message: Message) -> None:
        """Take a MIDI message of the performer; channel 1 stands for the one listened to."""
        if message[0] < 0xF0 and message[0] & 0x0F == 0:
            message = (message[0] | self._channel, *message[1:])
        self._served.receive(message, time.monotonic())

    def command(self, *commands: Command) -> None:
        """Pass commands on to the session."""
        self._served.command(*commands)

    def tell_all(self) -> None:
        """Send the whole state."""
        self.teller.forget()

    @property
    def _served(self) -> Served:
        assert self._session is not None
        return self._session

    def _take_messages(self) -> None:
        while not self._over.is_set():
            try:
                data = self._socket.recv(MOST_BYTES)
            except TimeoutError:
                continue
            except OSError:  # nobody listens where our packets go
                continue
            for path, arguments in self._read(data):
                try:
                    perform(self, path, arguments)
                except MidirnnError as error:
                    self._refuse(f"{path}: {error}")

    def _read(self, data: bytes) -> Iterable[Told]:
        """Return the messages in a packet. The times of bundles are ignored."""
        try:
            found = self._packet_of(data).messages
            return [(each.message.address, tuple(each.message.params)) for each in found]
        except (Exception, RecursionError) as error:  # for any bytes at all
            self._refuse(f"a packet of {len(data)} bytes is no OSC: {reason_of(error)}")
            return []

    def _refuse(self, why: str) -> None:
        self.refused += 1
        self.teller.put("error", why[:200])
        if self.refused <= MOST_WARNINGS:
            more = "; further ones are not shown" if self.refused == MOST_WARNINGS else ""
            self._warn(f"OSC: {why[:200]}{more}")

    # What is sent.

    def _tell(self) -> None:
        while not self._over.is_set():
            self.teller.tell_state(self._served.view(), time.monotonic())
            self._send(self.teller.take(LOOK_SECONDS))
        self._send(self.teller.take(0.0))  # the ends of the last notes

    def _send(self, messages: Iterable[Told]) -> None:
        for path, arguments in messages:
            with contextlib.suppress(OSError):  # nobody listens, or the network is gone
                self._socket.sendto(self._build(path, list(arguments)).dgram, self._to)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.teller.put("drop")  # nothing of what was planned will come
        self._over.set()
        for thread in self._threads:
            thread.join(END_SECONDS)
        self._socket.close()


def address_of(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``. Raises :class:`OptionError` if it is invalid."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65_535:
        raise OptionError(f"{text!r} is no address such as 127.0.0.1:9001")
    try:
        found = socket.getaddrinfo(host, int(port), socket.AF_INET, socket.SOCK_DGRAM)
    except OSError as error:
        raise OptionError(f"there is no host {host!r}: {reason_of(error)}") from None
    return str(found[0][4][0]), int(port)


def _listen(host: str, port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.settimeout(LOOK_SECONDS)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        why = f"cannot listen for OSC at {host}:{port}: {reason_of(error)}"
        raise PortError(f"{why}. Choose another port with --osc") from None
    return found


def _packet_reader() -> Callable[[bytes], Any]:
    """Return the class that parses packets. Raises :class:`MissingExtraError`."""
    try:
        from pythonosc.osc_packet import OscPacket
    except ImportError:
        raise MissingExtraError("python-osc", "osc", "--osc") from None
    logging.getLogger().addFilter(_not_of_python_osc)
    return OscPacket


def _message_builder() -> Callable[[str, list[Any]], Any]:
    from pythonosc.osc_message_builder import build_msg

    return build_msg


def _not_of_python_osc(record: logging.LogRecord) -> bool:
    """Keep python-osc from logging each invalid argument, which is refused anyway."""
    return "pythonosc" not in record.pathname
