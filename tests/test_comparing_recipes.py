"""The scripts that compare recipes: what they train, what is there already, their table."""

from __future__ import annotations

import importlib
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from midirnn.datasets import SplitShares, encode_files
from midirnn.models.checkpoint import read_checkpoint
from tests.datasets.songs import write_songs

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


@pytest.fixture
def terms(monkeypatch: pytest.MonkeyPatch) -> Any:
    """compare_terms.py, with a base so small that a row takes as long as loading torch."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    module = importlib.import_module("compare_terms")
    small = {"--hidden-size": "16", "--batch-size": "2", "--window": "16"}
    monkeypatch.setattr(module, "BASE", {**module.BASE, **small, "--embedding-size": "8"})
    return module


def test_every_term_is_left_out_in_a_group_and_alone(terms: Any) -> None:
    grouped = [name for group in terms.GROUPS.values() for name in group]
    assert sorted(grouped) == sorted(terms.TERMS)
    rows = terms.rows_of(["recencies", "recency"])
    assert rows == {
        "first": {},
        "recencies": {"--without-terms": "recency,class_recency"},
        "recency": {"--without-terms": "recency"},
    }


def test_a_row_is_trained_without_its_terms_and_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], terms: Any
) -> None:
    songs = write_songs(tmp_path / "songs", 6)
    encode_files([songs], tmp_path / "data", splits=SplitShares(0.3, 0.0), workers=1)
    runs = tmp_path / "runs"
    argv = ["compare_terms.py", tmp_path / "data", runs, "--rows", "place", "--tokens", "64"]
    monkeypatch.setattr(sys, "argv", list(map(str, argv)))
    terms.main()
    table = capfd.readouterr().out.splitlines()[-4:]
    assert {row.split(" ")[1] for row in table[2:]} == {"first", "place"}
    trained = read_checkpoint(runs / "place" / "last")
    assert trained.info["training"]["without_terms"] == "order,below,above"
    made = {path: path.stat().st_mtime_ns for path in runs.rglob("*")}
    terms.main()
    assert capfd.readouterr().out.splitlines() == table
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*")} == made
