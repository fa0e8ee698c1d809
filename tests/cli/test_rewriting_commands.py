"""``midirnn infill`` and ``midirnn vary``: a file in, a file out, and errors in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from midirnn.cli.main import main
from midirnn.midifile import read_midi
from tests.datasets.songs import write_song

MODEL = ("--model", "piano-small", "--seed", "1")


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "in" / "song.mid", 0)


def test_a_stretch_is_rewritten_and_the_candidates_are_judged(
    song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "a.mid"
    argv = ["infill", str(song), "-o", str(target), "--from", "1", "--to", "2"]
    assert main([*argv, "--candidates", "2", *MODEL]) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("nats of what follows each candidate (per token, with its own): ")
    assert "new notes from 1 to 2 s (seed 1)" in printed.out
    assert len(read_midi(target))


def test_velocities_are_varied_and_nothing_else(song: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.mid"
    argv = ["vary", str(song), "-o", str(target), "--what", "velocity", "--amount", "0.9"]
    assert main([*argv, *MODEL]) == 0
    before, after = read_midi(song), read_midi(target)
    for name in ("start", "end", "pitch", "pedal_time", "pedal_value"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert (before.velocity != after.velocity).any()


@pytest.mark.parametrize(
    ("command", "arguments", "line"),
    [
        ("infill", ["--from", "3", "--to", "300"], "the stretch is 3 to 300 s; allowed are 0 to "),
        ("infill", ["--from", "2", "--to", "1"], "s, its beginning first"),
        ("infill", ["--from", "1", "--to", "2", "--candidates", "0"], "candidates are 0"),
        ("infill", ["--from", "1", "--to", "2", "--model", "folk"], "music"),
        ("vary", ["--what", "colour"], "what is 'colour'"),
        ("vary", ["--what", "pitch", "--amount", "2"], "amount is 2"),
        ("vary", ["--what", "pitch", "--hand", "both"], "hand is 'both'"),
        ("vary", ["--what", "pitch", "--model", "folk"], "vary is for music"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_and_nothing_is_written(
    song: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    arguments: list[str],
    line: str,
) -> None:
    model = () if "--model" in arguments else MODEL
    output = "a.abc" if "folk" in arguments else "a.mid"
    assert main([command, str(song), "-o", str(tmp_path / output), *arguments, *model]) == 1
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert not (tmp_path / output).exists()
