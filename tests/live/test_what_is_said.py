"""A session says in a line why what a performer does has no effect, and a DAW's Stop stops it."""

from __future__ import annotations

import pytest

from midirnn.live import LiveConfig
from midirnn.live.input.remarks import DRUMS, FROZEN
from midirnn.live.timing.clock_check import DOUBLED, WAIT_SECONDS, ClockCheck
from midirnn.ports import Message
from midirnn.ports.midi_clock import CONTINUE, STOP
from tests.live.controls.test_console import clocks, turn
from tests.live.stage import Stage, note, note_ons, sounding


def said(stage: Stage, seconds: float, *performed: tuple[float, Message]) -> list[str]:
    stage.perform(performed)
    stage.run(seconds)
    return stage.troubles


def on_channel(channel: int, *notes: tuple[float, Message]) -> list[tuple[float, Message]]:
    return [(at, (m[0] & 0xF0 | channel - 1, *m[1:])) for at, m in notes]


def test_a_keyboard_on_channel_10_is_told_that_it_is_not_heard() -> None:
    played = on_channel(10, *note(1.0, 1.5, 60), *note(2.0, 2.5, 62))
    assert said(Stage("call_and_response"), 4.0, *played) == [DRUMS]


def test_a_pad_that_loads_a_preset_is_no_keyboard() -> None:
    assert said(Stage("call_and_response"), 4.0, turn(1.0, "preset_1", 127)) == []


def test_a_channel_that_is_not_listened_to_is_told_once_each() -> None:
    stage = Stage("call_and_response", LiveConfig(input_channels=(1, 2)))
    played = [
        *on_channel(3, *note(1.0, 1.2, 60), *note(1.3, 1.4, 60)),
        *on_channel(4, *note(2.0, 2.2, 60)),
        *note(3.0, 3.2, 60),
    ]
    assert said(stage, 4.0, *played) == [
        "notes on channel 3 are not heard: --input-channels names 1, 2 only",
        "notes on channel 4 are not heard: --input-channels names 1, 2 only",
    ]


def test_playing_while_freeze_is_pressed_is_told_each_time_it_is_pressed() -> None:
    stage = Stage("call_and_response")
    first = [turn(0.5, "freeze", 127), *note(1.0, 1.2, 60), *note(1.3, 1.5, 62)]
    second = [turn(2.0, "freeze", 0), *note(3.0, 3.2, 60), turn(6.0, "freeze", 127)]
    assert said(stage, 9.0, *first, *second, *note(7.0, 7.2, 60)) == [FROZEN, FROZEN]


# The clock.

CLOCKED = LiveConfig(clock="midi")


@pytest.mark.parametrize("mode", ["call_and_response", "duet", "autopilot"])
def test_a_stop_of_the_clock_ends_what_the_model_plays_and_a_start_lets_it_go_on(mode: str) -> None:
    stage = Stage(mode, LiveConfig(clock="midi", answer_seconds=60.0))
    stage.perform([*clocks(120.0, 0.0, 6.0), *note(0.5, 1.0, 60), (6.0, (STOP,))])
    stage.run(6.01)
    before = len(note_ons(stage.sent))
    assert before > 10
    assert sounding(message for _, message in stage.sent) == set()
    stage.run(10.0)
    assert len(note_ons(stage.sent)) == before
    stage.perform([(17.0, (CONTINUE,)), *clocks(120.0, 17.0, 20.0)[1:]])
    stage.run(4.0)
    assert len(note_ons(stage.sent)) > before


def test_a_key_lets_the_model_play_after_a_stop_too() -> None:
    stage = Stage("duet", CLOCKED)
    stage.perform([*clocks(120.0, 0.0, 3.0), (3.0, (STOP,)), *note(5.0, 5.5, 60)])
    stage.run(8.0)
    assert any(seconds > 5.0 for seconds in note_ons(stage.sent))


def test_without_a_clock_that_is_to_be_followed_this_is_told_once() -> None:
    stage = Stage("autopilot", CLOCKED)
    stage.run(20.0)
    (told,) = stage.troubles
    assert told.startswith("no MIDI clock has come in 5 s")
    assert said(Stage("autopilot"), 20.0) == []
    assert said(Stage("autopilot", CLOCKED), 8.0, *clocks(120.0, 1.0, 6.0)) == []


def check_of(*times: float) -> list[str]:
    check, told = ClockCheck(), []
    check.begin(0.0)
    for seconds in sorted(times):
        check.feed(seconds)
        if fault := check.fault(seconds):
            told.append(fault)
    return told


def beat(
    bpm: float, offset: float = 0.0, seconds: float = 20.0, jitter: float = 0.0
) -> list[float]:
    gap = 60.0 / bpm / 24
    return [
        offset + i * gap + jitter * ((i * 7919) % 17 - 8) / 8 for i in range(int(seconds / gap))
    ]


@pytest.mark.parametrize("bpm", [60.0, 120.0, 174.0])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.25])
def test_a_clock_that_comes_twice_is_told_once(bpm: float, share: float) -> None:
    gap = 60.0 / bpm / 24
    assert check_of(*beat(bpm), *beat(bpm, offset=share * gap)) == [DOUBLED]


def test_two_clocks_of_two_tempos_are_told() -> None:
    assert check_of(*beat(120.0), *beat(97.0, offset=0.003)) == [DOUBLED]


@pytest.mark.parametrize("bpm", [40.0, 120.0, 200.0])
def test_a_single_clock_with_jitter_or_another_tempo_is_not(bpm: float) -> None:
    jitter = min(0.004, 0.2 * 60.0 / bpm / 24)
    assert check_of(*beat(bpm, jitter=jitter)) == []
    pause = beat(bpm, seconds=10.0) + beat(1.3 * bpm, offset=30.0, seconds=10.0)
    assert check_of(*pause) == []
    assert WAIT_SECONDS < 10.0


def test_a_session_with_doubled_clocks_says_so() -> None:
    twice = [clock for clock in clocks(120.0, 0.5, 8.0) for _ in (0, 1)]
    assert said(Stage("autopilot", CLOCKED), 9.0, *twice) == [DOUBLED]


# What controls have done.


def told_by(*performed: tuple[float, Message]) -> list[str]:
    told: list[str] = []
    stage = Stage("autopilot", on_notice=told.append)
    stage.perform(performed)
    stage.run(10.0)
    return told


def test_each_control_says_what_it_has_done() -> None:
    assert told_by(
        turn(1.0, "preset_3", 127),
        turn(1.5, "crossfade", 64),
        turn(2.0, "store", 127),
        turn(2.1, "preset_1", 127),
        turn(2.3, "preset_1", 0),
        turn(2.4, "preset_2", 127),
        turn(2.5, "store", 0),
        turn(3.0, "preset_2", 0),
        turn(3.1, "preset_2", 127),
        turn(4.0, "crossfade", 127),
        turn(5.0, "undo", 127),
        turn(6.0, "reset", 127),
        turn(7.0, "panic", 127),
    ) == [
        "preset 3 is empty",
        "crossfade needs presets 1 and 2: store them first",
        "preset 1 stored",
        "preset 2 stored",
        "preset 2 loaded",
        "crossfade: 100% of preset 2, the rest of preset 1",
        "undone",
        "reset: the model has forgotten everything",
        "panic: the model is silent until you play or give it the turn",
    ]
    assert told_by(turn(1.0, "undo", 127)) == ["there is nothing to undo"]
