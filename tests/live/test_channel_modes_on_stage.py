"""Channel mode messages on stage: heard, passed on and recorded with one meaning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.live import LiveConfig, Stance
from midirnn.live.base.observers import Observer
from midirnn.live.output.ledger import PERFORMER
from midirnn.live.recording.midi import Recording
from midirnn.ports import Message
from tests.live.stage import Stage, is_note_off, is_note_on, note, note_ons, pedals_down, sounding

ENDINGS = [120, 123, 124, 125, 126, 127]
MODES = [121, *ENDINGS]
LONGEST_SECONDS = 20.0


def note_lengths(sent: list[tuple[float, Message]], after: float) -> list[float]:
    """How long the notes lasted that were begun after that second."""
    begun: dict[Message, float] = {}
    lengths: list[float] = []
    for seconds, message in sent:
        key = (message[0] & 0x0F, message[1])
        if is_note_on(message):
            begun[key] = seconds
        elif is_note_off(message) and begun.get(key, 0.0) > after:
            lengths.append(seconds - begun.pop(key))
    return lengths


@pytest.mark.parametrize("controller", [120, 123, 126])
def test_notes_that_a_sequencer_ends_by_mode_message_keep_none_of_the_models_from_ending(
    controller: int,
) -> None:
    stage = Stage("call_and_response", LiveConfig(thru=True, answer_seconds=25.0))
    held: list[tuple[float, Message]] = [(0.5, (0x90, pitch, 64)) for pitch in range(48, 73)]
    stage.perform([*held, (2.0, (0xB0, controller, 0))])
    sent = stage.play(35.0)
    lengths = note_lengths(sent, after=2.5)
    assert len(lengths) > 20
    assert max(lengths) <= LONGEST_SECONDS + 0.1
    ended = {message[1] for seconds, message in sent if seconds <= 2.01 and is_note_off(message)}
    assert set(range(48, 73)) <= ended


class Recorder(Observer):
    """Records what the performer plays."""

    def __init__(self) -> None:
        self.recording = Recording(1000.0)

    def heard(self, message: Message, seconds: float) -> None:
        self.recording.add(PERFORMER, message, seconds)


def test_a_system_reset_releases_the_performers_keys_and_pedals_and_is_recorded() -> None:
    recorder = Recorder()
    config = LiveConfig(thru=True, input_channels=(1,))
    stage = Stage("call_and_response", config, observers=[recorder])
    stage.perform([(0.5, (0xB0, 64, 127)), (1.0, (0x90, 60, 80)), (2.0, (0xFF,))])
    stage.run(2.5)
    assert stage.session.listener.keys_down == 0
    assert sounding(message for _, message in stage.sent) == set()
    assert pedals_down(message for _, message in stage.sent) == set()
    stage.run(1.0)
    assert (3.0, Stance.BOTH) in stage.changes
    recorded = recorder.recording.performance()
    assert recorded.end.tolist() == [2.0]
    assert recorded.pedal_value.tolist() == [127, 0]


@pytest.mark.parametrize("controller", MODES)
def test_mode_messages_are_not_passed_on_where_the_model_plays(controller: int) -> None:
    stage = Stage("autopilot", LiveConfig(thru=True))
    # As keyboards do that send "all notes off" after each last key up.
    for number in range(20):
        at = 1.0 + number / 5
        stage.perform([*note(at, at + 0.1, 60), (at + 0.1, (0xB0, controller, 0))])
    stage.run(6.0)
    messages = [message for _, message in stage.sent]
    assert not [m for m in messages if m[0] & 0xF0 == 0xB0 and m[1] >= 120]
    # What sounds on the output is what the ledger has.
    assert sounding(messages) == {key.key for key in stage.session.scheduler.sounding}
    stage.session.close()
    assert len(note_ons(stage.sent)) > 40


@pytest.mark.parametrize("controller", [121, 120, 124, 125, 126, 127])
def test_the_pedal_goes_up_and_what_it_held_ends(controller: int) -> None:
    stage = Stage("call_and_response", LiveConfig(silence_seconds=60.0))
    stage.perform([(0.4, (0xB0, 64, 127)), *note(0.5, 0.7, 60), (1.0, (0xB0, controller, 0))])
    stage.run(0.9)
    assert stage.sampler.sounding == [60]
    stage.run(0.3)
    assert stage.sampler.sounding == []


@pytest.mark.parametrize("controller", [120, 121])
def test_after_the_pedal_was_reset_the_mode_shadow_rests(controller: int) -> None:
    stage = Stage("shadow")
    stage.perform([(0.4, (0xB0, 64, 127)), *note(0.5, 0.7, 60), (1.0, (0xB0, controller, 0))])
    stage.perform(note(1.5, 1.7, 64))
    stage.run(8.0)
    before = len(stage.sent)
    stage.run(5.0)
    assert len(stage.sent) == before
    assert stage.session.scheduler.sounding == []


@pytest.mark.parametrize("controller", ENDINGS)
def test_in_a_recording_notes_end_where_they_were_heard_to_end(controller: int) -> None:
    recording = Recording(1000.0)
    for seconds, message in [
        (0.5, (0x90, 60, 64)),
        (0.5, (0x91, 64, 64)),
        (2.0, (0xB0, controller, 0)),
        (5.0, (0x81, 64, 0)),
    ]:
        recording.add(PERFORMER, message, 1000.0 + seconds)
    performance = recording.performance()
    assert sorted(performance.end.tolist()) == [2.0, 5.0]
    assert not performance.unreleased.any()


def test_in_a_recording_the_pedal_goes_up_with_its_reset() -> None:
    recording = Recording(1000.0)
    for seconds, message in [(0.5, (0xB0, 64, 127)), *note(0.6, 0.8, 60), (2.0, (0xB0, 121, 0))]:
        recording.add(PERFORMER, message, 1000.0 + seconds)
    performance = recording.performance()
    assert performance.pedal_time.tolist() == [0.5, 2.0]
    assert performance.pedal_value.tolist() == [127, 0]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["on", "on", "off", "pedal", "mode"]),
            st.integers(58, 66),
            st.sampled_from(MODES),
            st.integers(0, 300),
        ),
        max_size=25,
    )
)
def test_whatever_is_passed_on_the_ledger_knows_what_sounds(
    gestures: list[tuple[str, int, int, int]],
) -> None:
    stage = Stage("autopilot", LiveConfig(thru=True))
    seconds = 0.5
    for kind, pitch, controller, milliseconds in gestures:
        seconds += milliseconds / 1000
        message: Message = {
            "on": (0x90, pitch, 80),
            "off": (0x80, pitch, 0),
            "pedal": (0xB0, 64, 127),
            "mode": (0xB0, controller, 0),
        }[kind]
        stage.perform([(seconds, message)])
    stage.run(seconds + 0.5)
    messages = [message for _, message in stage.sent]
    assert not [m for m in messages if m[0] & 0xF0 == 0xB0 and m[1] >= 120]
    assert sounding(messages) == {key.key for key in stage.session.scheduler.sounding}
    stage.session.close()
    assert sounding(message for _, message in stage.sent) == set()
