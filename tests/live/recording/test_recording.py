"""A recording: performer and model on tracks of their own, whatever the order of messages."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.live import LiveConfig
from midirnn.live.base.observers import Observers
from midirnn.live.output.ledger import MODEL, PERFORMER
from midirnn.live.recording.midi import Recording, notes_of
from midirnn.midifile import read_midi, write_midi
from midirnn.ports import Message
from tests.live.stage import Stage, note, note_ons, sounding

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


class ModelsPart(Observers):
    """An observer that keeps what was sent for the model."""

    def __init__(self) -> None:
        super().__init__()
        self.sent_for_model: list[tuple[float, Message]] = []

    def sent(self, message: Message, seconds: float, due_seconds: float, player: str) -> None:
        if player == MODEL:
            self.sent_for_model.append((seconds, message))


def test_notes_of_the_model_end_in_the_recording_if_you_strike_the_same_pitches() -> None:
    part = ModelsPart()
    stage = Stage("autopilot", LiveConfig(thru=True), observers=[part])
    send_due = stage.session.scheduler.send_due
    stage.session.turn("lowest_pitch", 60)
    stage.session.turn("highest_pitch", 62)
    for index in range(60):
        notes = note(0.1 * index, 0.1 * index + 0.25, 60 + index % 3)
        stage.perform(notes)
        for seconds, _ in notes:  # sent before the model has heard them, as by a thread
            stage.clock.at(stage.start + seconds, send_due)
    stage.play(8.0)
    assert len(note_ons(part.sent_for_model)) > 20
    unbegun = [m for m in _without_unbegun(part.sent_for_model) if m[0] < 0xB0]
    assert sounding(unbegun) == set()


def _without_unbegun(sent: list[tuple[float, Message]]) -> list[Message]:
    """The messages without note-offs of notes that have not begun, which end nothing."""
    kept, sounds = list[Message](), set[int]()
    for _, message in sent:
        is_on = message[0] & 0xF0 == 0x90 and message[2] > 0
        if is_on or message[1] in sounds:
            kept.append(message)
        (sounds.add if is_on else sounds.discard)(message[1])
    return kept


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
