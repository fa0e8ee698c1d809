"""``midirnn evaluate --continuations``: how closely a model plays on in the style of a primer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from midirnn.cli.main import main
from midirnn.datasets import Dataset
from midirnn.midifile import read_midi
from midirnn.models.checkpoint import Weights, write_checkpoint
from tests.datasets.songs import write_song
from tests.engines.stepping import CODEC, CONFIGS, trained_weights

Capture = pytest.CaptureFixture[str]

LEFT_OUT = "left out: 1 test performances that last less than 110 s"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set (data), of which one test piece is short, and a model (model)."""
    folder = tmp_path_factory.mktemp("place")
    lines = ["path,split"]
    for seed, (split, notes) in enumerate(
        [("train", 30), ("validation", 30), *[("test", 700)] * 3, ("test", 30)]
    ):
        write_song(folder / "songs" / f"{split}{seed}.mid", seed, notes=notes)
        lines.append(f"songs/{split}{seed}.mid,{split}")
    (folder / "splits.csv").write_text("\n".join(lines))
    argv = ["encode", str(folder / "songs"), "-o", str(folder / "data"), "--workers", "1"]
    assert main([*argv, "--splits", str(folder / "splits.csv")]) == 0
    (folder / "model").mkdir()
    write_checkpoint(folder / "model", CONFIGS[0], CODEC, slow_weights(), {})
    return folder


def slow_weights() -> Weights:
    """Random weights that play few notes a second, so that minutes of music take little time."""
    weights = trained_weights(CONFIGS[0])
    weights["output.weight"] *= 0.3
    weights["output.bias"][CODEC.groups()["time_shift"]] += 11.0
    return weights


def argv(place: Path, *flags: str, count: int = 2) -> list[str]:
    command = ["evaluate", str(place / "model"), str(place / "data"), f"--continuations={count}"]
    return [*command, "--engine=numpy", "--max-note-seconds=0.5", *flags]


def report(capsys: Capture, command: list[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*command, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err.strip() == LEFT_OUT
    found: dict[str, Any] = json.loads(captured.out)
    return found


def test_the_report_has_the_distances_the_scale_and_each_piece(
    place: Path, capsys: Capture
) -> None:
    found = report(capsys, argv(place, "--seed=4"))
    assert (found["dataset"], found["split"]) == ("data", "test")
    assert (found["continuations"], found["left_out"]) == (2, 1)
    assert found["follow"] == 1.0
    assert found["sampling"]["max_note_seconds"] == 0.5
    assert found["scale"]["performances"] == 3
    spans = ["0-30", "0-10", "10-20", "20-30", "30-60"]
    assert list(found["scale"]["mean_between_pieces"]) == spans
    for name in ("pianist", "model"):
        assert list(found["distances"][name]) == spans
        assert set(found["distances"][name]["0-30"]) == {
            *("all", "density", "velocity", "register", "polyphony", "pitch_classes", "rhythm")
        }
    assert [row["seed"] for row in found["each"]] == [4, 5]
    assert [row["path"] for row in found["each"]] == ["songs/test2.mid", "songs/test3.mid"]


def test_the_same_seed_gives_the_same_report_with_any_number_of_workers(
    place: Path, capsys: Capture
) -> None:
    once = report(capsys, argv(place))
    assert report(capsys, argv(place, "--workers=2")) == once
    other = report(capsys, argv(place, "--seed=9"))
    assert other["distances"]["model"] != once["distances"]["model"]
    assert other["distances"]["pianist"] == once["distances"]["pianist"]


def test_primers_and_continuations_are_kept(place: Path, tmp_path: Path, capsys: Capture) -> None:
    report(capsys, argv(place, "--save", str(tmp_path / "kept"), count=1))
    (path,) = (tmp_path / "kept").iterdir()
    assert path.name == "continuation-01.mid"
    kept = read_midi(path)
    first = Dataset.open(place / "data").pieces("test")[0]
    primer = CODEC.decode(first).slice(20.0, 50.0)
    assert kept.slice(0.0, 29.0).pitch.tolist() == primer.slice(0.0, 29.0).pitch.tolist()
    assert 80.0 < kept.duration <= 90.01


def test_in_words_it_is_two_tables(place: Path, capsys: Capture) -> None:
    capsys.readouterr()
    assert main(argv(place, count=9)) == 0
    captured = capsys.readouterr()
    assert captured.err.strip() == LEFT_OUT
    lines = captured.out.splitlines()
    assert lines[0] == f"{place / 'model'}, 3 continuations of {place / 'data'} (test), --follow 1"
    rows = [line.split() for line in lines]
    for span in ("0-30", "0-10", "10-20", "20-30", "30-60"):
        for player in ("pianist", "model"):
            (row,) = [row for row in rows if row[:2] == [span, player]]
            assert len([float(value) for value in row[2:]]) == 7
    scale = report(capsys, argv(place, count=9))["scale"]["mean_between_pieces"]
    for span, of in scale.items():
        (row,) = [row for row in rows if row[:2] == [span, "scale"]]
        assert row[2:] == [f"{value:.2f}" for value in of.values()]
    assert sum(line.startswith("patterns that return") for line in lines) == 3
    assert lines[-1].startswith("standard error of 'all' in 0-30 s: ")
    assert sum(line.startswith("longest run of notes") for line in lines) == 3


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--follow=2"], "--follow is 2; allowed are 0 to 1"),
        (["--follow=nan"], "--follow is nan; allowed are 0 to 1"),
        (["--workers=0"], "--workers is 0; it must be at least 1"),
        (["--samples=2"], "--samples and --continuations are two measurements; choose one"),
        (["--sample-seconds=9"], "--sample-seconds is for --samples; continuations have lengths"),
        (["--pieces=3"], "it is not measured with --continuations"),
        (["--split=train"], "0 of 1 train performances last 110 s or more, and at least 2 must"),
        (["--split=exam"], "has no split 'exam'; it has train, validation, test"),
        (["--engine=steam"], "there is no engine 'steam'"),
    ],
)
def test_flags_that_mean_nothing_are_refused(
    place: Path, capsys: Capture, flags: list[str], message: str
) -> None:
    capsys.readouterr()
    command = ["evaluate", str(place / "model"), str(place / "data"), "--continuations=2"]
    assert main([*command, *flags]) == 1
    captured = capsys.readouterr()
    assert message in captured.err.splitlines()[-1]
    assert captured.out == ""
