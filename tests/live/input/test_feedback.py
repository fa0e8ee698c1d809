"""Our own notes are recognised when they come in, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from midirnn.live.input.feedback import IN_A_ROW, WITHIN_SECONDS, FeedbackDetector
from midirnn.ports import Message

NOTES = [(0x90, 60, 80), (0x80, 60, 0), (0x90, 64, 70), (0x80, 64, 0), (0x90, 65, 70)]


def unchanged(message: Message) -> Message:
    return message


def as_note_on(message: Message) -> Message:
    """A note-off as a note-on with velocity 0."""
    return (0x90, message[1], 0) if message[0] == 0x80 else message


def released_fast(message: Message) -> Message:
    return (0x80, message[1], 64) if message[0] == 0x80 else message


def on_another_channel(message: Message) -> Message:
    return (message[0] | 5, *message[1:])


def softer(message: Message) -> Message:
    return (message[0], message[1], message[2] // 2)


WAYS = [unchanged, as_note_on, released_fast, on_another_channel, softer]


@pytest.mark.parametrize("changed", WAYS)
def test_feedback_is_recognised_in_whatever_form_it_comes(
    changed: Callable[[Message], Message],
) -> None:
    detector = FeedbackDetector()
    told = []
    for number, message in enumerate(NOTES):
        detector.sent(message, float(number))
        told.append(detector.hear(changed(message), number + 0.01))
    assert told == [False] * (IN_A_ROW - 1) + [True] * (len(NOTES) - IN_A_ROW + 1)


def test_keys_that_went_down_before_it_was_recognised_are_told_once() -> None:
    detector = FeedbackDetector()
    for number, pitch in enumerate((60, 62, 64, 65)):
        detector.sent((0x90, pitch, 80), number / 10)
        detector.hear((0x92, pitch, 80), number / 10 + 0.01)
    assert detector.found
    assert detector.take_keys() == [(2, 60), (2, 62), (2, 64)]
    assert detector.take_keys() == []


@pytest.mark.parametrize("gap", [0.01, 0.022, 0.044, 0.09])
def test_a_key_struck_again_and_again_that_is_passed_on_is_no_feedback(gap: float) -> None:
    detector = FeedbackDetector()
    for number in range(40):
        message: Message = (0x90, 60, 100) if number % 2 == 0 else (0x80, 60, 0)
        assert not detector.hear(message, number * gap)
        detector.sent(message, number * gap, passed_on=True)
    assert not detector.found


def test_what_is_passed_on_and_comes_back_changes_nothing_and_is_feedback() -> None:
    detector = FeedbackDetector()
    for number, message in enumerate(NOTES):
        assert not detector.hear(message, float(number))
        detector.sent(message, float(number), passed_on=True)
        detector.hear(message, number + 0.004)
    assert not detector.found  # the performer plays in between
    detector = FeedbackDetector()
    chord: list[Message] = [(0x90, pitch, 80) for pitch in (60, 64, 67, 72)]
    for message in chord:
        detector.hear(message, 0.0)
        detector.sent(message, 0.0, passed_on=True)
    assert [detector.hear(message, 0.004) for message in chord] == [False, False, False, True]


def test_a_key_of_the_performer_goes_up_although_the_models_note_ended_there_before() -> None:
    detector = FeedbackDetector()
    for number, message in enumerate(NOTES):
        detector.sent(message, float(number))
        detector.hear(message, number + 0.004)
    assert not detector.hear((0x90, 50, 80), 9.0)
    detector.sent((0x80, 50, 0), 9.02)
    assert not detector.hear((0x80, 50, 0), 9.08)


def test_once_there_is_feedback_controllers_that_come_back_are_ours_too() -> None:
    detector = FeedbackDetector()
    for number, message in enumerate(NOTES):
        detector.sent(message, float(number))
        detector.hear(message, number + 0.004)
    detector.sent((0xB0, 64, 127), 9.0, passed_on=True)
    assert detector.hear((0xB3, 64, 127), 9.004)
    assert not detector.hear((0xB0, 64, 127), 9.01)


def test_notes_that_come_back_one_after_the_other_are_feedback() -> None:
    detector = FeedbackDetector()
    told = []
    for number, message in enumerate(NOTES):
        detector.sent(message, float(number))
        told.append(detector.hear(message, number + 0.01))
    assert told == [False] * (IN_A_ROW - 1) + [True] * (len(NOTES) - IN_A_ROW + 1)
    assert detector.found


def test_what_comes_back_late_or_changed_is_no_feedback() -> None:
    late, changed = FeedbackDetector(), FeedbackDetector()
    for number, message in enumerate(NOTES * 3):
        late.sent(message, float(number))
        changed.sent(message, float(number))
        assert not late.hear(message, number + WITHIN_SECONDS + 0.01)
        assert not changed.hear((message[0], message[1] + 1, message[2]), number + 0.01)
    assert not late.found
    assert not changed.found


def test_a_note_of_somebody_else_in_between_begins_the_count_anew() -> None:
    detector = FeedbackDetector()
    for number, message in enumerate(NOTES * 3):
        detector.sent(message, float(number))
        assert not detector.hear(message, number + 0.01)
        if number % (IN_A_ROW - 1) == IN_A_ROW - 2:
            assert not detector.hear((0x90, 30, 1), number + 0.02)
    assert not detector.found


def test_pedals_and_a_note_that_comes_twice_say_nothing() -> None:
    detector = FeedbackDetector()
    detector.sent((0x90, 60, 80), 0.0)
    detector.sent((0xB0, 64, 127), 0.0)
    for _ in range(10):
        assert not detector.hear((0x90, 60, 80), 0.01)
        assert not detector.hear((0xB0, 64, 127), 0.01)
    assert not detector.found


def test_where_there_is_feedback_the_performer_is_still_heard() -> None:
    detector = FeedbackDetector()
    for number, message in enumerate(NOTES):
        detector.sent(message, float(number))
        detector.hear(message, number + 0.01)
    assert detector.found
    assert not detector.hear((0x90, 72, 90), 9.0)
