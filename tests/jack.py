"""A private JACK server, so that real MIDI ports can be tested on a machine without hardware."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from types import TracebackType
from typing import Self

from midirnn.ports import list_ports

START_LIMIT_SECONDS = 8.0
_numbers = itertools.count()


def jack_is_installed() -> bool:
    """Whether there is a JACK server to start."""
    return shutil.which("jackd") is not None


class JackServer:
    """A running JACK server under a name of its own, for as long as the ``with`` lasts.

    Meanwhile this process and the processes it starts use that server. It has
    real-time priority where that is permitted, and a dummy sound card.
    """

    def __init__(self, *, period: int = 256) -> None:
        self.name = f"midirnn-test-{os.getpid()}-{next(_numbers)}"
        self._period = period
        self._process: subprocess.Popen[bytes] | None = None
        self._outer_name: str | None = None

    def __enter__(self) -> Self:
        self._outer_name = os.environ.get("JACK_DEFAULT_SERVER")
        os.environ["JACK_DEFAULT_SERVER"] = self.name
        try:
            said = self._start(["-R", "-P", "70"])
            if self._process is None:
                said += self._start(["-r"])
            if self._process is None:
                raise RuntimeError(f"jackd did not start: {said}")
        except BaseException:
            self._restore_environment()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._restore_environment()
        if self._process is not None:
            _end(self._process)
            self._process = None

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None
        return self._process.pid

    def freeze(self) -> None:
        """Nothing; the server answers nobody until it is thawed."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Nothing; the server answers again."""
        os.kill(self.pid, signal.SIGCONT)

    def _start(self, priority: list[str]) -> str:
        """What the server said if it did not start."""
        command = ["jackd", "-n", self.name, *priority, "-S"]
        if shutil.which("setpriv"):  # no server outlives a test run that was killed
            command = ["setpriv", "--pdeathsig", "TERM", *command]
        command += ["-d", "dummy", "-r", "48000", "-p", str(self._period)]
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"JACK_NO_AUDIO_RESERVATION": "1"},
            )
            if _answers(process):
                self._process = process
                return ""
            _end(process)
            log.seek(0)
            return log.read().decode(errors="replace")

    def _restore_environment(self) -> None:
        if self._outer_name is None:
            os.environ.pop("JACK_DEFAULT_SERVER", None)
        else:
            os.environ["JACK_DEFAULT_SERVER"] = self._outer_name


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
        process.wait(timeout=3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
