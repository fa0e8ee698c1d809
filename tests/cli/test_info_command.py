"""``midirnn info``: what is in MIDI files, models and data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from midirnn import Performance, write_midi
from midirnn.cli.main import main
from midirnn.live.controls.knobs import KEYS
from midirnn.performance import KeySignature, Part, Tempo, TimeSignature
from tests.datasets.songs import write_song
from tests.live.recording.test_event_log import write as write_log

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def waltz(tmp_path: Path) -> Path:
    """Four notes a second for ten seconds, in three four and E flat major."""
    notes = [(n / 4, n / 4 + 0.25, 60 + 7 * (n % 2), 80) for n in range(40)]
    piece = Performance.from_notes(notes).replace(
        parts=(Part(program=4, channel=2, name="right hand"),),
        tempos=(Tempo(0.0, 100.0),),
        signatures=(TimeSignature(0.0, 3, 4), KeySignature(0.0, -3)),
    )
    write_midi(piece, tmp_path / "waltz.mid")
    return tmp_path / "waltz.mid"


def found(capsys: Capture, *sources: str | Path) -> Any:
    assert main(["info", *map(str, sources), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_midi_file_has_length_notes_parts_tempo_and_signatures(
    waltz: Path, capsys: Capture
) -> None:
    rows = found(capsys, waltz)
    assert rows["seconds"] == pytest.approx(10.0, abs=0.05)
    assert rows["notes"] == 40
    assert rows["parts"][0] | {"lowest": 60, "highest": 67} == rows["parts"][0]
    assert rows["parts"][0]["channel"] == 3
    assert rows["tempos"][0]["bpm"] == pytest.approx(100.0, abs=0.01)
    assert rows["time_signatures"][0]["signature"] == "3/4"
    assert rows["key_signatures"][0]["key"] == "Eb major"


def test_its_style_is_told_in_a_musicians_units(waltz: Path, capsys: Capture) -> None:
    style = found(capsys, waltz)["style"]
    assert style["notes_per_second"] == pytest.approx(4.0, abs=0.05)
    assert style["notes_at_once"] == pytest.approx(1.0, abs=0.05)
    assert style["mean_pitch"] == 63.5
    assert style["pitch_classes"] == {"C": 0.5, "G": 0.5}
    assert style["duration_to_next_onset"] == pytest.approx(1.0, abs=0.05)


def test_pitch_classes_have_the_names_of_the_keys(tmp_path: Path, capsys: Capture) -> None:
    notes = [(n / 4, n / 4 + 0.25, 61 + n, 80) for n in range(12)]
    write_midi(Performance.from_notes(notes), tmp_path / "scale.mid")
    named = found(capsys, tmp_path / "scale.mid")["style"]["pitch_classes"]
    assert [f"{name} minor" for name in named] == list(KEYS[-12:])


def test_a_model_has_its_network_and_its_figures(capsys: Capture) -> None:
    rows = found(capsys, "piano-small")
    assert rows["model"]["hidden_size"] == 160
    assert rows["info"]["evaluation"]["test"]["nats_per_token"] > 2
    assert rows["weights"] > 1_000_000


def test_a_data_set_has_its_splits(tmp_path: Path, capsys: Capture) -> None:
    for number in range(3):
        write_song(tmp_path / "songs" / f"{number}.mid", number, notes=20)
    argv = ["encode", str(tmp_path / "songs"), "-o", str(tmp_path / "data"), "--workers", "1"]
    assert main(argv) == 0
    capsys.readouterr()
    rows = found(capsys, tmp_path / "data")
    assert sum(split["files"] for split in rows["splits"].values()) == 3
    assert rows["codec"]["name"] == "performance"


def test_the_table_names_what_json_has(waltz: Path, capsys: Capture) -> None:
    assert main(["info", str(waltz), "piano-small"]) == 0
    out = capsys.readouterr().out
    for words in ("notes per second", "Eb major", "hidden size", "nats per token", "right hand"):
        assert words in out
    assert "overlapping" not in out


def test_drums_are_counted_but_not_in_the_style(tmp_path: Path, capsys: Capture) -> None:
    drums = Performance.from_notes(
        [(n / 4, n / 4 + 0.1, 36, 100) for n in range(16)], parts=(Part(channel=9),)
    )
    write_midi(drums, tmp_path / "drums.mid")
    assert main(["info", str(tmp_path / "drums.mid"), "--json"]) == 0
    printed = capsys.readouterr()
    rows = json.loads(printed.out)
    assert rows["seconds"] == pytest.approx(3.85, abs=0.01)
    assert (rows["notes"], rows["drum_notes"], rows["parts"][0]["notes"]) == (16, 16, 16)
    assert rows["style"]["notes_per_second"] == 0.0 and "mean_pitch" not in rows["style"]
    assert "all its 16 notes are on channel 10" in printed.err


def test_velocities_are_told_as_they_are(waltz: Path, capsys: Capture) -> None:
    rows = found(capsys, waltz)
    for style in ("style", "style_of_the_last_20_seconds"):
        assert (rows[style]["mean_velocity"], rows[style]["deviation_of_velocity"]) == (80.0, 0.0)


def test_an_empty_file_has_no_style(tmp_path: Path, capsys: Capture) -> None:
    write_midi(Performance(), tmp_path / "empty.mid")
    rows = found(capsys, tmp_path / "empty.mid")
    assert rows["notes"] == 0 and "mean_pitch" not in rows["style"]


def test_what_is_nowhere_is_told_in_one_line(capsys: Capture) -> None:
    assert main(["info", "no-such-thing"]) == 1
    assert "no-such-thing" in capsys.readouterr().err


def test_a_piano_roll_follows_the_figures_of_a_midi_file(waltz: Path, capsys: Capture) -> None:
    assert main(["info", str(waltz)]) == 0
    lines = capsys.readouterr().out.splitlines()
    *roll, scale = lines[-4:]
    assert [line.split()[0] for line in roll] == ["F#4", "Eb4", "C4"]
    assert not roll[1].split()[1:]
    assert set(roll[0][5:]) | set(roll[2][5:]) <= set(" .o#")
    assert scale.split() == ["0", "s", "10.0", "s"]
    assert "piano_roll" not in found(capsys, waltz)


def test_of_a_recording_is_told_who_played_how_much(tmp_path: Path, capsys: Capture) -> None:
    write_log(tmp_path / "log.jsonl")
    rows = found(capsys, tmp_path / "log.jsonl")
    assert rows["kind"] == "recording of a session"
    assert rows["notes"] == {"performer": 1, "model": 1}
    assert rows["events"] == 8
    assert rows["cut_off"] is False


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nosuch.mid", "error: nosuch.mid: there is no such file"),
        ("NOSUCH.MIDI", "error: NOSUCH.MIDI: there is no such file"),
        ("songs/waltz", "error: songs/waltz: there is no such file or folder"),
        ("harp", "there is no model 'harp'"),
    ],
)
def test_what_is_not_there_is_said_to_be_what_its_name_looks_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, source: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["info", source]) == 1
    assert message in capsys.readouterr().err


def test_a_wrong_name_of_a_model_is_told_with_all_that_can_be_described(capsys: Capture) -> None:
    assert main(["info", "harp"]) == 1
    assert "humanize, piano, " in capsys.readouterr().err
