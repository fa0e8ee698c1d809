"""Processes that are started before the code that talks to them has been imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from midirnn import head_start as head_start_module
from midirnn.cli import main as cli
from midirnn.head_start import command_of, end, head_start, start

ECHO = """
import os, sys
def main() -> None:
    print(sys.stdin.readline().strip(), os.getpid(), flush=True)
"""


@pytest.fixture
def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of which ``main`` repeats a line, and tells its process."""
    (tmp_path / "echo_a_line.py").write_text(ECHO, encoding="utf-8")
    monkeypatch.setattr("midirnn.head_start._HOME", str(tmp_path))
    return "echo_a_line"


def said(process: subprocess.Popen[bytes]) -> list[str]:
    out, _ = process.communicate(b"hello\n", timeout=60)
    return out.decode().split()


def test_a_process_that_was_given_a_head_start_is_taken_once(echo: str) -> None:
    with head_start(echo):
        first, second = start(command_of(echo)), start(command_of(echo))
    assert first.pid != second.pid
    assert said(first) == ["hello", str(first.pid)]
    assert said(second) == ["hello", str(second.pid)]


def test_a_process_that_nobody_took_is_ended(echo: str) -> None:
    with head_start(echo):
        (unwanted,) = head_start_module._waiting.values()
    assert unwanted.poll() is not None
    assert not head_start_module._waiting


def test_one_that_has_died_meanwhile_is_replaced(echo: str) -> None:
    with head_start(echo):
        (died,) = head_start_module._waiting.values()
        died.communicate(b"")
        assert said(start(command_of(echo)))[0] == "hello"


@pytest.mark.parametrize(
    ("line", "modules"),
    [
        ("jam --port 0", ("midirnn.web.child", "midirnn.live.model_process.child")),
        ("live --virtual", ("midirnn.live.model_process.child",)),
        ("jam --help", ()),
        ("info a.mid", ()),
        ("", ()),
    ],
)
def test_only_commands_that_play_give_one(line: str, modules: tuple[str, ...]) -> None:
    assert cli._processes_of(line.split()) == modules


def test_a_session_that_does_not_begin_leaves_no_process_behind() -> None:
    command = [sys.executable, "-m", "midirnn", "jam", "--port", "70000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "midirnn: error: the port is 70000; allowed are 0 to 65535\n"


@pytest.mark.parametrize(
    ("code", "seconds"),
    [("import sys; sys.stdin.read()", 60.0), ("import time; time.sleep(60)", 0.1)],
)
def test_a_process_ends_with_its_input_and_is_killed_if_it_does_not(
    code: str, seconds: float
) -> None:
    with start([sys.executable, "-c", code]) as process:
        end(process, seconds)
        was_killed = process.returncode != 0
    assert was_killed == (seconds < 1.0)
