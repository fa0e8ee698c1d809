"""MIDI ports of the machine, through python-rtmidi.

This module adds what the library lacks: exceptions in callbacks are kept, messages are stamped when
they arrive, open ports are not garbage-collected, and a port is closed only once, because
python-rtmidi crashes on the second time.

python-rtmidi holds Python's global lock while it closes a port. A message that waits for the lock
then would wait forever, so closing an input first removes the callback and lets such a message
through. If the MIDI system itself is stuck (a JACK server that was stopped, say), ``close`` blocks,
and the process with it. This wait has a limit, after which the process ends: a stuck instrument can
be started again.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from midirnn.errors import PortError
from midirnn.ports.base import (
    Clock,
    Ignored,
    InputCallback,
    Port,
    Receiver,
    check_message,
    log,
)
from midirnn.ports.matching import LISTING_HINT, Direction, PortRow, choose_port
from midirnn.ports.systems import (
    NO_VIRTUAL_PORTS,
    DeadSystemError,
    RtMidi,
    load_rtmidi,
    open_client,
    open_port,
    quiet_stderr,
    scan,
    short_name,
    usable_systems,
)
from midirnn.ports.time_limit import CLOSE_LIMIT_SECONDS, time_limit

CLIENT_NAME = "midirnn"
EXIT_LIMIT_SECONDS = 2.0
"""How long the process waits for ports to close at exit, before it ends anyway."""

_LET_THROUGH_SECONDS = 0.05
"""Long enough for a waiting message to get Python's lock despite several busy threads."""

_open_ports: set[_RtMidiPort] = set()


@dataclass(frozen=True)
class _Found:
    """A port and the client that will open it."""

    client: RtMidi
    row: PortRow
    virtual: bool

    @property
    def name(self) -> str:
        """The port's full name."""
        return self.row.name


class _RtMidiPort(Port):
    """The base of both directions. Owns one client of python-rtmidi and closes it once."""

    def __init__(self, found: _Found) -> None:
        self._client = found.client
        self._name = found.row.name
        self._api = found.row.api
        self._closed = False
        self._lock = threading.RLock()
        self._process_id = os.getpid()
        _open_ports.add(self)  # or it would be collected, and closed, with its last reference

    @property
    def name(self) -> str:
        """The port's full name, as the system gives it."""
        return self._name

    @property
    def api(self) -> str:
        """The MIDI system that the port belongs to, such as ``alsa``."""
        return self._api

    @property
    def closed(self) -> bool:
        """True once ``close`` was called."""
        return self._closed

    def close(self) -> None:
        """Close the port once everything that was sent has gone out."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        _open_ports.discard(self)
        if os.getpid() == self._process_id:  # a fork must not close its parent's port
            self._shut()

    def abandon(self) -> None:
        """Treat the port as closed, but leave the client open until the process ends.

        Closing a client of a dead JACK server takes a second, during which no thread runs, and may
        crash the process.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        _open_ports.discard(self)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._client))  # it is never collected

    def _shut(self) -> None:
        try:
            with time_limit(CLOSE_LIMIT_SECONDS), quiet_stderr():
                self._client.close_port()
                self._client.delete()
        except Exception as error:
            log.warning("closing MIDI port %r failed: %s", self._name, error)


class RtMidiInput(_RtMidiPort):
    """An open MIDI input; see ``open_input``."""

    def __init__(self, found: _Found, receiver: Receiver) -> None:
        super().__init__(found)
        self._receiver = receiver
        # A message in progress still uses objects that python-rtmidi drops with the callback.
        self._in_use_by_rtmidi = gc.get_referents(found.client)

    @property
    def callback_error(self) -> BaseException | None:
        """The first exception that the callback raised. The port stays open all the same."""
        return self._receiver.error

    def _shut(self) -> None:
        self._receiver.stop()
        if self._receiver.is_running_here():  # it cannot wait for itself
            threading.Thread(target=self._shut_input, name="close MIDI input").start()
        else:
            self._shut_input()

    def _shut_input(self) -> None:
        self._client.cancel_callback()
        time.sleep(_LET_THROUGH_SECONDS)
        super()._shut()


class RtMidiOutput(_RtMidiPort):
    """An open MIDI output; see ``open_output``. Send from one thread at a time."""

    def send(self, message: Sequence[int]) -> None:
        """Send a message. Raises PortError if it is not one, the port is closed, or sending fails.

        A device that was unplugged raises nothing: the message is lost.
        """
        whole = check_message(message)
        with self._lock:
            if self._closed:
                raise PortError(f"MIDI output {self._name!r} is closed")
            try:
                self._client.send_message(whole)
            except Exception as error:
                raise PortError(f"cannot send to MIDI output {self._name!r}: {error}") from error


def open_input(
    name: str | None,
    callback: InputCallback,
    *,
    virtual: bool = False,
    api: str | None = None,
    clock: Clock = time.monotonic,
    ignored: Ignored | None = None,
    client_name: str = CLIENT_NAME,
) -> RtMidiInput:
    """Open an input that hands each message to the callback, stamped with ``clock``.

    ``name`` may be approximate; without one, the only port is opened. With ``virtual``, a port of
    our own is created under that name, for others to connect to. ``api`` is one of ``alsa``,
    ``jack``, ``coremidi`` and ``winmm``; the default is the first that answers and has the port.
    The callback runs on the MIDI system's thread: it should queue the message and return. Raises
    PortError if the port cannot be opened.
    """
    drop = ignored or Ignored()
    found = _find("input", name, virtual, api, client_name)
    receiver = Receiver(callback, clock, found.name)
    found.client.ignore_types(drop.sysex, drop.clock, drop.active_sensing)
    found.client.set_callback(lambda event, _: receiver.receive(event[0]))
    _connect(found)
    return RtMidiInput(found, receiver)


def open_output(
    name: str | None,
    *,
    virtual: bool = False,
    api: str | None = None,
    client_name: str = CLIENT_NAME,
) -> RtMidiOutput:
    """Open an output; ``name``, ``virtual`` and ``api`` are as in ``open_input``."""
    found = _find("output", name, virtual, api, client_name)
    _connect(found)
    return RtMidiOutput(found)


def _find(
    direction: Direction, name: str | None, virtual: bool, api: str | None, client_name: str
) -> _Found:
    """Find the requested port and a client that can open it; raise PortError if there is none."""
    rtmidi = load_rtmidi()
    if virtual:
        return _find_virtual(rtmidi, direction, name, api, client_name)
    scanned = scan(rtmidi, usable_systems(rtmidi, api), direction, client_name)
    try:
        why_none = "; ".join(str(failure) for failure in scanned.failures)
        row = choose_port(name, scanned.rows, direction, why_none=why_none)
        return _Found(scanned.clients.pop(row.api), row, virtual=False)
    finally:
        scanned.close()


def _find_virtual(
    rtmidi: RtMidi, direction: Direction, name: str | None, api: str | None, client_name: str
) -> _Found:
    """Find the first system that answers and supports virtual ports."""
    own_name = short_name(name or f"midirnn {direction.removesuffix('put')}")
    failures = []
    for system in usable_systems(rtmidi, api):
        if not system.has_virtual_ports:
            failures.append(NO_VIRTUAL_PORTS)
            continue
        try:
            client = open_client(rtmidi, system, direction, client_name)
        except DeadSystemError as dead:
            failures.append(dead.failure)
        else:
            return _Found(client, PortRow(system.name, direction, own_name), virtual=True)
    reasons = "; ".join(str(failure) for failure in failures) or "no MIDI system is compiled in"
    hints = ", or ".join(failure.hint for failure in failures if failure.hint)
    advice = f" To have one, {hints}" if hints else ""
    raise PortError(f"cannot open a virtual MIDI {direction} {own_name!r} ({reasons}).{advice}")


def _connect(found: _Found) -> None:
    """Open the port. If that fails, closes the client and raises PortError."""
    client, row = found.client, found.row
    try:
        with quiet_stderr():
            if found.virtual:
                client.open_virtual_port(row.name)
            else:
                open_port(client, row)
    except Exception as error:
        with quiet_stderr():
            client.delete()
        reason = "it has just vanished" if isinstance(error, ValueError) else error
        raise PortError(
            f"cannot open MIDI {row.direction} {row.name!r}: {reason}. {LISTING_HINT}"
        ) from error


def _close_all() -> None:
    """Close every port of this process at exit."""
    mine = [port for port in _open_ports if port._process_id == os.getpid()]
    if not mine:
        return
    with time_limit(EXIT_LIMIT_SECONDS, quiet=True):
        for port in mine:
            port.close()


atexit.register(_close_all)  # once, so that handlers registered later still find the ports open
