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
from typing import Self

from midirnn.ports import list_ports

START_LIMIT_SECONDS = 8.0
STOP_LIMIT_SECONDS = 5.0
SLOTS = 6
"""JACK has room for eight servers, and gives the place of one that was killed only to a server
of the same name. So there are few names, and each run takes one that is free."""


def jack_is_installed() -> bool:
    """Whether there is a JACK server to start."""
    return shutil.which("jackd") is not None


class JackServer:
    """A running JACK server under a name of its own, for as long as the ``with`` lasts.

    Meanwhile this process and the processes it starts use that server. It has
    real-time priority where that is permitted, and a dummy sound card.
    """

    def __init__(self, *, period: int = 256) -> None:
        self.name = ""
        self.pid = 0
        self._process: subprocess.Popen[bytes]
        self._period = period
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.name = stack.enter_context(_free_name())
            stack.enter_context(_environment("JACK_DEFAULT_SERVER", self.name))
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
        server = ["jackd", "-n", self.name, *priority, "-S"]
        driver = ["-d", "dummy", "-r", "48000", "-p", str(self._period)]
        if shutil.which("setpriv"):  # no server outlives a test run that was killed
            server = ["setpriv", "--pdeathsig", "TERM", *server]
        return server + driver


@contextmanager
def _free_name() -> Iterator[str]:
    """A server name that no other test run on this machine uses meanwhile."""
    import fcntl

    for slot in range(SLOTS):
        name = f"midirnn-test-{slot}"
        path = Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}.lock"
        with path.open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield name
            return
    raise RuntimeError(f"{SLOTS} JACK servers of other test runs are running already")


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
