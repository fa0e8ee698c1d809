"""An output wired to the input: recognised in every form, and then the music goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from midirnn.live import LiveConfig
from midirnn.live.base.playing import Stance
from midirnn.ports import Message
from tests.live.input.test_feedback import WAYS, unchanged
from tests.live.stage import Stage, note, note_ons

SIXTEENTH_SECONDS = 60 / 170 / 4


def wire(stage: Stage, changed: Callable[[Message], Message], delay: float = 0.004) -> None:
    """Let what is sent come in again, changed."""

    def come_back(message: Message, seconds: float) -> None:
        if message[0] < 0xF0:
            at = seconds + delay
            stage.clock.at(at, lambda: stage.session.receive(changed(message), at))

    stage.output._on_send = come_back


def unwire(stage: Stage) -> None:
    stage.output._on_send = lambda message, seconds: None


def phrase(start: float) -> list[tuple[float, Message]]:
    pitches = (60, 62, 64, 65, 67, 69)
    played = [note(start + i / 4, start + i / 4 + 0.2, pitch) for i, pitch in enumerate(pitches)]
    return [event for single in played for event in single]


def feedback_told(stage: Stage) -> int:
    return sum("connected to its input" in trouble for trouble in stage.troubles)


@pytest.mark.parametrize("changed", WAYS)
def test_an_output_wired_to_the_input_is_recognised_in_every_form(
    changed: Callable[[Message], Message],
) -> None:
    stage = Stage("call_and_response", LiveConfig(answer_seconds=4.0))
    wire(stage, changed)
    stage.perform(phrase(0.5))
    stage.play(20.0)
    assert feedback_told(stage) == 1


@pytest.mark.parametrize("changed", WAYS)
def test_after_feedback_a_phrase_is_answered_as_if_nothing_had_been(
    changed: Callable[[Message], Message],
) -> None:
    stage = Stage("call_and_response", LiveConfig(answer_seconds=3.0))
    wire(stage, changed)
    stage.perform(phrase(0.5))
    stage.run(20.0)
    assert feedback_told(stage) == 1
    assert stage.session.listener.keys_down == 0
    unwire(stage)
    stage.perform(phrase(20.5))
    before = len(note_ons(stage.sent))
    stage.run(5.0)
    assert stage.session.listener.keys_down == 0
    assert len(note_ons(stage.sent)) > before
    last_key_up = 20.5 + 5 / 4 + 0.2
    begun = [seconds for seconds, stance in stage.changes if Stance.PLAYS in stance]
    assert begun[-1] == pytest.approx(last_key_up + 1.0, abs=0.05)


def test_a_sequencer_that_strikes_one_key_is_passed_on_whole_and_without_alarm() -> None:
    stage = Stage("call_and_response", LiveConfig(thru=True, answer_seconds=0.1))
    for number in range(9):
        at = 0.5 + number * SIXTEENTH_SECONDS
        stage.perform(note(at, at + SIXTEENTH_SECONDS / 2, 60, velocity=100))
    stage.run(1.4)
    assert feedback_told(stage) == 0
    messages = [message[:2] for _, message in stage.sent]
    assert messages == [(0x90, 60), (0x80, 60)] * 9


def test_a_wired_output_that_passes_on_goes_silent_when_the_performer_does() -> None:
    stage = Stage("call_and_response", LiveConfig(thru=True, silence_seconds=60.0))
    wire(stage, unchanged)
    stage.perform([(0.5, (0x90, 60, 80)), (1.5, (0x80, 60, 0))])
    stage.run(3.0)
    assert feedback_told(stage) == 1
    sent = len(stage.sent)
    stage.run(3.0)
    assert len(stage.sent) == sent
    assert stage.session.listener.keys_down == 0
    assert stage.session.scheduler.sounding == []
