"""The server's process, seen from the process that owns the ports."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, cast

from midirnn.errors import MidirnnError, PortError
from midirnn.head_start import command_of, end, start
from midirnn.web.protocol import Message, line_of
from midirnn.web.silence import Silence

COMMAND = command_of("midirnn.web.child")
"""The command that runs the server."""

START_SECONDS = 20.0
END_SECONDS = 2.0

HUNG_SECONDS = 5.0
"""A server that sends nothing for this long is killed and restarted."""

MOST_RESTARTS, RESTARTS_WITHIN_SECONDS = 5, 60.0


class ServerProcess:
    """Serves pages from a process of its own. Owns the process, its pipes and a thread that reads.

    ``settings`` are its port (0: any free port; with ``spare`` it may take another than the given
    one), token and so on. ``on_message`` is called with the requests of pages, in a thread. When
    the server dies, ``on_lost`` is called, the server is restarted at the same address, and
    ``on_start`` is called. Only :meth:`wait_until_listening`, :meth:`send` and :meth:`close` wait
    for the server.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        *,
        on_message: Callable[[Message], None],
        on_start: Callable[[], None],
        on_lost: Callable[[str], None],
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.port: int = settings["port"]
        self._settings = settings
        self._on_message = on_message
        self._on_start = on_start
        self._on_lost = on_lost
        self._command = list(command)
        self._closing = False
        self._changing = threading.Lock()  # guards the start of a process and the closing
        self._listening = threading.Event()
        self._sending = threading.Lock()
        self._failure = ""
        self._heard_at = time.monotonic()
        self.silence = Silence()
        """Counts how long the server has sent nothing; it sends ten messages a second."""
        self._restarts: list[float] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    @property
    def process_id(self) -> int | None:
        """The id of the process."""
        return None if self._child is None else self._child.pid

    @property
    def silent_seconds(self) -> float:
        """How long the server has sent nothing."""
        return time.monotonic() - self._heard_at

    def start(self) -> None:
        """Start the process, unless :meth:`close` was called. It listens a moment later."""
        with self._changing:
            if self._closing:
                return
            self._heard_at = time.monotonic() + START_SECONDS
            self._listening.clear()
            child = start(self._command)
            with self._sending:  # no message may come before the settings
                self._child = child
                _write(child, [{"t": "settings", **self._settings}])
            self._thread = threading.Thread(
                target=self._read, args=(child,), name="midirnn page requests", daemon=True
            )
            self._thread.start()

    def wait_until_listening(self) -> int:
        """Wait until the server listens; return the port. Raises :class:`PortError`."""
        if not self._listening.wait(START_SECONDS) or self._failure:
            raise PortError(self._failure or "the page's server did not start")
        return self.port

    def send(self, messages: Sequence[Message]) -> None:
        """Send messages for pages. Blocks while the server does not read."""
        with self._sending:
            if self._child is not None:
                _write(self._child, messages)

    def kill_if_hung(self) -> None:
        """Kill the server if it has been silent for too long, so that it is restarted."""
        if self._child is not None and self.silent_seconds > HUNG_SECONDS:
            self._child.kill()

    def _read(self, child: subprocess.Popen[bytes]) -> None:
        with io.BufferedReader(cast(io.RawIOBase, child.stdout)) as reading:
            for line in reading:
                self._heard_at = time.monotonic()
                self.silence.hear()
                with contextlib.suppress(ValueError):
                    self._take(json.loads(line))
        if child is self._child and not self._closing:
            self._end(child)
            self._replace()

    def _take(self, message: Message) -> None:
        kind = message.get("t")
        if kind == "listening":
            self.port = self._settings["port"] = message["port"]
            self._settings["spare"] = False
            self._on_start()  # before waiting callers go on, which may send more
            self._listening.set()
        elif kind == "failed":
            self._failure = message["why"]
            if self._restarts:  # otherwise the waiting caller reports it
                self._on_lost(f"{self._failure}. The page stays away, and the music goes on")
            self._listening.set()
        elif kind != "alive":
            with contextlib.suppress(MidirnnError):
                self._on_message(message)

    def _replace(self) -> None:
        """Restart the server, unless the last ones died too quickly."""
        if self._failure:
            return
        now = time.monotonic()
        self._restarts = [t for t in self._restarts if now - t < RESTARTS_WITHIN_SECONDS] + [now]
        if len(self._restarts) > MOST_RESTARTS:
            self._on_lost("the page's server keeps dying: it stays away, and the music goes on")
            return
        self._on_lost("the page's server has died: it is started again")
        self.start()

    def close(self) -> None:
        """End the process."""
        with self._changing:
            self._closing = True
        if self._child is not None:
            self._end(self._child)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(END_SECONDS)

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        """Close the input of the process, so that it ends; kill it if it does not."""
        if not self._sending.acquire(timeout=END_SECONDS):
            child.kill()  # it does not read; a pending write then fails
            self._sending.acquire()
        try:
            with contextlib.suppress(OSError):
                assert child.stdin is not None
                child.stdin.close()
        finally:
            self._sending.release()
        end(child, END_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _write(child: subprocess.Popen[bytes], messages: Sequence[Message]) -> None:
    """Write to a process's input. Ignores a dead process, which its reader thread notices."""
    assert child.stdin is not None
    with contextlib.suppress(OSError, ValueError):
        left = memoryview(line_of(messages))
        while left:
            left = left[child.stdin.write(left) :]
