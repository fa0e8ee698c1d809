"""A recording: performer and model on tracks of their own, whatever the order of messages."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.live.output.ledger import MODEL, PERFORMER
from midirnn.live.recording.midi import Recording, notes_of
from midirnn.midifile import read_midi, write_midi
from tests.live.stage import note

START = 1000.0


def recorded(player: str, notes: list[tuple[float, float, int]]) -> Recording:
    recording = Recording(START)
    messages = [event for start, end, pitch in notes for event in note(start, end, pitch)]
    for seconds, message in sorted(messages):
        recording.add(player, message, START + seconds)
    return recording


def test_each_plays_on_a_track_of_its_own(tmp_path: Path) -> None:
    recording = Recording(START)
    for seconds, message in [*note(0.5, 1.0, 60), (1.0, (0xB0, 64, 127))]:
        recording.add(PERFORMER, message, START + seconds)
    for seconds, message in note(1.5, 2.25, 67) + note(1.5, 2.0, 71):
        recording.add(MODEL, message, START + seconds)
    write_midi(recording.performance(), tmp_path / "both.mid")
    read = read_midi(tmp_path / "both.mid")
    assert [part.name for part in read.parts] == [PERFORMER, MODEL]
    assert (notes_of(read, PERFORMER), notes_of(read, MODEL)) == (1, 2)
    assert read.start.tolist() == pytest.approx([0.5, 1.5, 1.5], abs=1e-3)
    assert read.end.tolist() == pytest.approx([1.0, 2.25, 2.0], abs=1e-3)
    assert read.pedal_time.tolist() == pytest.approx([1.0], abs=1e-3)


def test_what_still_sounds_lasts_to_the_last_message() -> None:
    recording = recorded(PERFORMER, [(0.0, 3.0, 60)])
    recording.add(MODEL, (0x90, 72, 80), START + 1.0)
    performance = recording.performance()
    assert performance.end.tolist() == [3.0, 3.0]
    assert performance.unreleased.tolist() == [False, True]


def test_a_note_that_was_begun_last_lasts_to_the_end() -> None:
    recording = Recording(START)
    recording.add(MODEL, (0x90, 72, 80), START + 1.0)
    recording.until(START + 1.5)
    assert recording.performance().end.tolist() == [1.5]


def test_nothing_played_is_an_empty_performance(tmp_path: Path) -> None:
    recording = Recording(START)
    recording.add(PERFORMER, (0xF8,), START)
    performance = recording.performance()
    assert len(performance) == 0
    write_midi(performance, tmp_path / "empty.mid")
    assert len(read_midi(tmp_path / "empty.mid")) == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(1, 500)),
        unique_by=lambda n: n[0],
        max_size=20,
    )
)
def test_every_note_is_there_at_its_time(times: list[tuple[int, int]]) -> None:
    notes = [
        (start / 100, (start + length) / 100, 20 + index)
        for index, (start, length) in enumerate(sorted(times))
    ]
    performance = recorded(MODEL, notes).performance()
    assert performance.start.tolist() == pytest.approx([start for start, _, _ in notes], abs=1e-6)
    assert performance.end.tolist() == pytest.approx([end for _, end, _ in notes], abs=1e-6)
    assert notes_of(performance, PERFORMER) == 0
