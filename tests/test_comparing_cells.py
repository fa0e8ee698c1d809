"""The script that compares cells: networks of equal size, runs that are not trained twice."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from midirnn.codecs import TextCodec
from midirnn.datasets import SplitShares, encode_files

pytest.importorskip("torch")

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return runpy.run_path(str(SCRIPTS / "compare_cells.py"))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text("Round and round the tune goes.\n" * 60)
    encode_files(
        [tmp_path / "text.txt"],
        tmp_path / "data",
        codec=TextCodec(),
        splits=SplitShares(validation=0.1, test=0.0),
        workers=1,
    )
    return tmp_path / "data"


def test_all_networks_have_nearly_the_parameters_asked_for(script: dict[str, Any]) -> None:
    rows = script["networks"](("rnn", "gru", "lstm"), (1, 2, 3), 388, 400_000)
    assert len({row.name for row in rows}) == len(rows) == 15
    assert all(abs(row.parameters / 400_000 - 1) < 0.03 for row in rows)
    assert sum(row.config.residual for row in rows) == 6


def test_a_table_and_a_picture_of_runs_that_are_trained_once(
    script: dict[str, Any],
    dataset: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = dataset.parent / "cells.png"
    argv = ["--parameters=3000", "--batch-size=2", "--window=8", "--rounds=2", "--tokens=64"]
    argv += ["--cells", "lstm", "--layers", "2", "--picture", str(picture)]
    monkeypatch.setattr(sys, "argv", ["", str(dataset), str(dataset.parent / "runs"), *argv])
    script["main"]()
    first = rows_of(capsys.readouterr().out)
    assert [row[:3] for row in first] == [["lstm", "2", "no"], ["lstm", "2", "yes"]]
    assert all(0 < float(row[5]) < 5 and float(row[6].replace(",", "")) > 0 for row in first)
    assert picture.read_bytes().startswith(b"\x89PNG")

    monkeypatch.setattr(subprocess, "run", never)
    script["main"]()
    assert [row[:6] for row in rows_of(capsys.readouterr().out)] == [row[:6] for row in first]


def rows_of(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def never(command: list[str], **options: Any) -> None:
    pytest.fail(f"ran {command}")


def test_a_run_that_was_stopped_is_resumed(
    script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
    (row,) = script["networks"](["gru"], [1], 30, 3000)
    for run in (tmp_path / "new", tmp_path / "stopped"):
        if run.name == "stopped":
            (run / "last").mkdir(parents=True)
        with pytest.raises(SystemExit, match="is not finished: run the same command again"):
            script["train"](tmp_path / "data", run, row.config, 64, (2, 8))
    assert ["--resume" in command for command in commands] == [False, True]
