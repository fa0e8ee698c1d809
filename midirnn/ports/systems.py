"""The MIDI systems of this machine through python-rtmidi: which answer, and what ports they have.

python-rtmidi is imported inside functions: a program that opens no port does not need it.
``rtmidi.MidiIn()`` without an API raises if the first one compiled in is dead, so each is requested
by name.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from midirnn.errors import OptionError, PortError
from midirnn.files import reason_of
from midirnn.ports.base import log
from midirnn.ports.jack_semaphores import is_reachable, mapped_semaphores
from midirnn.ports.matching import DIRECTIONS, Direction, PortRow
from midirnn.ports.time_limit import CLOSE_LIMIT_SECONDS, time_limit

RtMidi: TypeAlias = Any
"""The python-rtmidi module, or one of its ``MidiIn`` and ``MidiOut``: it has no type stubs."""


@dataclass(frozen=True)
class MidiSystem:
    """A MIDI system that python-rtmidi can be compiled with."""

    name: str
    constant: str
    has_virtual_ports: bool = True
    dead: str = "it does not answer"
    hint: str = ""


SYSTEMS = (
    MidiSystem("coremidi", "API_MACOSX_CORE"),
    MidiSystem("winmm", "API_WINDOWS_MM", has_virtual_ports=False),
    MidiSystem(
        "alsa",
        "API_LINUX_ALSA",
        dead="no sequencer on this machine",
        hint="load the ALSA sequencer with: sudo modprobe snd-seq",
    ),
    MidiSystem("jack", "API_UNIX_JACK", dead="no server is running", hint="start a JACK server"),
)
"""The systems in the order in which the automatic choice tries them."""

_INITIALIZE_FAILED = re.compile(r"error creating \w+ sequencer client|server not running")
_CLIENT_REFUSED = re.compile(r"^Cannot open .* client$")
REFUSED = "the server is running but takes no client"
_ATTEMPTS = 4
_PAUSE_SECONDS = 0.1
_MISSING_LIBRARY = re.compile(r"(\S+\.so[.\d]*): cannot open shared object file")
_PACKAGES = {
    "libasound.so.2": "apt-get install libasound2 (libasound2t64 from Debian 13 and Ubuntu 24.04)"
}
_NAME_BYTES = 56
"""JACK refuses longer client names, with the message that no server runs."""

_stderr_lock = threading.RLock()


@dataclass(frozen=True)
class SystemFailure:
    """Why one MIDI system (``api``) lists no ports, and what may help."""

    api: str
    reason: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.api}: {self.reason}"


NO_VIRTUAL_PORTS = SystemFailure(
    "winmm",
    "Windows has no virtual ports",
    "install a loopback driver such as loopMIDI and open its port by name",
)


@dataclass(frozen=True)
class PortListing:
    """The ports of this machine, and the MIDI systems that do not answer."""

    ports: tuple[PortRow, ...] = ()
    failures: tuple[SystemFailure, ...] = ()

    @property
    def why(self) -> str:
        """The failures in one phrase; empty if there are none."""
        return "; ".join(str(failure) for failure in self.failures)


class DeadSystemError(Exception):
    """One MIDI system cannot be used. Never raised outside this package."""

    def __init__(self, failure: SystemFailure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def load_rtmidi() -> RtMidi:
    """Load python-rtmidi; raise PortError that says what to install if it does not load."""
    try:
        import rtmidi
    except ImportError as error:
        raise PortError(_why_not_loaded(error)) from error
    if not hasattr(rtmidi, "get_compiled_api"):
        raise PortError(
            "MIDI ports need python-rtmidi, but another package named rtmidi is installed. "
            "Replace it with: pip uninstall rtmidi; pip install --force-reinstall python-rtmidi"
        )
    return rtmidi


def _why_not_loaded(error: ImportError) -> str:
    missing = _MISSING_LIBRARY.search(str(error))
    if missing:
        library = missing[1]
        install = _PACKAGES.get(library, f"the package of your system that has {library}")
        return f"MIDI ports need {library}, which is not installed. Install it with: {install}"
    if isinstance(error, ModuleNotFoundError):
        return (
            "MIDI ports need python-rtmidi, which is not installed. "
            "Install it with: pip install python-rtmidi"
        )
    return f"python-rtmidi does not load: {reason_of(error)}"


def usable_systems(rtmidi: RtMidi, api: str | None = None) -> list[MidiSystem]:
    """Return the systems that python-rtmidi has here, or the one that ``api`` names."""
    names = [system.name for system in SYSTEMS]
    if api is not None and api.casefold() not in names:
        raise OptionError(f"unknown MIDI system {api!r}. Known: {', '.join(names)}")
    compiled = set(rtmidi.get_compiled_api())
    here = [system for system in SYSTEMS if getattr(rtmidi, system.constant) in compiled]
    wanted = [system for system in here if api is None or system.name == api.casefold()]
    if api is not None and not wanted:
        found = ", ".join(system.name for system in here) or "none"
        raise PortError(f"this python-rtmidi has no MIDI system {api!r}. It has: {found}")
    return wanted


def open_client(
    rtmidi: RtMidi, system: MidiSystem, direction: Direction, client_name: str
) -> RtMidi:
    """Make a ``MidiIn`` or ``MidiOut`` of that system; raise DeadSystemError if it is dead.

    A JACK server under load occasionally refuses a client and accepts the next, which python-rtmidi
    also reports as a server that is not running. A client that the server cannot reach is made
    again, too.
    """
    factory = rtmidi.MidiIn if direction == "input" else rtmidi.MidiOut
    number, name = getattr(rtmidi, system.constant), short_name(client_name)
    for attempt in range(_ATTEMPTS):
        time.sleep(attempt * _PAUSE_SECONDS)
        before = mapped_semaphores() if system.name == "jack" else frozenset()
        try:
            with quiet_stderr() as printed:
                client = factory(number, name=name)
        except Exception as error:
            failure = _failure(system, error, printed)
            if failure.reason != REFUSED:
                break
            continue
        last = attempt == _ATTEMPTS - 1
        if system.name != "jack" or last or is_reachable(name, before, mapped_semaphores()):
            return client
        log.debug("JACK's server cannot reach the new client %s: making it again", name)
        with quiet_stderr():
            client.delete()
    raise DeadSystemError(failure)


def _failure(system: MidiSystem, error: Exception, printed: list[str]) -> SystemFailure:
    """Return why there is no client of that system, from the exception and what JACK printed."""
    if not _INITIALIZE_FAILED.search(str(error)):
        return SystemFailure(system.name, reason_of(error))
    if any(_CLIENT_REFUSED.search(line) for line in printed):
        return SystemFailure(system.name, REFUSED)
    return SystemFailure(system.name, system.dead, system.hint)


def list_ports(api: str | None = None) -> PortListing:
    """List every MIDI port of this machine, or of one system, and why a system has none.

    Raises OptionError for an ``api`` that does not exist, and nothing else.
    """
    try:
        rtmidi = load_rtmidi()
        systems = usable_systems(rtmidi, api)
    except PortError as error:
        return PortListing(failures=(SystemFailure(api or "rtmidi", str(error)),))
    scans = [scan(rtmidi, systems, direction, "midirnn ports") for direction in DIRECTIONS]
    for found in scans:
        found.close()
    failures = {failure.api: failure for found in scans for failure in found.failures}
    rows = [row for system in systems for found in scans for row in found.rows_of(system.name)]
    return PortListing(tuple(rows), tuple(failures.values()))


@dataclass
class Scan:
    """The ports of one direction, and the clients that saw them: each can open a port it saw."""

    clients: dict[str, RtMidi]
    rows: list[PortRow]
    failures: list[SystemFailure]

    def rows_of(self, api: str) -> list[PortRow]:
        """Return the ports of one system."""
        return [row for row in self.rows if row.api == api]

    def close(self) -> None:
        """Close the clients."""
        with time_limit(CLOSE_LIMIT_SECONDS), quiet_stderr():
            while self.clients:
                self.clients.popitem()[1].delete()


def scan(rtmidi: RtMidi, systems: list[MidiSystem], direction: Direction, client_name: str) -> Scan:
    """List what each of the systems has in one direction."""
    found = Scan({}, [], [])
    for system in systems:
        try:
            client = open_client(rtmidi, system, direction, client_name)
            found.clients[system.name] = client
            found.rows += rows_of(system.name, direction, port_names(client))
        except DeadSystemError as dead:
            found.failures.append(dead.failure)
        except Exception as error:
            found.failures.append(SystemFailure(system.name, reason_of(error)))
    return found


def rows_of(api: str, direction: Direction, names: list[str]) -> list[PortRow]:
    """Return the ports of these names; ports of the same name are numbered."""
    return [
        PortRow(api, direction, name, names[:place].count(name)) for place, name in enumerate(names)
    ]


def open_port(client: RtMidi, row: PortRow) -> None:
    """Open that port with the client. Raises ValueError if it no longer exists."""
    places = [place for place, name in enumerate(port_names(client)) if name == row.name]
    if not places:
        raise ValueError(f"{row.name!r} is not there")
    client.open_port(places[min(row.twin, len(places) - 1)], name=row.direction)


def port_names(client: RtMidi) -> list[str]:
    """Return the names that a client sees; their index opens the port."""
    return [name or "" for name in client.get_ports()]


def short_name(name: str) -> str:
    """Return the name, cut to a length that every MIDI system accepts."""
    return name.encode()[:_NAME_BYTES].decode(errors="ignore")


@contextmanager
def quiet_stderr() -> Iterator[list[str]]:
    """Collect the lines that the process writes to stderr in the ``with`` block.

    They go to the debug log instead. JACK's and ALSA's libraries write directly to the file
    descriptor.
    """
    printed: list[str] = []
    with _stderr_lock, tempfile.TemporaryFile() as caught:
        if sys.stderr is not None:
            sys.stderr.flush()
        try:
            kept = os.dup(2)
        except OSError:  # a process without stderr, such as pythonw
            yield printed
            return
        os.dup2(caught.fileno(), 2)
        try:
            yield printed
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            printed += caught.read().decode(errors="replace").splitlines()
            for line in printed:
                log.debug("MIDI library: %s", line)
