"""scripts/recipes/compare.py: rows that are there already, and what they were made with."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "recipes" / "compare.py"
TYPES = ("note_on", "note_off", "time_shift", "velocity")


def write_run(folder: Path, tokens: int, nats: float) -> None:
    """What a row leaves of which the script reads something."""
    (folder / "last").mkdir(parents=True)
    config = {"info": {"training": {"tokens": tokens}}}
    (folder / "last" / "config.json").write_text(json.dumps(config))
    row = {"validation_nats_per_token": nats, **{f"nats_{kind}": nats for kind in TYPES}}
    (folder / "metrics.jsonl").write_text(json.dumps(row) + "\n")


def compare(monkeypatch: pytest.MonkeyPatch, runs: Path, tokens: int) -> None:
    """The script's table of two rows; it does not come to training."""
    script: dict[str, Any] = runpy.run_path(str(SCRIPT))
    argv = ["compare.py", "data", str(runs), "--rows", "muon", "--tokens", str(tokens)]
    monkeypatch.setattr(sys, "argv", argv)
    script["main"]()


def test_rows_that_are_there_are_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "first", tokens=100, nats=3.0)
    write_run(tmp_path / "muon", tokens=100, nats=2.9)
    compare(monkeypatch, tmp_path, 100)
    *_, muon, first = capsys.readouterr().out.splitlines()
    assert muon == "| muon | 2.900 | -0.100 | 2.90 | 2.90 | 2.90 | 2.90 |"
    assert first.startswith("| first | 3.000 |  |")


def test_a_row_of_another_number_of_tokens_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "first", tokens=100, nats=3.0)
    write_run(tmp_path / "muon", tokens=99, nats=2.9)
    with pytest.raises(SystemExit, match="muon was made with --tokens 99, not 100: use another"):
        compare(monkeypatch, tmp_path, 100)
    assert capsys.readouterr().out == ""
