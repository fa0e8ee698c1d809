"""Keys of the terminal play the session, and the terminal is as it was afterwards."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from midirnn.live.modes import MODES
from midirnn.live.view.keys import LEGEND, Keys, TerminalKeys
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
