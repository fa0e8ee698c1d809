"""scripts/judge_session.py plays on the page, downloads what was played, and judges it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from midirnn.cli.main import main
from midirnn.midifile import read_midi, write_midi
from midirnn.performance import Performance
from tests.datasets.songs import write_song
from tests.live.stage import write_tiny_model
from tests.web.jams import needs_chromium

SCRIPT = Path(__file__).parents[2] / "scripts" / "judge_session.py"
PLAYERS = {"both", "the model alone"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    lines = ["path,split"]
    for seed in range(6):
        split = ("train", "test", "validation")[seed % 3]
        write_song(folder / "songs" / f"{split}{seed}.mid", seed, notes=30)
        lines.append(f"songs/{split}{seed}.mid,{split}")
    (folder / "splits.csv").write_text("\n".join(lines))
    argv = ["encode", str(folder / "songs"), "-o", str(folder / "data"), "--workers", "1"]
    assert main([*argv, "--splits", str(folder / "splits.csv")]) == 0
    return folder / "data"


def judge(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@needs_chromium
def test_a_session_is_played_in_a_browser_and_judged(tmp_path: Path, dataset: Path) -> None:
    (tmp_path / "model").mkdir()
    model = write_tiny_model(tmp_path / "model")
    played = ("--play", "3", "--seconds", "2", "--model", model, "--json")
    done = judge(tmp_path / "session.mid", dataset, *played)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == PLAYERS
    assert found["both"]["notes"] == len(read_midi(tmp_path / "session.mid")) > 6
    assert found["both"]["notes"] > found["the model alone"]["notes"] > 0
    assert all(len(each["each"]) >= 2 for each in found.values())


def test_a_session_that_is_there_is_judged_as_both_played_it(tmp_path: Path, dataset: Path) -> None:
    notes = [(at / 4, at / 4 + 0.2, 60 + at % 12, 80) for at in range(18)]
    write_midi(Performance.from_notes(notes), tmp_path / "session.mid")
    done = judge(tmp_path / "session.mid", dataset, "--seconds", "2")
    assert done.returncode == 0, done.stderr
    assert "both: 18 notes in 2 excerpts of 2 s" in done.stdout
    assert "no onset for over 6 s" in done.stdout


def test_a_session_that_is_too_short_is_told_in_a_line(tmp_path: Path, dataset: Path) -> None:
    write_midi(Performance.from_notes([(0.0, 1.0, 60, 80)]), tmp_path / "session.mid")
    done = judge(tmp_path / "session.mid", dataset)
    assert done.returncode == 1
    assert done.stderr == "the session is shorter than an excerpt of 30 s: see --seconds\n"
