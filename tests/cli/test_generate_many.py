"""``midirnn generate``: many pieces, in processes and batches, resumed; and the best of many."""

from __future__ import annotations

from pathlib import Path

import pytest

from midirnn.cli.main import main

MODEL = ("--model", "piano-small", "--seconds", "1", "--seed", "7")


def generate(folder: Path, *arguments: str) -> dict[str, bytes]:
    folder.mkdir(exist_ok=True)
    assert main(["generate", "-o", str(folder / "a.mid"), *MODEL, *arguments]) == 0
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_pieces_depend_neither_on_the_workers_nor_on_the_batch(tmp_path: Path) -> None:
    first = generate(tmp_path / "1", "--count", "5", "--batch", "1")
    assert generate(tmp_path / "2", "--count", "5", "--batch", "4") == first
    assert generate(tmp_path / "3", "--count", "5", "--batch", "3", "--workers", "2") == first
    alone = generate(tmp_path / "4", "--count", "2")
    assert generate(tmp_path / "5", "--count", "2", "--workers", "2") == alone


def test_what_exists_is_kept_when_a_set_of_pieces_is_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = generate(tmp_path / "1", "--count", "3", "--batch", "2")
    (tmp_path / "1" / "a-2.mid").unlink()
    (tmp_path / "1" / "a-3.mid").write_bytes(b"mine")
    again = generate(tmp_path / "1", "--count", "3", "--batch", "2", "--resume")
    assert again == whole | {"a-3.mid": b"mine"}
    assert "2 of 3 files exist and are kept" in capsys.readouterr().err


def test_the_best_of_many_is_written_and_all_measures_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate(tmp_path / "1", "--best-of", "4", "--key", "C", "--by", "key")
    error = capsys.readouterr().err
    assert "key of 4 candidates: 1.000, 1.000" in error


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--count", "3", "--workers", "0"], "--workers is 0"),
        (["--count", "3", "--batch", "0"], "--batch is 0; it must be at least 1"),
        (["--best-of", "0"], "--best-of is 0"),
        (["--best-of", "2", "--by", "beauty"], "there is no measure 'beauty'"),
        (["--best-of", "2", "--by", "continuity"], "continuity is nearness to a primer"),
        (["--best-of", "2", "--engine", "onnxruntime"], "--best-of draws in one batch"),
        (["--model", "folk", "--best-of", "2"], "are for music"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    model = MODEL[4:] if "--model" in arguments else MODEL
    assert main(["generate", "-o", str(tmp_path / "a.mid"), *model, *arguments]) == 1
    assert line in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_resuming_needs_the_seed_of_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "-o", str(tmp_path / "a.mid"), "--count", "2", "--resume"]) == 1
    assert "give the --seed of the rest" in capsys.readouterr().err
