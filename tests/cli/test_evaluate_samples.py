"""``midirnn evaluate --samples``: how a model plays, in numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from midirnn.cli.main import main
from midirnn.midifile import read_midi
from midirnn.models.checkpoint import write_checkpoint
from tests.datasets.songs import write_song
from tests.engines.stepping import CODEC, CONFIGS, trained_weights

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set (data) and a model (model)."""
    folder = tmp_path_factory.mktemp("place")
    lines = ["path,split"]
    for seed in range(9):
        split = ("train", "test", "validation")[seed % 3]
        write_song(folder / "songs" / f"{split}{seed}.mid", seed, notes=30)
        lines.append(f"songs/{split}{seed}.mid,{split}")
    (folder / "splits.csv").write_text("\n".join(lines))
    argv = ["encode", str(folder / "songs"), "-o", str(folder / "data"), "--workers", "1"]
    assert main([*argv, "--splits", str(folder / "splits.csv")]) == 0
    (folder / "model").mkdir()
    write_checkpoint(folder / "model", CONFIGS[1], CODEC, trained_weights(CONFIGS[1]), {})
    return folder


def argv(place: Path, *flags: str) -> list[str]:
    return ["evaluate", str(place / "model"), str(place / "data"), *flags]


def sampling(place: Path, *flags: str, samples: int = 3) -> list[str]:
    few = (f"--samples={samples}", "--sample-seconds=2", "--engine=numpy")
    return argv(place, *few, "--max-note-seconds=0.5", *flags)


def report(capsys: Capture, command: list[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*command, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_report_says_what_was_made_and_what_was_found(place: Path, capsys: Capture) -> None:
    found = report(capsys, sampling(place, "--seed=4"))
    assert found["model"] == str(place / "model")
    assert (found["split"], found["samples"], found["sample_seconds"]) == ("test", 3, 2.0)
    assert found["sampling"]["max_note_seconds"] == 0.5
    assert found["training_pieces"] == 3
    assert [row["seed"] for row in found["each"]] == [4, 5, 6]
    assert found["found"]["samples"]["pieces"] == found["found"]["test"]["pieces"] == 3
    for row in found["each"]:
        assert row["copied_from"].startswith("songs/train") == (row["copied_notes"] > 0)


def test_the_same_seed_gives_the_same_report_with_any_number_of_workers(
    place: Path, capsys: Capture
) -> None:
    once = report(capsys, sampling(place))
    assert report(capsys, sampling(place, "--workers=2")) == once
    assert report(capsys, sampling(place, "--seed=9"))["each"] != once["each"]


def test_pieces_are_kept_as_generate_writes_them(
    place: Path, tmp_path: Path, capsys: Capture
) -> None:
    kept = tmp_path / "deep" / "kept"
    found = report(capsys, sampling(place, "--save", str(kept), "--seed=2"))
    assert sorted(p.name for p in kept.iterdir()) == [f"sample-0{n}.mid" for n in (1, 2, 3)]
    flags = ["--count=3", "--seed=2", "--seconds=2", "--engine=numpy", "--max-note-seconds=0.5"]
    output = str(tmp_path / "made.mid")
    assert main(["generate", "-o", output, "--model", str(place / "model"), *flags]) == 0
    for index, row in enumerate(found["each"]):
        path = kept / f"sample-0{index + 1}.mid"
        assert path.read_bytes() == (tmp_path / f"made-{index + 1}.mid").read_bytes()
        assert len(read_midi(path)) == row["notes"]


def test_another_split_stands_beside_the_samples(place: Path, capsys: Capture) -> None:
    found = report(capsys, sampling(place, "--split=validation"))
    assert set(found["found"]) == {"samples", "validation"}


def test_in_words_it_is_a_table(place: Path, capsys: Capture) -> None:
    capsys.readouterr()
    assert main(sampling(place)) == 0
    first, _, head, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{place / 'model'}, 3 pieces of 2 s, beside {place / 'data'} (test)")
    assert head.split()[:2] == ["samples", "test"]
    assert any(line.startswith("  notes_per_second ") for line in lines)
    assert lines[-1].startswith("  over 24 notes copied")


def test_torch_is_not_loaded_for_samples(place: Path) -> None:
    program = (
        f"import sys; from midirnn.cli.main import main; code = main({sampling(place)!r}); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--samples=-1"], "--samples is -1; it must be at least 0"),
        (["--samples=1"], "--samples is 1; at least 2 are needed"),
        (["--samples=2", "--seed=-1"], "--seed is -1; it must be at least 0"),
        (["--samples=2", "--workers=0"], "--workers is 0; it must be at least 1"),
        (["--samples=2", "--sample-seconds=0"], "--sample-seconds is 0; allowed are above 0"),
        (["--samples=2", "--sample-seconds=nan"], "--sample-seconds is nan"),
        (["--samples=2", "--sample-seconds=90"], "0 of 3 test pieces last 90 s or more"),
        (["--samples=2", "--split=train"], "--split is 'train', on which the model was trained"),
        (["--samples=2", "--split=exam"], "has no split 'exam'; it has train, validation, test"),
        (["--samples=2", "--no-mask"], "--mask, --pieces, --threads and --bf16 are for"),
        (["--samples=2", "--temperature=-1"], "temperature is -1.0; allowed are 0 to 10"),
        (["--samples=2", "--sample-seconds=2", "--engine=steam"], "there is no engine 'steam'"),
        (["--samples=2", "--follow=0"], "--follow is for --continuations"),
        (["--seed=3"], "give the number of pieces to generate with --samples"),
        (
            ["--top-p=0.9"],
            "give the number of pieces to generate with --samples",
        ),
    ],
)
def test_flags_that_mean_nothing_are_refused(
    place: Path, capsys: Capture, flags: list[str], message: str
) -> None:
    capsys.readouterr()
    assert main(argv(place, *flags)) == 1
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert message in line
    assert captured.out == ""


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_generated(
    place: Path, capsys: Capture
) -> None:
    taken = place / "splits.csv" / "kept"
    capsys.readouterr()
    assert main(sampling(place, "--save", str(taken))) == 1
    line = capsys.readouterr().err.strip()
    assert line == f"midirnn: error: {taken} cannot be written (Not a directory)"
