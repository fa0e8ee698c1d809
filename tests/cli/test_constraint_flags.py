"""``midirnn generate`` under constraints: the flags, all at once, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from midirnn.cli.main import main
from midirnn.midifile import read_midi
from midirnn.sampling.constraints import parse_chord, parse_scale

MODEL = ("--model", "piano-small", "--seed", "1")


def generate(path: Path, *arguments: str) -> int:
    return main(["generate", "-o", str(path), *MODEL, *arguments])


def test_a_key_a_chart_and_a_range_make_a_piece_of_exact_length(tmp_path: Path) -> None:
    path = tmp_path / "a.mid"
    chart = ["--key", "D minor", "--chords", "Dm | A7", "--tempo", "120", "--range", "C2:C6"]
    assert generate(path, *chart, "--exact", "--seconds", "9", "--silence", "4-4.5") == 0
    piece = read_midi(path)
    allowed = parse_scale("D minor") | parse_chord("A7")
    assert set((piece.pitch % 12).tolist()) <= allowed
    assert piece.pitch.min() >= 36
    assert piece.pitch.max() <= 84
    assert piece.pedal_time.max() == pytest.approx(9.0, abs=0.002)
    assert piece.duration <= 8.002
    assert not ((piece.start < 4.49) & (piece.end > 4.01)).any()


def test_curves_lead_from_soft_to_loud(tmp_path: Path) -> None:
    curves = tmp_path / "curves.toml"
    curves.write_text("loudness = [[0, 20], [12, 110]]\n")
    path = tmp_path / "a.mid"
    assert generate(path, "--seconds", "12", "--curves", str(curves)) == 0
    piece = read_midi(path)
    assert piece.velocity[piece.start < 3].mean() < 50
    assert piece.velocity[piece.start > 9].mean() > 80


def test_a_curve_of_no_notes_at_all_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    curves = tmp_path / "curves.toml"
    curves.write_text("notes_per_second = [[0, 0], [4, 0], [5, 9]]\n")
    assert generate(tmp_path / "a.mid", "--seconds", "4", "--curves", str(curves)) == 1
    error = capsys.readouterr().err
    assert "the curve of notes per second leaves nothing to play from 0 to 4 s" in error
    assert generate(tmp_path / "a.mid", "--seconds", "6", "--curves", str(curves)) == 0
    assert len(read_midi(tmp_path / "a.mid")) > 0


def test_a_silence_that_leaves_the_end_is_followed_by_notes(tmp_path: Path) -> None:
    assert generate(tmp_path / "a.mid", "--seconds", "5", "--silence", "0-4") == 0
    assert read_midi(tmp_path / "a.mid").start.min() >= 3.99


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--key", "H minor"], "'H minor' is no key"),
        (["--chords", "C | Z"], "'Z' is no chord"),
        (["--tempo", "90"], "--tempo is the tempo of --chords"),
        (["--chords", "C", "--tempo", "0"], "tempo is 0; allowed are 10 to 400"),
        (["--range", "high"], "--range is 'high'; write it like C2:C6"),
        (["--range", "C6:C2"], "the range of pitches is 84 to 36"),
        (["--silence", "soon"], "--silence is 'soon'"),
        (["--silence", "5-2"], "a silence lasts from 5 to 2 s"),
        (["--polyphony", "0"], "polyphony is 0; allowed are 1 to 128"),
        (["--curves", "nowhere.csv"], "nowhere.csv cannot be read"),
        (["--exact", "--seconds", "0.5"], "the exact length is 0.5 s; it must be over 1"),
        (["--key", "C", "--range", "61:62"], "the key and the range 61 to 62 leave no pitch"),
        (
            ["--silence", "0-30", "--seconds", "5"],
            "the silence from 0 to 30 s leaves nothing to play from 0 to 5 s",
        ),
        (
            ["--silence", "0-3", "--exact", "--seconds", "3"],
            "the silence from 0 to 3 s and the rest of 1 s at the exact end leave nothing to play",
        ),
        (
            ["--silence=0-2", "--silence=1.5-4", "--seconds=4", "--count=2", "--batch=2"],
            "leave noth",
        ),
        (["--model", "folk", "--key", "C"], "constraints are for music"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    model = () if "--model" in arguments else MODEL
    assert main(["generate", "-o", str(tmp_path / "a.mid"), *model, *arguments]) == 1
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
