"""A private JACK server, so that real MIDI ports can be tested on a machine without hardware."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from midirnn.ports import list_ports

START_LIMIT_SECONDS = 8.0
STOP_LIMIT_SECONDS = 5.0
NAME = "midirnn-test"
"""Of all servers, since JACK gives the place of one that was killed only to one of its name."""

TURN_LIMIT_SECONDS, TURN_POLL_SECONDS = 600.0, 0.05


def jack_is_installed() -> bool:
    """Whether there is a JACK server to start."""
    return shutil.which("jackd") is not None


class JackServer:
    """A running JACK server, for as long as the ``with`` lasts.

    Meanwhile this process and the processes it starts use that server. It has
    real-time priority where that is permitted, and a dummy sound card.

    It waits until no other is running: JACK's clients and servers find one another by a socket that
    has the name of the client, but not of the server, so that two servers now and then take each
    other's clients. Such a client never answers, and every period of its server lasts a timeout.
    """

    def __init__(self, *, period: int = 256) -> None:
        self.pid = 0
        self._process: subprocess.Popen[bytes]
        self._period = period
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(_turn())
            stack.enter_context(_environment("JACK_DEFAULT_SERVER", NAME))
            self._stack = stack.pop_all()
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def freeze(self) -> None:
        """Let the server answer nobody until it is thawed."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the server answer again."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill the server. :meth:`start` starts another."""
        self._process.kill()
        self._process.wait()

    def start(self) -> None:
        """Start a server under the same name."""
        try:
            self._process = self._start()
        except BaseException:
            self._stack.close()
            raise
        self.pid = self._process.pid
        self._stack.callback(_end, self._process)

    def _start(self) -> subprocess.Popen[bytes]:
        """A server that answers: in real time if that is permitted, otherwise without."""
        with tempfile.TemporaryFile() as log:
            for priority in (["-R", "-P", "70"], ["-r"]):
                process = subprocess.Popen(
                    self._command(priority),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=os.environ | {"JACK_NO_AUDIO_RESERVATION": "1"},
                )
                if _answers(process):
                    return process
                _end(process)
            log.seek(0)
            raise RuntimeError(f"jackd did not start: {log.read().decode(errors='replace')}")

    def _command(self, priority: list[str]) -> list[str]:
        server = ["jackd", "-n", NAME, *priority, "-S"]
        driver = ["-d", "dummy", "-r", "48000", "-p", str(self._period)]
        if shutil.which("setpriv"):  # no server outlives a test run that was killed
            server = ["setpriv", "--pdeathsig", "TERM", *server]
        return server + driver


@contextmanager
def _turn() -> Iterator[None]:
    """Wait until no other process of this user has a server, and keep others from starting one."""
    import fcntl

    path = Path(tempfile.gettempdir()) / f"{NAME}-{os.getuid()}.lock"
    deadline = time.monotonic() + TURN_LIMIT_SECONDS
    with path.open("ab") as lock:
        while not _taken(lock):
            if time.monotonic() > deadline:
                raise RuntimeError(f"another JACK server runs for {TURN_LIMIT_SECONDS:g} s already")
            time.sleep(TURN_POLL_SECONDS)
        try:
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)  # or a child that was forked would hold it


def _taken(lock: BinaryIO) -> bool:
    """Lock a file, and return whether that succeeded."""
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _environment(variable: str, value: str) -> Iterator[None]:
    before = os.environ.get(variable)
    os.environ[variable] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


def _answers(process: subprocess.Popen[bytes]) -> bool:
    """Whether the server takes clients before the time limit."""
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if not list_ports("jack").failures:
            return True
        time.sleep(0.02)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.send_signal(signal.SIGCONT)
    try:
        process.wait(timeout=STOP_LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
