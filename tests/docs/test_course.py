"""A student can follow the course: its commands run, in the order in which they stand."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from midirnn.cli.main import main
from tests.docs.pages import PAGES, ROOT, blocks, name_of, shell_lines

LESSONS = [page for page in PAGES if page.parent.name == "course" and blocks(page, "python")]

pytest.importorskip("torch")


def small(line: str) -> list[str]:
    """Return the arguments of a command of midirnn that does less of the same."""
    line = re.sub(r"--tokens \d+", "--tokens 2000", line)
    return shlex.split(re.sub(r"--seconds \d+", "--seconds 2", line))[1:]


@pytest.fixture
def student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("lesson", LESSONS, ids=name_of)
def test_the_commands_of_a_lesson_run_and_then_its_python(
    lesson: Path, student: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in shell_lines(lesson):
        if not line.startswith("midirnn live"):
            assert main(small(line)) == 0, line
    exec(compile("\n".join(blocks(lesson, "python")), name_of(lesson), "exec"), {})
    shown = set(re.findall(r"\]\((\w+\.png)\)", lesson.read_text(encoding="utf-8")))
    assert all((lesson.parent / picture).is_file() for picture in shown)


def test_the_loss_that_is_computed_by_hand_is_that_of_evaluate(
    student: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lesson = ROOT / "docs" / "course" / "state.md"
    encode, train, evaluate, *_ = shell_lines(lesson)
    for line in (encode, train):
        main(small(line))
    names: dict[str, object] = {}
    capsys.readouterr()
    exec(compile(blocks(lesson, "python")[0], "state.md", "exec"), names)
    by_hand = float(capsys.readouterr().out.split()[-1])
    assert main([*small(evaluate), "--json"]) == 0
    assert by_hand == pytest.approx(json.loads(capsys.readouterr().out)["nats_per_token"], abs=1e-3)
