"""A student can follow the course: its commands run, in the order in which they stand."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from midirnn.cli.main import main
from tests.docs.pages import PAGES, ROOT, blocks, name_of, shell_lines

LESSONS = [page for page in PAGES if page.parent.name == "course" and shell_lines(page)]

TEXT = "It was the best of times, it was the worst of times: we had everything before us.\n"
"""What the lessons' text is here, many times over."""

SMALLER = {
    "tokens": 4000,
    "seconds": 2,
    "updates": 2,
    "samples": 1,
    "count": 3,
    "hidden-size": 16,
    "batch-size": 2,
    "parameters": 8000,
}

pytest.importorskip("torch")


def small(line: str) -> list[str]:
    """Return the arguments of a command that does less of the same."""
    for flag, most in SMALLER.items():
        line = re.sub(rf"--{flag} (\d+)", partial(_less, most=most), line)
    return shlex.split(line)[1:]


def _less(match: re.Match[str], most: int) -> str:
    return match[0].replace(match[1], str(min(int(match[1]), most)))


def run(line: str) -> None:
    """Run a command of midirnn, or a script, at small size."""
    if line.startswith("python3 scripts/"):
        script, *arguments = small(line)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(ROOT / script), *arguments]
        subprocess.run(command, check=True, capture_output=True, env=environment, timeout=600)
    elif not line.startswith("midirnn live"):
        assert main(small(line)) == 0, line


@pytest.fixture
def student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data").symlink_to(ROOT / "data")
    (tmp_path / "shakespeare.txt").write_text(TEXT * 100, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("lesson", LESSONS, ids=name_of)
def test_the_commands_of_a_lesson_run_and_then_its_python(
    lesson: Path, student: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in shell_lines(lesson):
        run(line.replace("ROMEO:", "It was"))
    exec(compile("\n".join(blocks(lesson, "python")), name_of(lesson), "exec"), {})
    shown = set(re.findall(r"\]\((\S+\.png)\)", lesson.read_text(encoding="utf-8")))
    assert shown
    assert all((lesson.parent / picture).is_file() for picture in shown)


def test_what_two_lessons_call_by_one_name_they_make_by_the_same_command() -> None:
    made: dict[str, str] = {}
    for line in (" ".join(line.split()) for lesson in LESSONS for line in shell_lines(lesson)):
        for name in re.findall(r" (?:-o|--output|--plot) (?!- )(\S+)", line):
            assert made.setdefault(name, line) == line


@pytest.mark.parametrize("lesson", LESSONS, ids=name_of)
def test_the_code_that_a_lesson_quotes_stands_in_the_file_that_it_names(lesson: Path) -> None:
    text = lesson.read_text(encoding="utf-8")
    named = re.findall(r"`((?:midirnn|scripts)/[\w/]+\.py)`", text)
    sources = [(ROOT / name).read_text(encoding="utf-8") for name in named]
    for quoted in blocks(lesson, "py"):
        assert any(quoted in source for source in sources), quoted


def test_the_loss_that_is_computed_by_hand_is_that_of_evaluate(
    student: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lesson = ROOT / "docs" / "course" / "unrolling.md"
    encode, train, evaluate, *_ = shell_lines(lesson)
    for line in (encode, train):
        main(small(line))
    names: dict[str, object] = {}
    capsys.readouterr()
    exec(compile(blocks(lesson, "python")[0], "unrolling.md", "exec"), names)
    by_hand = float(capsys.readouterr().out.split()[-1])
    assert main([*small(evaluate), "--json"]) == 0
    assert by_hand == pytest.approx(json.loads(capsys.readouterr().out)["nats_per_token"], abs=1e-3)
