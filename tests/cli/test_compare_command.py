"""``midirnn compare``: a table, JSON, a picture, and files that are left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from midirnn.cli.main import main
from midirnn.midifile import read_midi
from tests.datasets.songs import write_song, write_songs


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    """Two folders of MIDI files."""
    first, second = write_songs(tmp_path / "first", 3), tmp_path / "second"
    second.mkdir()
    for seed in range(4):
        write_song(second / f"{seed}.mid", seed + 100)
    return str(first), str(second)


def test_it_prints_a_table_and_draws_a_picture(
    folders: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "sets.png"
    assert main(["compare", *folders, "--seconds", "5", "--plot", str(picture)]) == 0
    captured = capsys.readouterr()
    assert "(3 files)" in captured.out and "(4 files)" in captured.out
    assert captured.out.endswith("a set has fewer than 10 files: the overlaps say little\n")
    assert captured.err == ""
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_time_after_the_end_of_all_files_does_not_count(
    folders: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    longest = max(read_midi(path).duration for f in folders for path in Path(f).glob("*.mid"))
    reports = []
    for seconds in (longest, 100.0 * longest):
        assert main(["compare", *folders, "--json", "--seconds", f"{seconds}"]) == 0
        reports.append(json.loads(capsys.readouterr().out))
    assert reports[0]["seconds"] == pytest.approx(longest)
    assert reports[1] == reports[0]


def test_what_cannot_be_read_is_named_and_left_out(
    folders: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(folders[0], "broken.mid").write_bytes(b"MThd")
    write_song(Path(folders[0], "empty.mid"), notes=0)
    assert main(["compare", *folders, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["pieces"] == {"first": 3, "second": 4}
    broken, empty = sorted(captured.err.splitlines())
    assert "left out" in broken and "broken.mid" in broken
    assert empty.endswith("empty.mid: it has no notes")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--seconds", "0"], "--seconds is 0; it must be above 0"),
        (["--seconds", "nan"], "--seconds is nan"),
        (["--plot", "sets.mid"], "its name must end in .png"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    folders: tuple[str, str], options: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *folders, *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line


def test_an_empty_folder_is_told(
    folders: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none").mkdir()
    assert main(["compare", folders[0], str(tmp_path / "none")]) == 1
    assert "no files *.mid" in capsys.readouterr().err
