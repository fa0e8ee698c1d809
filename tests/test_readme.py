"""What the README shows works: its Python and its commands run, and it is as short as promised.

Its command lines and links are tested with those of all documents, in tests/docs.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from midirnn import read_midi
from midirnn.cli.main import COMMANDS, main
from tests.docs.pages import ROOT, blocks, shell_lines

PATH = ROOT / "README.md"
README = PATH.read_text(encoding="utf-8")
COMMAND_LINES = [line for line in shell_lines(PATH) if line.startswith("midirnn ")]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder that has the examples."""
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_is_shown() -> None:
    assert {shlex.split(line)[1] for line in COMMAND_LINES} == set(COMMANDS)


def test_the_commands_that_generate_run(elsewhere: Path) -> None:
    shown = [line for line in COMMAND_LINES if line.split()[1] in ("generate", "plot")]
    shown = [line for line in shown if "--model" not in line]  # the reader's own
    assert len(shown) >= 4
    for line in shown:
        short = re.sub(r"--seconds \d+", "", line)
        seconds = ["--seconds", "1"] if line.split()[1] == "generate" else []
        assert main([*shlex.split(short)[1:], *seconds]) == 0, line
    assert (elsewhere / "on.png").is_file()


def test_the_python_block_runs(elsewhere: Path) -> None:
    (block,) = blocks(PATH, "python")
    exec(compile(block, "README.md", "exec"), {})
    assert len(read_midi(elsewhere / "on.mid")) > 176  # the primer's notes, and new ones


@pytest.mark.parametrize("script", ["play", "test"])
def test_the_two_set_up_commands_exist(script: str) -> None:
    assert f"scripts/{script}" in README
    assert (ROOT / "scripts" / script).stat().st_mode & 0o111


def test_the_measured_table_is_short() -> None:
    section = README.split("## Measured")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    assert 1 <= len(rows) <= 10


def test_the_picture_stands_above_the_first_section() -> None:
    assert "](docs/pictures/jam.png)" in README.split("\n## ")[0]
