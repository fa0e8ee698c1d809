"""Keys of the terminal play the session, and the terminal is as it was afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from midirnn.live.modes import MODES
from midirnn.live.view.keys import ESCAPE, LEGEND, Keys, TerminalKeys, split_keys
from tests.live.stage import Stage, note, sounding

termios = pytest.importorskip("termios", reason="no such terminals on this system")


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The two ends of a terminal: where keys are pressed, and where they are read."""
    master, slave = os.openpty()
    yield master, slave
    for end in (master, slave):
        os.close(end)


class Pressed(Keys):
    """Keys that are only counted."""

    def __init__(self) -> None:
        self.keys = ""
        self.enough = threading.Event()

    def press(self, key: str) -> None:
        self.keys += key
        if key == "!":
            self.enough.set()


def test_each_key_arrives_at_once_and_is_not_shown(terminal: tuple[int, int]) -> None:
    master, slave = terminal
    before = termios.tcgetattr(slave)
    pressed, told = Pressed(), list[str]()
    with TerminalKeys(pressed, told.append, stdin=slave):
        os.write(master, "1m é!".encode())
        assert pressed.enough.wait(30)
        assert termios.tcgetattr(slave)[3] & (termios.ECHO | termios.ICANON) == 0
        assert termios.tcgetattr(slave)[3] & termios.ISIG  # Ctrl-C stays what it is
    assert pressed.keys == "1m !"
    assert told == [LEGEND]
    assert termios.tcgetattr(slave) == before


def test_while_the_process_sleeps_the_terminal_is_as_it_was(terminal: tuple[int, int]) -> None:
    _, slave = terminal
    before, seen = termios.tcgetattr(slave), []
    with TerminalKeys(Pressed(), print, stdin=slave) as keys:
        keys.around(lambda: seen.append(termios.tcgetattr(slave)))()
        assert seen == [before]
        assert not termios.tcgetattr(slave)[3] & termios.ICANON


def test_what_is_no_terminal_is_left_alone() -> None:
    reading, writing = os.pipe()
    told = list[str]()
    with TerminalKeys(Pressed(), told.append, stdin=reading):
        os.write(writing, b"p")
    assert os.read(reading, 9) == b"p"
    assert told == []
    os.close(reading)
    os.close(writing)


def test_keys_play_a_session() -> None:
    told = list[str]()
    stage = Stage("call_and_response", on_notice=told.append)
    keys = Keys(stage.session)
    with stage.session:
        stage.perform(note(0.1, 0.4, 60))
        stage.run(0.5)
        assert not stage.session.view().plays
        keys.press(" ")
        stage.run(0.01)
        assert stage.session.view().plays
        for key in "s343u":
            keys.press(key)
        stage.run(0.5)
        assert told == ["preset 3 stored", "preset 4 is empty", "preset 3 loaded", "undone"]
        modes = []
        for _ in MODES:
            keys.press("m")
            stage.run(0.2)
            modes.append(stage.session.view().mode)
        assert sorted(modes) == sorted(MODES)
        assert modes[-1] == "call_and_response"
        keys.press("p")
        keys.press("x")
        stage.run(0.2)
        assert sounding(message for _, message in stage.sent) == set()
        assert told[-1].startswith("panic")


@pytest.mark.parametrize(
    "sequence",
    ["[6~", "[1~", "[3~", "[15~", "[1;5C", "[A", "OP", "O1;2P", "[5;2~", "[200~", "[?1;2c"],
)
def test_a_key_that_sends_a_sequence_is_no_digit_wherever_it_is_split(sequence: str) -> None:
    sent = f"s{ESCAPE}{sequence}3"
    for middle in range(len(sent) + 1):
        first, rest = split_keys(sent[:middle])
        second, left = split_keys(rest + sent[middle:])
        assert first + second == f"s{ESCAPE}3"
        assert left == ""


def test_after_the_escape_key_the_next_key_counts() -> None:
    keys, rest = split_keys(f"m{ESCAPE}")
    assert (keys, rest) == ("m", ESCAPE)
    assert split_keys(f"{rest}p") == (f"{ESCAPE}p", "")


def test_a_terminal_that_sends_page_down_presses_nothing(terminal: tuple[int, int]) -> None:
    master, slave = terminal
    pressed = Pressed()
    with TerminalKeys(pressed, print, stdin=slave):
        os.write(master, b"\x1b[6")
        os.write(master, b"~\x1b[15~m!")
        assert pressed.enough.wait(30)
    assert pressed.keys == f"{ESCAPE}{ESCAPE}m!"


JOB_CONTROL = """
import os, pty, select, signal, termios, time
from midirnn.live.view.keys import Keys, TerminalKeys

def is_taken():
    return not termios.tcgetattr(0)[3] & termios.ICANON

def job():
    with TerminalKeys(Keys(None), lambda line: None, stdin=0) as keys:
        keys.around(lambda: os.kill(os.getpid(), signal.SIGSTOP))()
        os.write(awake[1], b"awake")
        while not is_taken():
            time.sleep(0.01)
    os._exit(0)

def shell():
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        job()
    os.waitpid(child, os.WUNTRACED)
    tell(f"stopped, taken: {is_taken()}")
    os.tcsetpgrp(0, os.getpgrp())
    os.kill(child, signal.SIGCONT)
    while not select.select([awake[0]], [], [], 0.05)[0]:
        if os.waitpid(child, os.WUNTRACED | os.WNOHANG)[0]:
            tell("stopped again")
            os.kill(child, signal.SIGKILL)
            os._exit(1)
    time.sleep(0.3)
    tell(f"in the background, taken: {is_taken()}")
    os.tcsetpgrp(0, child)
    tell(f"in the foreground, ended: {os.waitpid(child, 0)[1]}, taken: {is_taken()}")
    os._exit(0)

def tell(text):
    os.write(told[1], text.encode() + b"\\n")

awake, told = os.pipe(), os.pipe()
signal.alarm(60)
child, master = pty.fork()
if child == 0:
    signal.alarm(30)
    shell()
os.close(told[1])
with open(told[0]) as lines:
    print(lines.read(), end="")
"""


def test_a_session_resumed_in_the_background_leaves_the_terminal_alone_until_it_is_in_front() -> (
    None
):
    command = [sys.executable, "-c", JOB_CONTROL]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == [
        "stopped, taken: False",
        "in the background, taken: False",
        "in the foreground, ended: 0, taken: False",
    ]
