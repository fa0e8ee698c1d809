"""Watching for MIDI ports that come and go, in a process of its own.

MIDI systems do not report that a device was unplugged or that a JACK server has died: messages are
lost silently, and an existing client still sees the old ports. So the ports must be listed again
and again by new clients, which blocks all threads of the process for tens of milliseconds. A small
child process does this, and writes each listing to its parent.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from midirnn.errors import PortError
from midirnn.head_start import end
from midirnn.ports.base import log
from midirnn.ports.matching import DIRECTIONS, Direction, PortRow
from midirnn.ports.systems import (
    REFUSED,
    PortListing,
    RtMidi,
    Scan,
    SystemFailure,
    load_rtmidi,
    port_names,
    scan,
    usable_systems,
)

POLL_SECONDS = 0.6
"""Time between two listings. A port that vanishes or returns is noticed within twice that."""

RESTART_SECONDS = 1.0
"""How long after the death of a child the next one is started."""

SILENT_SECONDS = 8.0
"""A child that is silent for this long is ended, because its MIDI system is stuck."""

END_SECONDS = 2.0
"""How long a child may take to end before it is killed."""

FORGETFUL = ("jack",)
"""Systems whose clients do not notice changes of their server: each listing makes new ones."""

CLIENT_NAME = "midirnn watch"

_CHILD = "from midirnn.ports.watch import tell; tell({api!r}, {poll_seconds!r})"


@dataclass(frozen=True)
class Sight:
    """The ports that existed at a time of ``time.monotonic``, or a little later."""

    seconds: float
    listing: PortListing

    def to_line(self) -> str:
        """Return the sight as a line of JSON."""
        rows = [[row.api, row.direction, row.name] for row in self.listing.ports]
        failures = [[fault.api, fault.reason, fault.hint] for fault in self.listing.failures]
        return json.dumps({"seconds": self.seconds, "ports": rows, "failures": failures})

    @classmethod
    def from_line(cls, line: str) -> Sight:
        """Read a sight from a line of JSON."""
        fields: dict[str, Any] = json.loads(line)
        rows = tuple(PortRow(*row) for row in fields["ports"])
        failures = tuple(SystemFailure(*failure) for failure in fields["failures"])
        return cls(fields["seconds"], PortListing(rows, failures))


Look = Callable[[Sight], None]
"""Called with each listing of the ports, on a thread of the watch."""


class PortWatch:
    """Reports which ports exist. Owns the child process and the thread that reads it.

    ``api`` is the only MIDI system to watch (default: all), ``command`` the command of the child. A
    child that dies is restarted.
    """

    def __init__(
        self,
        looks: Sequence[Look],
        *,
        api: str | None = None,
        poll_seconds: float = POLL_SECONDS,
        command: Sequence[str] | None = None,
    ) -> None:
        code = _CHILD.format(api=api, poll_seconds=poll_seconds)
        self._command = list(command or (sys.executable, "-c", code))
        self._looks = list(looks)
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="midirnn port watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child and stop reporting."""
        with self._lock:
            self._closing.set()
            child = self._child
        if child is not None:
            end(child, END_SECONDS)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(END_SECONDS)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._read()
            except OSError as error:
                log.warning("MIDI ports are not watched: %s", error)
            self._closing.wait(RESTART_SECONDS)

    def _read(self) -> None:
        """Report the listings of one child until it ends."""
        with self._lock:
            if self._closing.is_set():
                return
            self._child = _start(self._command)
        with self._child as child:
            for line in _lines(child):
                if not self._closing.is_set():
                    self._tell(line)
            child.wait()
        self._child = None

    def _tell(self, line: str) -> None:
        try:
            sight = Sight.from_line(line)
            for look in self._looks:
                look(sight)
        except Exception:
            log.exception("what the port watch said was not understood")


def _start(command: list[str]) -> subprocess.Popen[str]:
    """Start a child out of reach of the terminal's Ctrl-C; it ends with its standard input."""
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )


def _lines(child: subprocess.Popen[str]) -> Iterator[str]:
    """Yield the lines of a child until it ends; end it if it is silent for too long.

    A JACK server that dies while a client is being made can leave the client waiting forever.
    """
    has_spoken = threading.Event()

    def watch() -> None:
        while has_spoken.wait(SILENT_SECONDS):
            has_spoken.clear()
        child.kill()

    threading.Thread(target=watch, name="midirnn port watchdog", daemon=True).start()
    for line in child.stdout or ():
        has_spoken.set()
        yield line


# In the child.


@dataclass
class Lister:
    """Lists the ports. Owns the clients of the systems that do not need new ones each time."""

    rtmidi: RtMidi
    api: str | None = None
    kept: dict[str, Scan] = field(default_factory=dict)

    def listing(self) -> PortListing | None:
        """Return the present ports; None if a server is too busy to answer."""
        rows: list[PortRow] = []
        failures: dict[str, SystemFailure] = {}
        for direction in DIRECTIONS:
            for found in self._scans(direction):
                rows += found.rows
                failures |= {failure.api: failure for failure in found.failures}
        if any(failure.reason == REFUSED for failure in failures.values()):
            return None
        return PortListing(tuple(rows), tuple(failures.values()))

    def _scans(self, direction: Direction) -> list[Scan]:
        systems = usable_systems(self.rtmidi, self.api)
        forgetful = [system for system in systems if system.name in FORGETFUL]
        lasting = [system for system in systems if system.name not in FORGETFUL]
        fresh = scan(self.rtmidi, forgetful, direction, CLIENT_NAME)
        fresh.close()
        if direction not in self.kept or self.kept[direction].failures:
            self._forget(direction)
            self.kept[direction] = scan(self.rtmidi, lasting, direction, CLIENT_NAME)
        kept = self.kept[direction]
        kept.rows = [
            PortRow(api, direction, name)
            for api, client in kept.clients.items()
            for name in port_names(client)
        ]
        return [kept, fresh]

    def _forget(self, direction: Direction) -> None:
        if direction in self.kept:
            self.kept.pop(direction).close()


def tell(api: str | None = None, poll_seconds: float = POLL_SECONDS) -> None:
    """Run the child: print the ports again and again, until its standard input ends."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        lister = Lister(load_rtmidi(), api)
    except PortError:
        return
    while True:
        seconds = time.monotonic()
        listing = lister.listing()
        if listing is not None:
            print(Sight(seconds, listing).to_line(), flush=True)
        time.sleep(max(0.0, seconds + poll_seconds - time.monotonic()))


def _end_with_input() -> None:
    """End this process when its standard input ends, even if its MIDI system is stuck."""
    sys.stdin.read()
    os._exit(0)
