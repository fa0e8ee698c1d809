"""``midirnn likelihood``: figures, the surprise of each note, a picture, and errors in one line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from midirnn.cli.main import main
from midirnn.sampling import likelihood
from tests.datasets.songs import write_song

MODEL = ("--model", "piano-small")


@pytest.fixture
def songs(tmp_path: Path) -> list[Path]:
    """Two MIDI files."""
    return [write_song(tmp_path / f"{name}.mid", seed) for seed, name in enumerate("ab")]


def test_it_prints_a_line_for_each_file_and_one_for_all(
    songs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["likelihood", *map(str, songs), *MODEL]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    expected = [f"{likelihood(song, 'piano-small').nats_per_token:.4f}" for song in songs]
    assert [line.split()[0] for line in lines[:2]] == expected
    assert lines[2].endswith("all of them")


def test_json_sums_up_the_files(songs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["likelihood", *map(str, songs), *MODEL, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    each = list(found["files"].values())
    assert found["all"]["tokens"] == sum(one["tokens"] for one in each)
    assert found["all"]["nats_per_note"] == pytest.approx(
        sum(one["nats"] for one in each) / sum(one["notes"] for one in each)
    )


def test_a_table_of_notes_and_a_picture_are_written(songs: list[Path], tmp_path: Path) -> None:
    notes, picture = tmp_path / "notes.csv", tmp_path / "notes.png"
    argv = ["likelihood", str(songs[0]), *MODEL, "--notes", str(notes), "--plot", str(picture)]
    assert main(argv) == 0
    rows = list(csv.DictReader(notes.read_text(encoding="utf-8").splitlines()))
    found = likelihood(songs[0], "piano-small")
    assert found.performance is not None
    assert [int(row["pitch"]) for row in rows] == found.performance.pitch.tolist()
    assert sum(float(row["nats"]) for row in rows) == pytest.approx(found.nats.sum(), abs=0.01)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--notes", "notes.txt"], "its name must end in .csv"),
        (["--plot", "notes.txt"], "its name must end in .png"),
        (["--plot", "notes.png"], "--plot draws one file; 2 were given"),
        (["--engine", "abacus"], "error: there is no engine 'abacus'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    songs: list[Path],
    options: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["likelihood", *map(str, songs), *MODEL, *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line


def test_a_file_without_notes_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_song(tmp_path / "empty.mid", notes=0)
    assert main(["likelihood", str(path), *MODEL]) == 1
    assert "empty.mid: there is nothing to measure" in capsys.readouterr().err
