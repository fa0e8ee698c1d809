"""The listener tells steps as the codec has them, and gestures as they come."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.codecs import PerformanceCodec
from midirnn.live.input.listener import HeardStep, Listener
from midirnn.live.modes import Gesture
from midirnn.ports import Message

CODEC = PerformanceCodec()
START = 50.0
BIN_64 = 16


def listen(*messages: tuple[float, Message], until: float) -> list[HeardStep]:
    listener = Listener(CODEC, START)
    for seconds, message in messages:
        listener.receive(message, START + seconds)
    heard = [step for steps, _ in listener.take() for step in steps]
    return heard + listener.advance(START + until)


def gestures(*messages: tuple[float, Message]) -> list[tuple[float, Gesture, int]]:
    listener = Listener(CODEC, START)
    for seconds, message in messages:
        listener.receive(message, START + seconds)
    told = [heard for _, heard in listener.take()]
    return [(round(h.seconds - START, 6), h.gesture, h.keys_down) for h in told if h is not None]


def test_a_note_is_told_in_two_steps() -> None:
    heard = listen((0.5, (0x90, 60, 64)), (1.0, (0x80, 60, 0)), until=2.0)
    assert heard == [HeardStep(50, (), ((60, BIN_64),)), HeardStep(100, (60,), ())]


def test_a_step_is_told_when_it_is_over() -> None:
    listener = Listener(CODEC, START)
    assert listener.closes_at() == math.inf
    listener.receive((0x90, 60, 64), START + 0.5)
    assert [steps for steps, _ in listener.take()] == [[]]
    assert listener.closes_at() == pytest.approx(START + 0.505, abs=0.001)
    assert listener.advance(START + 0.504) == []
    assert listener.advance(listener.closes_at()) == [HeardStep(50, (), ((60, BIN_64),))]


def test_a_note_shorter_than_a_step_is_told_in_the_steps_that_follow() -> None:
    listener = Listener(CODEC, START)
    listener.receive((0x90, 60, 64), START + 0.500)
    listener.receive((0x80, 60, 0), START + 0.502)
    list(listener.take())
    assert listener.advance(listener.closes_at()) == [HeardStep(50, (), ((60, BIN_64),))]
    assert listener.advance(listener.closes_at()) == [HeardStep(51, (60,), ())]
    assert listener.closes_at() == math.inf


def test_the_pedal_holds_a_note_and_several_notes_end_when_it_goes_up() -> None:
    heard = listen(
        (0.0, (0xB0, 64, 127)),
        (0.1, (0x90, 60, 64)),
        (0.2, (0x80, 60, 0)),
        (0.3, (0x90, 64, 64)),
        (0.4, (0x80, 64, 0)),
        (0.9, (0xB0, 64, 0)),
        until=2.0,
    )
    assert heard[-1] == HeardStep(90, (60, 64), ())


def test_a_message_stamped_before_the_time_told_last_is_heard_then() -> None:
    listener = Listener(CODEC, START)
    listener.advance(START + 1.0)
    listener.receive((0x90, 60, 64), START + 0.7)
    ((_, heard),) = listener.take()
    assert heard is not None
    assert heard.seconds == START + 1.0


@pytest.mark.parametrize("off", [(0x80, 60, 0), (0x90, 60, 0)])
@pytest.mark.parametrize("pedal", [False, True])
def test_a_short_note_of_which_both_ends_come_late_is_heard(off: Message, pedal: bool) -> None:
    listener = Listener(CODEC, START)
    listener.advance(START + 0.8)
    messages: list[tuple[float, Message]] = [(0.5, (0x90, 60, 64)), (0.501, off)]
    if pedal:
        messages = [(0.499, (0xB0, 64, 127)), *messages, (0.502, (0xB0, 64, 0))]
    for seconds, message in messages:
        listener.receive(message, START + seconds)
    heard = [step for steps, _ in listener.take() for step in steps]
    heard += listener.advance(START + 2.0)
    assert heard == [HeardStep(80, (), ((60, BIN_64),)), HeardStep(81, (60,), ())]


def test_gestures_tell_how_many_keys_are_down() -> None:
    assert gestures(
        (0.0, (0x90, 60, 64)),
        (0.1, (0x90, 64, 64)),
        (0.1, (0x91, 64, 64)),
        (0.2, (0x90, 60, 0)),
        (0.3, (0xB0, 64, 127)),
        (0.4, (0x80, 64, 10)),
    ) == [
        (0.0, Gesture.KEY_DOWN, 1),
        (0.1, Gesture.KEY_DOWN, 2),
        (0.1, Gesture.KEY_DOWN, 3),
        (0.2, Gesture.KEY_UP, 2),
        (0.3, Gesture.PEDAL_DOWN, 2),
        (0.4, Gesture.KEY_UP, 1),
    ]


@pytest.mark.parametrize(
    "message",
    [(0x99, 36, 100), (0xB0, 1, 64), (0xE0, 0, 64), (0xC0, 5), (0xA0, 60, 1), (0xFA,), (0xF9,)],
)
def test_drums_wheels_programs_and_start_messages_are_no_gestures(message: Message) -> None:
    assert gestures((0.0, message)) == []
    assert listen((0.0, message), until=1.0) == []


@pytest.mark.parametrize("controller", [120, 123])
def test_all_notes_off_lets_go_of_the_keys_of_its_channel(controller: int) -> None:
    messages = ((0.0, (0x90, 60, 64)), (0.0, (0x91, 72, 64)), (0.5, (0xB0, controller, 0)))
    assert gestures(*messages)[-1] == (0.5, Gesture.KEY_UP, 1)
    assert listen(*messages, until=1.0)[-1] == HeardStep(50, (60,), ())


byte = st.integers(0, 127)
any_message = st.one_of(
    st.tuples(st.integers(0x80, 0xBF), byte, byte),
    st.tuples(st.integers(0xC0, 0xDF), byte),
    st.tuples(st.sampled_from([0xF6, 0xF8, 0xFA, 0xFC, 0xFF])),
    st.lists(byte, max_size=3).map(lambda data: (0xF0, *data, 0xF7)),
)


@given(st.lists(st.tuples(st.floats(-1.0, 5.0), any_message), max_size=30))
def test_any_messages_at_any_times_are_taken(messages: list[tuple[float, Message]]) -> None:
    listener = Listener(CODEC, START)
    told: list[HeardStep] = []
    for seconds, message in messages:
        listener.receive(message, START + seconds)
        told += [step for steps, _ in listener.take() for step in steps]
    told += listener.advance(START + 6.0)
    steps = [step.step for step in told]
    assert steps == sorted(set(steps))


def test_the_pedal_goes_down_and_up_once_however_it_moves_between() -> None:
    values = [0, 20, 64, 100, 127, 90, 63, 10]
    told = gestures(*((0.1 * i, (0xB0, 64, value)) for i, value in enumerate(values)))
    assert [gesture for _, gesture, _ in told] == [
        Gesture.PEDAL,
        Gesture.PEDAL,
        Gesture.PEDAL_DOWN,
        Gesture.PEDAL,
        Gesture.PEDAL,
        Gesture.PEDAL,
        Gesture.PEDAL_UP,
        Gesture.PEDAL,
    ]
