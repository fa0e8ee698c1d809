"""``midirnn cells``: a table, a picture, JSON, and errors in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from midirnn.cli.main import main
from midirnn.engines.load import load
from midirnn.midifile import write_midi
from midirnn.performance import Part, Performance
from midirnn.probing.watching import UNITS_FILE, read_watched
from tests.probing.planted import long_song

TUNE = """M:6/8
K:D
|:d2f a2f|e2c A2c|d2f a2f|e2c d3:|
|:f2a f2d|e2g e2c|d2f a2f|e2c d3:|

"""


@pytest.fixture
def songs(tmp_path: Path) -> list[Path]:
    """Two MIDI files."""
    paths = [tmp_path / f"{name}.mid" for name in "ab"]
    for seed, path in enumerate(paths):
        write_midi(long_song(seed), path)
    return paths


def test_a_table_is_printed_and_a_picture_drawn(
    songs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "cells.png"
    assert main(["cells", "piano-small", *map(str, songs), "-o", str(picture)]) == 0
    heading, *lines, drawn = capsys.readouterr().out.splitlines()
    assert heading.split() == ["signal", "unit", "chosen", "on", "shown", "on"]
    assert {"loudness", "density", "register", "pedal"} <= {line.split()[0] for line in lines}
    assert str(picture) in drawn
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_json_holds_the_units_of_one_state(
    songs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--state", "h", "--each", "3", "--json", "--seconds", "10"]
    assert main(["cells", "piano-small", str(songs[0]), *options]) == 0
    found = json.loads(capsys.readouterr().out)
    of_loudness = [unit for unit in found["units"] if unit["signal"] == "loudness"]
    assert [unit["state"] for unit in of_loudness] == ["h"] * 3
    sizes = [abs(unit["fitted"]) for unit in of_loudness]
    assert sizes == sorted(sizes, reverse=True)
    assert {unit["layer"] for unit in found["units"]} <= {1, 2, 3}


def test_probes_compare_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / f"{seed}.mid" for seed in range(4)]
    for seed, path in enumerate(paths):
        write_midi(long_song(seed), path)
    picture = tmp_path / "probes.png"
    given = ["cells", "piano-small", *map(str, paths), "--probe", "--seconds", "12"]
    assert main([*given, "-o", str(picture)]) == 0
    heading, *rows, _ = capsys.readouterr().out.splitlines()
    assert heading.split() == ["piano-small", "token", "layer", "1", "layer", "2", "layer", "3"]
    assert {"loudness", "density", "register"} <= {row.split()[0] for row in rows}
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main([*given, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["layer"] for row in found["piano-small"]} == {"token", 1, 2, 3}


def test_units_are_saved_beside_the_weights(
    songs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(load("piano-small").folder, folder)
    (folder / UNITS_FILE).unlink(missing_ok=True)
    assert main(["cells", str(folder), *map(str, songs), "--save"]) == 0
    assert f"{folder / UNITS_FILE}: " in capsys.readouterr().out
    watched = read_watched(folder, load(folder).config)
    assert "since onset" in {unit.signal for unit in watched}


def test_units_are_not_saved_into_a_model_that_comes_with_midirnn(
    songs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    units = load("piano-small").folder / UNITS_FILE
    before = units.read_bytes()
    assert main(["cells", "piano-small", str(songs[0]), "--save"]) == 1
    assert "piano-small comes with midirnn" in capsys.readouterr().err
    assert units.read_bytes() == before


def test_a_model_of_text_is_looked_into_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tune = tmp_path / "tune.abc"
    tune.write_text(TUNE * 3, encoding="utf-8")
    picture = tmp_path / "cells.svg"
    assert main(["cells", "folk", str(tune), "-o", str(picture)]) == 0
    out = capsys.readouterr().out
    assert "line length" in out
    assert "bar position" in out
    assert picture.stat().st_size > 5000


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-o", "cells.gif"], "its name must end in .png"),
        (["--each", "0"], "--each is 0; it must be at least 1"),
        (["--state", "x"], "have no state 'x'; they have h, c"),
        (["--seconds", "-1"], "--seconds is -1; it must be above 0"),
        (["--probe"], "number of pieces is 1; a probe needs at least 4"),
        (["--beside", "piano"], "add --probe"),
        (["--probe", "--state", "h"], "--state has no effect with --probe"),
        (["--probe", "--each", "1"], "--each has no effect with --probe"),
        (["--probe", "--heat", "9"], "--heat has no effect with --probe"),
        (["--probe", "--save"], "--save has no effect with --probe"),
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
    before = sorted(tmp_path.iterdir())
    assert main(["cells", "piano-small", str(songs[0]), *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("piece", "reason"),
    [
        (Performance(), "there is nothing to read"),
        (
            Performance.from_notes([(0.0, 0.1, 38, 90)] * 9).replace(parts=(Part(channel=9),)),
            "there is nothing to read",
        ),
        (Performance.from_notes([(0.0, 0.5, 60, 64)]), "80 are the least"),
    ],
    ids=["no notes", "drums alone", "one note"],
)
def test_a_file_in_which_there_is_too_little_is_refused(
    piece: Performance, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, picture = tmp_path / "piece.mid", tmp_path / "cells.png"
    write_midi(piece, path)
    assert main(["cells", "piano-small", str(path), "-o", str(picture)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line
    assert not picture.exists()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("humanize", "only models of 'language_model' can be"),
        ("ensemble", "the codec 'ensemble', which are neither notes nor text"),
        ("nobody", "there is no model 'nobody'"),
    ],
)
def test_a_model_that_has_no_such_units_is_refused(
    songs: list[Path], model: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cells", model, str(songs[0])]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line
