"""What is whole of a damaged MIDI file is read, and a warning says what is lost."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.datasets import SplitShares, encode_files
from midirnn.errors import MidiFileError, OptionError
from midirnn.midifile import read_midi
from midirnn.performance import Performance
from tests.datasets.songs import write_songs
from tests.midi_bytes import event, header, midi, note_off, note_on, tempo, track
from tests.test_midifile_damage import WHOLE

MELODY = b"".join(note_on(0, 60 + i) + note_off(480, 60 + i) for i in range(8))
GOOD = midi(track(MELODY), track(note_on(0, 40), note_off(960, 40)))


def recovered(data: bytes) -> tuple[Performance, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        performance = read_midi(data, recover=True)
    return performance, [str(warning.message) for warning in caught]


def test_a_whole_file_is_read_as_ever_without_a_word() -> None:
    assert recovered(GOOD) == (read_midi(GOOD), [])


@pytest.mark.parametrize(
    ("data", "notes", "loss"),
    [
        (GOOD[:-6], 9, "is cut off: a chunk of 13 bytes has 7"),
        (GOOD[: 14 + 8 + 30], 3, "is cut off"),
        (b"rubbish" + GOOD, 9, "skips 7 bytes before its header"),
        (midi(track(MELODY), b""), 8, "1 of 2 tracks are there"),
        (midi(track(MELODY, event(0, 0x90, 200, 64), event(9, 0x80, 127, 0))), 9, "over 127"),
        (midi(track(MELODY, tempo(0, 0), note_on(0, 60), note_off(9, 60))), 9, "tempo of 0"),
        (midi(track(MELODY, event(0, 0xF1), note_on(0, 60))), 8, "status byte 0xF1"),
        (midi(track(MELODY), track(b"\x00\x05\x05")), 8, "track 1 holds data byte 0x05"),
        (header(7, 1, 480) + track(MELODY), 8, "format 7, read as 1"),
    ],
)
def test_what_is_whole_is_kept_and_the_loss_is_named(data: bytes, notes: int, loss: str) -> None:
    with pytest.raises(MidiFileError):
        read_midi(data)
    performance, (line,) = recovered(data)
    assert len(performance) == notes
    assert loss in line
    assert line.startswith("<bytes>: ")


@given(st.data())
def test_any_damage_is_read_or_refused_in_one_line(data: st.DataObject) -> None:
    broken = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 6))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(broken[: data.draw(st.integers(0, len(broken)))])
    try:
        performance, lines = recovered(cut)
    except MidiFileError as error:
        assert len(str(error).splitlines()) == 1
        return
    assert (performance.end > performance.start).all()
    assert len(lines) <= 1


def test_a_data_set_may_hold_what_is_whole_of_damaged_files(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", 2)
    (songs / "cut.mid").write_bytes(GOOD[:-20])
    (songs / "none.mid").write_bytes(b"no music")
    shares = SplitShares(0.0, 0.0)
    strict = encode_files([songs], tmp_path / "strict", splits=shares)
    assert [r.path for r in strict.refused] == ["cut.mid", "none.mid"]
    report = encode_files([songs], tmp_path / "out", splits=shares, on_damage="recover")
    assert [r.path for r in report.refused] == ["none.mid"]
    (lost,) = report.recovered
    assert lost.path == "cut.mid"
    assert lost.reason.startswith("is cut off")
    assert report.counts["train"].files == 3
    with pytest.raises(OptionError, match="on_damage is 'mend'; allowed are refuse, recover"):
        encode_files([songs], tmp_path / "x", on_damage="mend")
