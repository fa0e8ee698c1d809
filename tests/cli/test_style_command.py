"""``midirnn style``: music between two pieces, a map of many, and errors in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from midirnn.cli.main import main
from midirnn.midifile import read_midi, write_midi
from midirnn.performance import Performance
from tests.probing.planted import long_song

MODEL = ("--model", "piano-small")


@pytest.fixture
def songs(tmp_path: Path) -> list[str]:
    """Two MIDI files."""
    paths = [tmp_path / f"{name}.mid" for name in "ab"]
    for seed, path in enumerate(paths):
        write_midi(long_song(seed), path)
    return [str(path) for path in paths]


def test_music_between_two_pieces_is_written(
    songs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.mid"
    options = ["--blend", "0.5", "-o", str(output), "--seconds", "3", "--seed", "4"]
    assert main(["style", *songs, *MODEL, *options]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()[1:]
    assert heading.split() == ["notes/s", "velocity", "pitch"]
    assert [line.split()[-1] for line in lines] == [*songs, str(output)]
    assert read_midi(output).duration <= 3.0 + 1e-6


def test_json_has_what_was_heard_and_what_was_played(
    songs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "out.mid")
    options = ["-o", output, "--seconds", "2", "--seed", "4", "--follow", "1", "--json"]
    assert main(["style", *songs, *MODEL, *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["measures"]) == {*songs, output}
    assert set(found["measures"][output]) == {"density", "loudness", "register"}


def test_a_map_is_drawn_of_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(8):
        folder = tmp_path / ("loud" if seed % 2 else "soft")
        folder.mkdir(exist_ok=True)
        song = long_song(seed)
        louder = song.replace(velocity=(song.velocity // 4 + (90 if seed % 2 else 5)).astype("u1"))
        write_midi(louder, folder / f"{seed}.mid")
    (tmp_path / "soft" / "no.mid").write_bytes(b"not MIDI")
    picture = tmp_path / "map.png"
    folders = [str(tmp_path / name) for name in ("loud", "soft")]
    options = ["--map", str(picture), "--primer-seconds", "8", "--seed", "1", "--json"]
    assert main(["style", *folders, *MODEL, *options]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert len(found["places"]) == 8
    assert found["nearest"]["right"] > 0.9
    assert found["nearest"]["guessed"] == pytest.approx(3 / 7)
    assert "left out: " in err
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_map_takes_all_kinds_of_midi_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [tmp_path / name for name in ("songs", "karaoke")]
    for folder, suffix in zip(folders, (".mid", ".kar"), strict=True):
        folder.mkdir()
        for seed in range(2):
            write_midi(long_song(seed), folder / f"{seed}{suffix}")
    options = ["--map", str(tmp_path / "map.png"), "--primer-seconds", "2", "--json"]
    assert main(["style", *map(str, folders), *MODEL, *options]) == 0
    assert len(json.loads(capsys.readouterr().out)["places"]) == 4


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-o", "out.mid", "--blend", "2"], "--blend is 2; allowed are 0 to 1"),
        (["-o", "out.txt"], "its name must end in"),
        ([], "choose a file for the music with -o"),
        (["-o", "out.mid", "--model", "folk"], "folk"),
        (["-o", "out.mid", "--model", "humanize"], "only models of 'language_model'"),
        (["-o", "out.mid", "--map", "map.png"], "give one of them"),
        (["--map", "map.png"], "is no folder"),
        (["--map", "map.gif"], "its name must end in .png"),
        (["--map", "map.png", "--blend", "7"], "--blend has no effect with --map"),
        (["--map", "map.png", "--seconds", "30"], "--seconds has no effect with --map"),
        (["--map", "map.png", "--follow", "0"], "--follow has no effect with --map"),
        (["--map", "map.png", "--engine", "numpy"], "--engine has no effect with --map"),
        (["--map", "map.png", "--top-k", "3"], "--top-k has no effect with --map"),
        (["-o", "-", "--json"], "--json and -o - both write to standard output"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    songs: list[str],
    options: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert main(["style", *songs, *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    if reason != "folk":
        assert reason in line
    assert sorted(tmp_path.iterdir()) == before


def test_a_piece_without_notes_and_three_pieces_are_refused(
    songs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.mid"
    write_midi(Performance(), empty)
    output = ["-o", str(tmp_path / "out.mid")]
    assert main(["style", songs[0], str(empty), *MODEL, *output]) == 1
    assert "empty.mid: there is nothing to hear" in capsys.readouterr().err
    assert main(["style", *songs, songs[0], *MODEL, *output]) == 1
    assert "3 sources were given" in capsys.readouterr().err
    assert main(["style", songs[0], *MODEL, *output]) == 1
    assert "1 source was given" in capsys.readouterr().err
    assert not (tmp_path / "out.mid").exists()
