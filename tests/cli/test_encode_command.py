"""``midirnn encode`` and ``midirnn plot``: flags reach the library, reports reach the user."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from midirnn.cli.main import main
from midirnn.codecs import PerformanceCodec
from midirnn.datasets import Dataset
from tests.datasets.songs import write_song, write_songs


def test_encode_writes_a_data_set_and_prints_what_it_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    songs = write_songs(tmp_path / "songs", 4)
    (songs / "bad.mid").write_bytes(b"")
    out = tmp_path / "out"
    argv = ["encode", str(songs), "-o", str(out), "--validation-share=0", "--test-share=0"]
    assert main(argv) == 0
    captured = capsys.readouterr()
    count = Dataset.open(out).counts["train"]
    assert f"train                4 {count.tokens:>13,}" in captured.out
    assert captured.err == (
        f"refused: 1 file (1 empty), listed in {out / 'refused.jsonl'}\n"
        "  bad.mid: is empty (0 bytes)\n"
    )


def test_encode_takes_the_settings_of_the_codec(tmp_path: Path) -> None:
    path, out = write_song(tmp_path / "a.mid"), tmp_path / "out"
    flags = ["--steps-per-second=50", "--max-shift-steps", "25", "--velocity-bins", "4"]
    assert main(["encode", str(path), "--output", str(out), *flags]) == 0
    assert Dataset.open(out).codec == PerformanceCodec(50, 25, 4)


def test_encode_takes_a_table_and_conditions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_songs(tmp_path / "songs", 4)
    table = tmp_path / "splits.csv"
    table.write_text(
        "path,split,kind,duplicate_of\n"
        "songs/song00.mid,train,performance,\n"
        "songs/song02.mid,test,performance,songs/song00.mid\n"
        "songs/deep/song01.mid,test,score,\n"
        "songs/gone.mid,test,performance,\n"
    )
    conditions = ["--where", "kind=performance", "--where", "duplicate_of="]
    out = tmp_path / "out"
    argv = ["encode", str(tmp_path), "-o", str(out), "--splits", str(table), *conditions]
    assert main(argv) == 0
    assert Dataset.open(out).splits == ("train",)
    assert capsys.readouterr().err == (
        "left out: 3 files that the table does not name\nmissing: 1 file that the table names\n"
    )
    options = json.loads((out / "dataset.json").read_text())["options"]
    assert options["splits"]["where"] == ["kind=performance", "duplicate_of="]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--where", "a=b"], "name the table with --splits"),
        (["--splits", "t.csv", "--test-share", "0.1"], "give --splits or shares, not both"),
        (["--splits", "t.csv"], "t.csv: there is no such table of splits"),
        (["--velocity-bins", "200"], "--velocity-bins is 200; allowed are 0 to 127"),
        (["--workers", "0"], "workers is 0"),
    ],
)
def test_encode_refuses_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    path = write_song(tmp_path / "a.mid")
    assert main(["encode", str(path), "-o", str(tmp_path / "out"), *flags]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


def test_encode_says_how_to_replace_a_data_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["encode", str(write_song(tmp_path / "a.mid")), "-o", str(tmp_path / "out")]
    assert main(argv) == 0
    capsys.readouterr()
    assert main(argv) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("exists; replace it with --overwrite or choose another --output")
    assert main([*argv, "--overwrite"]) == 0


def test_plot_draws_a_midi_file_and_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, picture = write_song(tmp_path / "a.mid"), tmp_path / "roll.png"
    assert main(["plot", str(path), "-o", str(picture), "--primer", "2"]) == 0
    assert capsys.readouterr().out == f"{picture}: the piano roll of {path}\n"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_plot_draws_runs_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = {"step": 1, "tokens": 100, "loss": 3.0, "lr": 0.1, "tokens_per_second": 10.0}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    picture = tmp_path / "curves.svg"
    argv = ["plot", str(tmp_path / "one"), str(tmp_path / "two"), "-o", str(picture)]
    assert main(argv) == 0
    said = f"{picture}: the curves of {tmp_path / 'one'}, {tmp_path / 'two'}\n"
    assert capsys.readouterr().out == said
    assert "<svg" in picture.read_text()


def test_plot_draws_one_run_into_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = {"step": 1, "tokens": 100, "loss": 3.0, "lr": 0.1, "tokens_per_second": 10.0}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    assert main(["plot", str(tmp_path)]) == 0
    picture = tmp_path / "curves.png"
    assert capsys.readouterr().out == f"{picture}: the curves of {tmp_path}\n"
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("sources", [["a.mid"], [".", "."]])
def test_plot_asks_where_else_it_shall_draw(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sources: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_song(Path("a.mid"))
    assert main(["plot", *sources]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "choose a file with --output" in line


@pytest.mark.parametrize(
    ("sources", "flags", "message"),
    [
        (["nowhere.mid"], [], "there is no such file or folder"),
        (["a.mid", "a.mid"], [], "2 sources were given"),
        (["a.mid", "."], [], "2 sources were given"),
        (["."], [], "holds no metrics.jsonl"),
        (["."], ["--primer", "3"], "training runs have no primer"),
        (["a.mid"], ["--primer", "-3"], "--primer is -3; a.mid lasts"),
        (["bad.mid"], [], "is not a MIDI file"),
    ],
)
def test_plot_refuses_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sources: list[str],
    flags: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_song(Path("a.mid"))
    Path("bad.mid").write_text("no music")
    assert main(["plot", *sources, "-o", "x.png", *flags]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not Path("x.png").exists()


def test_too_few_files_for_the_splits_are_told_with_what_is_amiss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_song(tmp_path / "a.mid")
    argv = ["encode", str(tmp_path / "a.mid"), "-o", str(tmp_path / "data")]
    assert main(argv) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("no file is in validation or test: midirnn train will not validate")
    shares = ["--validation-share=0", "--test-share=0"]
    assert main([*argv, "--overwrite", *shares]) == 0
    assert capsys.readouterr().err == ""
