"""What the README shows works: its Python runs, its commands are known, its links lead home."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from midirnn import read_midi
from midirnn.cli.main import COMMANDS, make_app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


COMMAND_LINES = [
    line.split("#")[0].strip()
    for block in blocks("sh")
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("midirnn ")
]


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_each_command_line_is_understood(line: str) -> None:
    make_app().parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)


def test_every_command_is_shown_but_those_for_experts() -> None:
    shown = {shlex.split(line)[1] for line in COMMAND_LINES}
    assert set(COMMANDS) - shown <= {"export"}


def test_the_python_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("python")
    exec(compile(block, "README.md", "exec"), {})
    assert len(read_midi(tmp_path / "on.mid")) > 176  # the primer's notes, and new ones


@pytest.mark.parametrize("script", ["play", "test"])
def test_the_two_set_up_commands_exist(script: str) -> None:
    assert f"scripts/{script}" in README
    assert (ROOT / "scripts" / script).stat().st_mode & 0o111


def test_the_measured_table_is_short() -> None:
    section = README.split("## Measured")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    assert 1 <= len(rows) <= 10


def test_the_picture_stands_above_the_first_section() -> None:
    assert "](docs/continuation.png)" in README.split("\n## ")[0]
