"""Scores from files, and files that are none."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from midirnn import (
    MissingExtraError,
    Part,
    Performance,
    ScoreError,
    read_midi,
    read_score,
    write_midi,
)
from midirnn.parts import KeySignature, TimeSignature
from midirnn.scores import Meter
from tests.scores.examples import melody
from tests.scores.musicxml import NOTE, RESTS, musicxml, waltz

pytest.importorskip("music21")


@pytest.fixture
def waltz_file(tmp_path: Path) -> Path:
    path = tmp_path / "waltz.musicxml"
    path.write_text(waltz(), encoding="utf-8")
    return path


def test_a_midi_file_is_read_as_a_score(tmp_path: Path) -> None:
    write_midi(melody().written, tmp_path / "melody.mid")
    score = read_score(tmp_path / "melody.mid")
    assert score.onset.tolist() == melody().onset.tolist()
    assert score.pitch.tolist() == melody().pitch.tolist()
    assert read_score((tmp_path / "melody.mid").read_bytes()).pitch.tolist() == [*score.pitch]


def test_repeats_are_played_and_tied_notes_are_one(waltz_file: Path) -> None:
    score = read_score(waltz_file)
    assert score.pitch.tolist() == [67, 74, 64, 72, 76, 74, 64, 72, 76]
    assert score.onset.tolist() == [0, 0.875, 1, 1, 3, 6.875, 7, 7, 9]
    assert score.duration.tolist() == [1, 0.125, 2, 2, 2, 0.125, 2, 2, 2]


def test_the_first_whole_bar_begins_after_the_pickup(waltz_file: Path) -> None:
    assert read_score(waltz_file).meters == (Meter(1.0, 3, 4),)


def test_a_file_of_its_music_has_its_metre_and_its_key(tmp_path: Path) -> None:
    path = tmp_path / "waltz.musicxml"
    key = "<key><fifths>-2</fifths><mode>minor</mode></key>"
    path.write_text(waltz().replace("<time>", f"{key}<time>", 1), encoding="utf-8")
    written = read_score(path).written
    beat = 60 / 90
    assert written.signatures == (KeySignature(0.0, -2, True), TimeSignature(beat, 3, 4))
    write_midi(written, tmp_path / "waltz.mid")
    assert [type(s) for s in read_midi(tmp_path / "waltz.mid").signatures] == [
        KeySignature,
        TimeSignature,
    ]


def test_a_key_that_is_not_on_the_circle_of_fifths_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "waltz.musicxml"
    key = "<key><key-step>F</key-step><key-alter>1</key-alter></key>"
    path.write_text(waltz().replace("<time>", f"{key}<time>", 1), encoding="utf-8")
    assert read_score(path).written.signatures == (TimeSignature(60 / 90, 3, 4),)


def test_tempo_and_dynamics_are_read(waltz_file: Path) -> None:
    score = read_score(waltz_file)
    assert set(score.bpm.tolist()) == {90.0}
    assert score.velocity.tolist() == [49, *[96] * 8]  # the grace note is in the bar of the f


def test_a_compressed_file_is_read(waltz_file: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "waltz.mxl", "w") as file:
        file.writestr(
            "META-INF/container.xml",
            '<container><rootfiles><rootfile full-path="waltz.musicxml"/></rootfiles></container>',
        )
        file.write(waltz_file, "waltz.musicxml")
    assert len(read_score(tmp_path / "waltz.mxl")) == 9


def test_a_score_of_a_hundred_parts_is_read(tmp_path: Path) -> None:
    path = tmp_path / "many.xml"
    path.write_text(musicxml(*[NOTE] * 100), encoding="utf-8")
    score = read_score(path)
    assert len(score) == 100
    assert len(np.unique(score.written.part)) == 100
    assert not any(part.is_drum for part in score.written.parts)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("no.musicxml", "once upon a time", "is not a MusicXML file"),
        ("other.xml", "<html><body>hello</body></html>", "is not a MusicXML file"),
        ("cut.musicxml", waltz()[:600], "is not a MusicXML file"),
        ("no.mxl", "PK nothing", "is not a MusicXML file"),
        ("rests.musicxml", musicxml(RESTS), "has no notes"),
        ("no.mid", "MThd", "no.mid: "),
    ],
)
def test_a_file_that_is_no_score_is_refused_in_one_line(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ScoreError) as caught:
        read_score(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match="there is no such file"):
        read_score(tmp_path / "gone.musicxml")
    with pytest.raises(ScoreError, match="there is no such file"):
        read_score(tmp_path / "gone.mid")


def test_drums_alone_are_no_score(tmp_path: Path) -> None:
    drums = Performance.from_notes([(0.0, 0.1, 38, 90)], parts=[Part(channel=9)])
    write_midi(drums, tmp_path / "drums.mid")
    with pytest.raises(ScoreError, match="has only drums"):
        read_score(tmp_path / "drums.mid")


def test_a_midi_file_without_notes_is_no_score(tmp_path: Path) -> None:
    write_midi(Performance(), tmp_path / "empty.mid")
    with pytest.raises(ScoreError, match="has no notes"):
        read_score(tmp_path / "empty.mid")


def test_without_music21_the_extra_is_named(
    waltz_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "music21", None)
    with pytest.raises(MissingExtraError, match=r"midirnn\[scores\]"):
        read_score(waltz_file)
