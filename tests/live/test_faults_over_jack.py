"""Faults on stage, for real: over JACK, with ``midirnn live`` in a process of its own.

The server is killed and started again, the instrument that is played vanishes and returns, the
model's process is killed. Each time the music goes on, no note hangs, and the log tells it all.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from midirnn.live.output.ledger import MODEL
from midirnn.live.recording.event_log import SessionLog, read_log
from midirnn.live.recording.midi import notes_of
from midirnn.live.recording.replay import replay
from midirnn.ports import Ignored, Message, RtMidiInput, open_input, open_output
from midirnn.ports.midi_clock import CLOCK, CONTINUE, START, STOP, song_position
from tests.jack import JackServer
from tests.jack_fixture import jack_fixture
from tests.live.stage import is_note_on, sounding, write_tiny_model

LIMIT_SECONDS = 180.0
BUSY_SECONDS = 20.0
"""What takes a second or two on a quiet machine may take so long on a busy one."""

ENDINGS: list[Message] = [(0xB0, 64, 0), (0xB0, 123, 0)]
MODEL_PROCESS = b"model_process.child"


jack_server = jack_fixture()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("tiny")))


class Ear:
    """An input that collects, and can be waited for."""

    def __init__(self, name: str, *, virtual: bool = False, ignored: Ignored | None = None) -> None:
        self.heard: list[Message] = []
        self._more = threading.Condition()
        self.port: RtMidiInput = open_input(
            name, self._hear, virtual=virtual, api="jack", ignored=ignored
        )

    def _hear(self, message: Message, seconds: float) -> None:
        with self._more:
            self.heard.append(message)
            self._more.notify_all()

    def wait_until(self, true: Callable[[list[Message]], bool], about: object = "") -> None:
        with self._more:
            in_time = self._more.wait_for(lambda: true(self.heard), LIMIT_SECONDS)
            assert in_time, (self.heard, about)


def plays(count: int) -> Callable[[list[Message]], bool]:
    return lambda messages: len([m for m in messages if is_note_on(m)]) >= count


class Live:
    """``midirnn live`` in autopilot, as soon as it plays; what it prints, and its log."""

    def __init__(self, folder: Path, *argv: str) -> None:
        command = [sys.executable, "-m", "midirnn", "live", "--api", "jack", "--mode", "autopilot"]
        options = ["--engine", "numpy", "--seed", "1", "--record", str(folder)]
        self.folder = folder
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [*command, *options, *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self._reading = threading.Thread(target=self._read)
        self._reading.start()
        self.wait_for("playing")

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            self.lines += (line.strip() for line in lines)

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while not any(words in line for line in list(self.lines)):
            assert self.process.poll() is None, self.lines
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.01)

    def model_process(self) -> int:
        """The id of its model process."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for child in children.read_text().split():
            if MODEL_PROCESS in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
        raise AssertionError("there is no model process")

    def wait_until_stopped(self) -> None:
        """Wait until its process does not run, as after Ctrl-Z."""
        status = Path(f"/proc/{self.process.pid}/stat")
        deadline = time.monotonic() + LIMIT_SECONDS
        while status.read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.01)

    def terminate(self) -> SessionLog:
        """Its log; it has ended in good order."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(LIMIT_SECONDS) == 0, self.lines
        self._reading.join()
        (path,) = self.folder.glob("*.jsonl")
        assert path.with_suffix(".mid").exists()
        return read_log(path)


@contextmanager
def live(folder: Path, *argv: str) -> Iterator[Live]:
    session = Live(folder, *argv)
    try:
        yield session
    finally:
        session.process.kill()
        session.process.wait()
        session._reading.join()


def test_a_port_whose_name_the_terminal_cannot_show_is_played(
    jack_server: JackServer, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "\u821e\u53f0\u94a2\u7434"
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    synthesizer = Ear(name, virtual=True)
    with live(tmp_path, "-o", name, "--model", model) as session:
        synthesizer.wait_until(plays(5), session.lines)
        session.terminate()
        synthesizer.wait_until(lambda messages: messages[-2:] == ENDINGS)
    synthesizer.port.close()
    assert any("\\u821e" in line for line in session.lines)


def assert_replays(log: SessionLog) -> None:
    result = replay(log)
    assert result.difference is None
    assert result.notes_sent > 10
    assert notes_of(log.recording().performance(), MODEL) > 10


def test_when_the_server_dies_and_returns_the_session_goes_on(
    jack_server: JackServer, model: str, tmp_path: Path
) -> None:
    with live(tmp_path, "--virtual", "-o", "voice", "--model", model) as session:
        before = Ear("voice")
        before.wait_until(plays(5))
        jack_server.kill()
        before.port.abandon()
        killed = time.monotonic()
        session.wait_for("output 'voice' has vanished")
        assert time.monotonic() - killed < BUSY_SECONDS
        jack_server.start()
        session.wait_for("output 'voice' is back")
        after = Ear("voice")
        after.wait_until(plays(5), session.lines)
        log = session.terminate()
        after.wait_until(lambda messages: messages[-2:] == ENDINGS)
        after.port.close()
    assert_replays(log)
    assert "output 'voice' has vanished; waiting for it to return" in [
        record.value for record in log.records if record.kind == "note"
    ]


def test_a_session_whose_server_has_died_still_ends_in_good_order(
    jack_server: JackServer, model: str, tmp_path: Path
) -> None:
    with live(tmp_path, "--virtual", "-o", "voice", "--model", model) as session:
        time.sleep(1.0)
        jack_server.kill()
        session.wait_for("output 'voice' has vanished")
        time.sleep(0.5)
        asked = time.monotonic()
        log = session.terminate()
        assert time.monotonic() - asked < BUSY_SECONDS
    assert_replays(log)


def test_when_the_instrument_vanishes_and_returns_it_is_played_on(
    jack_server: JackServer, model: str, tmp_path: Path
) -> None:
    first = Ear("Stage Piano", virtual=True)
    with live(tmp_path, "-o", "stage piano", "--model", model) as session:
        first.wait_until(plays(5))
        first.port.close()
        closed = time.monotonic()
        session.wait_for("has vanished")
        assert time.monotonic() - closed < BUSY_SECONDS
        left = sounding(first.heard)
        second = Ear("Stage Piano", virtual=True)
        session.wait_for("is back")
        second.wait_until(plays(5))
        log = session.terminate()
        second.wait_until(lambda messages: messages[-2:] == ENDINGS)
        second.port.close()
    released = {(m[0] & 0x0F, m[1]) for m in second.heard if m[0] & 0xF0 == 0x80}
    assert left <= released
    assert_replays(log)


def test_an_instrument_that_returns_joins_the_clock(
    jack_server: JackServer, model: str, tmp_path: Path
) -> None:
    all_of_it = Ignored(clock=False)
    first = Ear("Stage Piano", virtual=True, ignored=all_of_it)
    clock = ("--clock-out-bpm", "120")
    with live(tmp_path, "-o", "stage piano", "--model", model, *clock) as session:
        first.wait_until(lambda messages: messages.count((CLOCK,)) > 20)
        first.port.close()
        session.wait_for("has vanished")
        second = Ear("Stage Piano", virtual=True, ignored=all_of_it)
        session.wait_for("is back")
        second.wait_until(lambda messages: messages.count((CLOCK,)) > 40)
        session.terminate()
        second.wait_until(lambda messages: (STOP,) in messages)
        second.port.close()
    assert (START,) in first.heard
    song = [message for message in second.heard if message[0] >= 0xF0]
    joins = song.index((CONTINUE,))
    assert joins < 10
    assert song[joins - 1] > song_position(3)
    assert song[joins + 1 : joins + 25] == [(CLOCK,)] * 24


def test_when_the_model_is_killed_its_notes_end_and_it_plays_again(
    jack_server: JackServer, model: str, tmp_path: Path
) -> None:
    with live(tmp_path, "--virtual", "-o", "voice", "-i", "ear", "--model", model) as session:
        ear = Ear("voice")
        with open_output("ear", api="jack") as keys:
            ear.wait_until(plays(5))
            os.kill(session.model_process(), signal.SIGKILL)
            session.wait_for("started again")
            killed = len(ear.heard)
            keys.send((0x90, 60, 64))  # the performer keeps the instrument meanwhile
            keys.send((0x80, 60, 0))
            ear.wait_until(lambda messages: plays(5)(messages[killed:]))
            log = session.terminate()
            ear.wait_until(lambda messages: messages[-2:] == ENDINGS)
        ear.port.close()
    assert len([record for record in log.records if record.kind == "start"]) == 2
    assert_replays(log)


def test_ctrl_z_ends_all_notes_before_the_process_stops(
    jack_server: JackServer, model: str, tmp_path: Path
) -> None:
    ear = Ear("Stage Piano", virtual=True)
    with live(tmp_path, "-o", "stage piano", "--model", model) as session:
        ear.wait_until(lambda messages: plays(5)(messages) and bool(sounding(messages)))
        session.process.send_signal(signal.SIGTSTP)
        session.wait_until_stopped()
        ear.wait_until(lambda messages: not sounding(messages))
        stopped = len(ear.heard)
        session.process.send_signal(signal.SIGCONT)
        ear.wait_until(lambda messages: plays(5)(messages[stopped:]))
        session.terminate()
    ear.port.close()


def test_a_session_that_is_killed_leaves_its_music(
    jack_server: JackServer, model: str, tmp_path: Path
) -> None:
    with live(tmp_path, "--virtual", "-o", "voice", "--model", model) as session:
        ear = Ear("voice")
        ear.wait_until(plays(15))
        session.process.kill()
        session.process.wait()
        heard = len([m for m in ear.heard if is_note_on(m)])
        ear.port.close()
    (path,) = tmp_path.glob("*.jsonl")
    done = subprocess.run(
        [sys.executable, "-m", "midirnn", "replay", str(path), "-o", str(tmp_path / "out.mid")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "identical" in done.stdout
    found = re.search(r"model (\d+)", done.stdout)
    assert found is not None
    assert int(found[1]) >= heard - 2
