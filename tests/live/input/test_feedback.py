"""Our own notes are recognised when they come in, and nobody else's."""

from __future__ import annotations

from midirnn.live.input.feedback import IN_A_ROW, WITHIN_SECONDS, FeedbackDetector

NOTES = [(0x90, 60, 80), (0x80, 60, 0), (0x90, 64, 70), (0x80, 64, 0), (0x90, 65, 70)]


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
        assert not changed.hear((message[0], message[1], message[2] + 1), number + 0.01)
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
