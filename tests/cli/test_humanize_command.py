"""``midirnn humanize``: a score in, a performance out, and errors in one line."""

from __future__ import annotations

import io
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from midirnn import Part, Performance, read_midi, write_midi
from midirnn.cli.main import main
from tests.scores.examples import melody
from tests.scores.musicxml import waltz


@pytest.fixture
def score(tmp_path: Path) -> Path:
    write_midi(melody().written, tmp_path / "melody.mid")
    return tmp_path / "melody.mid"


def test_a_score_is_played_with_the_weights_in_the_package(
    score: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, again = tmp_path / "out" / "played.mid", tmp_path / "again.mid"
    assert main(["humanize", str(score), "-o", str(target), "--seed", "3"]) == 0
    assert "8 notes in" in (out := capsys.readouterr().out)
    assert "(seed 3)" in out
    assert Counter(read_midi(target).pitch.tolist()) == Counter(read_midi(score).pitch.tolist())
    assert len(set(read_midi(target).velocity.tolist())) > 1
    assert main(["humanize", str(score), "-o", str(again), "--seed", "3"]) == 0
    assert again.read_bytes() == target.read_bytes()


def test_musicxml_is_played_drawn_and_set_to_a_tempo(tmp_path: Path) -> None:
    pytest.importorskip("music21")
    source, target, picture = (tmp_path / name for name in ("w.musicxml", "w.mid", "w.png"))
    source.write_text(waltz(), encoding="utf-8")
    flags = ["--tempo", "60", "--plot", str(picture), "--amount", "0.5", "--seed", "1"]
    assert main(["humanize", str(source), "-o", str(target), *flags]) == 0
    assert len(read_midi(target)) == 9
    assert read_midi(target).start[-1] == pytest.approx(9.0, abs=0.2)
    assert picture.is_file()


def test_standard_input_goes_to_standard_output(
    score: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(score.read_bytes())))
    assert main(["humanize", "-", "-o", "-", "--seed", "1"]) == 0
    assert len(read_midi(capfdbinary.readouterr().out)) == 8


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--amount", "2"], "amount is 2; allowed are 0 (as written) to 1.5"),
        (["--tempo", "-3"], "tempo is -3; allowed are 5 to 1000"),
        (["--seed", "-1"], "seed is -1; it must be 0 or more"),
        (["--model", "piano-small"], "architecture 'language_model'; scores are played by"),
        (["--model", "humanise"], "one of those that come with midirnn (humanize)"),
        (["--plot", "picture.gif"], "its name must end in .png"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_before_anything_is_written(
    score: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], line: str
) -> None:
    assert main(["humanize", str(score), "-o", str(tmp_path / "a.mid"), *flags]) == 1
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert not (tmp_path / "a.mid").exists()


def test_files_that_are_no_scores_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drums = Performance.from_notes([(0.0, 0.1, 38, 90)], parts=[Part(channel=9)])
    write_midi(drums, tmp_path / "drums.mid")
    (tmp_path / "text.mid").write_text("no music", encoding="utf-8")
    for name, line in (
        ("drums.mid", "has only drums"),
        ("text.mid", "text.mid: "),
        ("gone.mid", "there is no such file"),
    ):
        assert main(["humanize", str(tmp_path / name), "-o", str(tmp_path / "a.mid")]) == 1
        assert line in capsys.readouterr().err
    assert not (tmp_path / "a.mid").exists()


def test_a_model_that_plays_scores_does_nothing_else(
    score: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["generate", "-o", str(tmp_path / "a.mid"), "--model", "humanize"]
    assert main(argv) == 1
    assert "only models of 'language_model' can be played" in capsys.readouterr().err
    assert main(["info", "humanize"]) == 0
    assert "humanizer" in capsys.readouterr().out


def test_drums_keep_their_velocities_and_follow_the_tempo(tmp_path: Path) -> None:
    song = melody().written
    both = song.replace(
        parts=(Part(), Part(channel=9)),
        part=np.where(np.arange(8) == 3, 1, 0).astype(np.int32),
        velocity=np.where(np.arange(8) == 3, 111, 64).astype(np.uint8),
    )
    write_midi(both, tmp_path / "both.mid")
    assert main(["humanize", str(tmp_path / "both.mid"), "-o", str(tmp_path / "a.mid")]) == 0
    played = read_midi(tmp_path / "a.mid", drums=True)
    drums = [note for note in played if played.parts[note.part].is_drum]
    assert [(note.pitch, note.velocity) for note in drums] == [(65, 111)]
    assert len(played) == 8
