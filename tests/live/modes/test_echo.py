"""An echo is of the phrase that was played last, also after a change of mode."""

from __future__ import annotations

import pytest

from midirnn.codecs.pedal import DOWN, UP
from midirnn.live import MODES, LiveConfig
from midirnn.live.base.messages import HeardStep
from midirnn.live.improviser.phrase import Phrase
from tests.live.stage import Schedule, Stage, is_note_on, note

LOW = [event for i in range(30) for event in note(0.5 + 0.3 * i, 0.7 + 0.3 * i, 40 + i % 5)]
PITCHES = [72, 76, 79]


def phrase(start: float) -> Schedule:
    return [
        e for i, p in enumerate(PITCHES) for e in note(start + 0.4 * i, start + 0.4 * i + 0.3, p)
    ]


def stage_in(mode: str, *, echo_at: float) -> Stage:
    """A stage whose mode becomes an echo that changes nothing."""
    stage = Stage(mode, LiveConfig(echo_threshold=0.0))
    stage.clock.at(stage.start + echo_at, lambda: stage.session.set_mode("echo"))
    return stage


def pitches_after(seconds: float, stage: Stage) -> list[int]:
    return [m[1] for at, m in stage.sent if at > seconds and is_note_on(m)]


@pytest.mark.parametrize("mode", sorted(set(MODES) - {"echo"}))
def test_after_a_change_of_mode_the_echo_is_of_the_next_phrase(mode: str) -> None:
    stage = stage_in(mode, echo_at=12.0)
    stage.perform([*LOW, *phrase(15.0)])
    stage.play(22.0)
    assert pitches_after(12.1, stage) == PITCHES


def test_a_phrase_that_had_no_answer_is_not_part_of_the_next_echo() -> None:
    stage = Stage("echo", LiveConfig(echo_threshold=0.0, answer_seconds=1.5))
    stage.perform([*LOW, *phrase(15.0)])
    stage.clock.at(stage.start + 9.7, stage.session.panic)
    stage.play(22.0)
    assert pitches_after(0.0, stage) == PITCHES


@pytest.mark.parametrize("echo_at", [0.65, 1.5])
def test_a_phrase_begun_in_call_and_response_is_echoed_whole_in_echo(echo_at: float) -> None:
    stage = stage_in("call_and_response", echo_at=echo_at)
    stage.perform(phrase(0.5))
    stage.play(8.0)
    assert pitches_after(0.0, stage) == PITCHES


def test_a_phrase_since_a_step_keeps_the_pedal_down() -> None:
    steps = HeardStep(1, (), ((60, 9),), (UP, DOWN)), HeardStep(5, (60,), ((62, 9),))
    (kept,) = Phrase(steps).since(5).steps
    assert kept == HeardStep(5, (60,), ((62, 9),), (DOWN,))
    assert Phrase(steps).since(1).steps == steps
    assert Phrase(steps).since(6).steps == ()
