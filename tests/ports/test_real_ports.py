"""Real MIDI ports, between processes, over a JACK server without hardware."""

from __future__ import annotations

import gc
import json
import logging
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from midirnn.errors import PortError
from midirnn.ports import Ignored, Message, list_ports, open_input, open_output
from tests.jack import JackServer

LIMIT_SECONDS = 60.0
NOTE_ON = (0x90, 60, 64)

LISTENER = """
import json, queue, sys
from midirnn.ports import open_input
name, count = sys.argv[1], int(sys.argv[2])
heard = queue.Queue()
with open_input(name, lambda *event: heard.put(event), virtual=True, api="jack"):
    print("ready", flush=True)
    print(json.dumps([heard.get(timeout=20) for _ in range(count)]), flush=True)
    sys.stdin.read()
"""

PLAYER = """
import sys
from midirnn.ports import open_output
with open_output(sys.argv[1], virtual=True, api="jack") as port:
    print("ready", flush=True)
    for line in sys.stdin:
        port.send([int(byte) for byte in line.split()])
"""

STOPPER = """
import os, signal, sys, time
from pathlib import Path
def stop(server):
    os.kill(server, signal.SIGSTOP)  # which is heeded only when the server's threads next run
    threads = Path(f"/proc/{server}/task")
    while threads.exists() and any(
        (thread / "stat").read_text().rpartition(")")[2].split()[0] != "T"
        for thread in threads.iterdir()
    ):
        time.sleep(0.01)
"""

LEAVER = (
    STOPPER
    + """
from midirnn.ports import open_output, rtmidi_ports
rtmidi_ports.EXIT_LIMIT_SECONDS = 0.3
port = open_output("left open", virtual=True, api="jack")
if len(sys.argv) > 1:
    stop(int(sys.argv[1]))
"""
)


STAYER = (
    STOPPER
    + """
from midirnn.ports import open_output, rtmidi_ports
rtmidi_ports.CLOSE_LIMIT_SECONDS = 0.3
port = open_output("closed in time", virtual=True, api="jack")
stop(int(sys.argv[1]))
port.close()
print("never reached")
"""
)

POURER = """
import sys, threading, time
from midirnn.ports import open_output
closed = threading.Thread(target=sys.stdin.read)
closed.start()
with open_output("Pourer", virtual=True, api="jack") as port:
    print("ready", flush=True)
    while closed.is_alive():
        for pitch in range(3):
            port.send((0x90, pitch, 64))
        time.sleep(0.002)
"""

CLOSER = """
import threading, time
from midirnn.ports import open_input
ports = [open_input("pourer", lambda *event: None, api="jack") for _ in range(5)]
closing = True
def keep_python_busy():
    while closing:
        pass
for _ in range(2):
    threading.Thread(target=keep_python_busy, daemon=True).start()
for port in ports:
    time.sleep(0.01)
    port.close()
closing = False
print("ready", flush=True)
"""


@contextmanager
def other_process(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs the code, as soon as it has said that it is ready."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        limit = threading.Timer(LIMIT_SECONDS, process.kill)
        limit.start()
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            limit.cancel()
            yield process
            process.communicate(timeout=LIMIT_SECONDS)
            assert process.returncode == 0
        finally:
            limit.cancel()
            process.kill()


class Heard(list[tuple[Message, float]]):
    """A callback that collects, and can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._more = threading.Condition()

    def __call__(self, message: Message, seconds: float) -> None:
        with self._more:
            self.append((message, seconds))
            self._more.notify_all()

    def wait_for(self, count: int) -> list[Message]:
        with self._more:
            self._more.wait_for(lambda: len(self) >= count, LIMIT_SECONDS)
        return [message for message, _ in self]


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not true() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert true()


def some_notes(count: int) -> list[Message]:
    return [(0x90 - 0x10 * (n % 2), n % 128, n * 7 % 128) for n in range(count)]


def test_notes_reach_another_process_in_order_with_rising_times(jack_server: JackServer) -> None:
    notes = some_notes(400)
    with other_process(LISTENER, "Stage Piano", str(len(notes))) as listener:
        with open_output("stage", api="jack") as port:
            assert "Stage Piano" in port.name
            before = time.monotonic()
            for note in notes:
                port.send(note)
        assert listener.stdout is not None
        heard = json.loads(listener.stdout.readline())
        after = time.monotonic()
    assert [tuple(message) for message, _ in heard] == notes
    times = [seconds for _, seconds in heard]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= after


def test_notes_arrive_from_another_process(jack_server: JackServer) -> None:
    heard, notes = Heard(), some_notes(50)
    with (
        other_process(PLAYER, "Grand") as player,
        open_input("grand", heard, api="jack") as port,
    ):
        assert player.stdin is not None
        for note in notes:
            player.stdin.write(" ".join(map(str, note)) + "\n")
        player.stdin.flush()
        assert heard.wait_for(len(notes)) == notes
        assert port.callback_error is None


def test_ports_of_another_process_are_listed_by_direction(jack_server: JackServer) -> None:
    with other_process(PLAYER, "Grand"):
        rows = list_ports("jack").ports
    assert [(row.api, row.direction) for row in rows if "Grand" in row.name] == [("jack", "input")]


def test_what_was_sent_before_closing_still_goes_out(jack_server: JackServer) -> None:
    heard, notes = Heard(), some_notes(100)
    with open_input("ear", heard, virtual=True, api="jack"):
        with open_output("ear", api="jack") as port:
            for note in notes:
                port.send(note)
        assert heard.wait_for(len(notes)) == notes


def test_sysex_clock_and_active_sensing_are_dropped_unless_asked_for(
    jack_server: JackServer,
) -> None:
    messages: list[Message] = [(0xF0, 1, 2, 0xF7), (0xF8,), (0xF1, 3), (0xFE,), (0xFA,), NOTE_ON]
    plain, everything = Heard(), Heard()
    keep = Ignored(sysex=False, clock=False, active_sensing=False)
    with (
        open_input("plain", plain, virtual=True, api="jack"),
        open_input("everything", everything, virtual=True, api="jack", ignored=keep),
        open_output("plain", api="jack") as to_plain,
        open_output("everything", api="jack") as to_everything,
    ):
        for message in messages:
            to_plain.send(message)
            to_everything.send(message)
        assert everything.wait_for(6) == messages
        assert plain.wait_for(2) == [(0xFA,), NOTE_ON]


def test_a_callback_that_raises_does_not_silence_the_port(
    jack_server: JackServer, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()

    def stumble(message: Message, seconds: float) -> None:
        heard(message, seconds)
        raise RuntimeError("stumbled")

    with open_input("ear", stumble, virtual=True, api="jack") as port:
        with open_output("ear", api="jack") as output:
            for note in some_notes(3):
                output.send(note)
        assert heard.wait_for(3) == some_notes(3)
        wait_until(lambda: port.callback_error is not None)
        assert str(port.callback_error) == "stumbled"
    assert len([entry for entry in caplog.records if entry.levelno >= logging.ERROR]) == 1


def test_an_input_closes_while_messages_pour_in(jack_server: JackServer) -> None:
    with other_process(POURER), other_process(CLOSER):
        pass


def test_an_input_can_be_closed_by_its_own_callback(jack_server: JackServer) -> None:
    heard = Heard()

    def leave(message: Message, seconds: float) -> None:
        port.close()
        heard(message, seconds)

    port = open_input("ear", leave, virtual=True, api="jack")
    with open_output("ear", api="jack") as output:
        output.send(NOTE_ON)
        assert heard.wait_for(1) == [NOTE_ON]
        wait_until(lambda: not any("ear" in row.name for row in list_ports("jack").ports))
    assert port.callback_error is None


def test_closing_twice_is_fine_and_the_port_is_gone(jack_server: JackServer) -> None:
    ports = [
        open_input("gone in", Heard(), virtual=True, api="jack"),
        open_output("gone out", virtual=True, api="jack"),
    ]
    assert len([row for row in list_ports("jack").ports if "gone" in row.name]) == 2
    for port in ports:
        port.close()
        port.close()
    assert not [row for row in list_ports("jack").ports if "gone" in row.name]


def test_a_port_stays_open_without_a_reference_until_it_is_closed(jack_server: JackServer) -> None:
    port = weakref.ref(open_output("kept", virtual=True, api="jack"))
    gc.collect()
    assert [row for row in list_ports("jack").ports if "kept" in row.name]
    still_there = port()
    assert still_there is not None
    still_there.close()
    del still_there
    gc.collect()
    assert port() is None


def test_ports_left_open_are_closed_when_the_process_ends(jack_server: JackServer) -> None:
    ended = subprocess.run([sys.executable, "-c", LEAVER], timeout=LIMIT_SECONDS)
    assert ended.returncode == 0
    assert not [row for row in list_ports("jack").ports if "left open" in row.name]


def test_the_process_ends_even_if_the_midi_system_is_stuck(jack_server: JackServer) -> None:
    try:
        ended = subprocess.run(
            [sys.executable, "-c", LEAVER, str(jack_server.pid)], timeout=LIMIT_SECONDS
        )
    finally:
        jack_server.thaw()
    assert ended.returncode == 1


def test_a_session_does_not_hang_where_its_stuck_system_lets_no_port_close(
    jack_server: JackServer,
) -> None:
    try:
        ended = subprocess.run(
            [sys.executable, "-c", STAYER, str(jack_server.pid)],
            timeout=LIMIT_SECONDS,
            capture_output=True,
            text=True,
        )
    finally:
        jack_server.thaw()
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "in _shut" in ended.stderr  # which call it was


def test_without_a_server_the_error_is_one_line_and_nothing_else_is_printed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "midirnn-test-nobody")
    for opening in (
        lambda: open_input("keys", Heard(), api="jack"),
        lambda: open_output("synth", api="jack"),
        lambda: open_output(None, virtual=True, api="jack"),
    ):
        with pytest.raises(PortError, match=r"\(jack: no server is running\)") as caught:
            opening()
        assert "\n" not in str(caught.value)
    assert list_ports("jack").why == "jack: no server is running"
    assert capfd.readouterr() == ("", "")


def test_what_the_library_prints_is_in_the_debug_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "midirnn-test-nobody")
    with caplog.at_level(logging.DEBUG, logger="midirnn.ports"):
        list_ports("jack")
    assert "MIDI library: Cannot connect to server" in caplog.text
