"""Call and response on a stage: when it answers, when it stops, what it has heard then."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.live import LiveConfig, Stance
from midirnn.live.base.messages import Request, Rest
from midirnn.live.improviser.stream import FIRST_NOTE_SECONDS
from midirnn.live.interplay import REST_SECONDS
from midirnn.ports import Message
from tests.live.stage import Stage, is_note_off, is_note_on, note, note_ons, sounding

PHRASE = note(1.0, 1.5, 60) + note(1.5, 2.0, 64) + note(2.0, 5.0, 67)
ANSWER_BEGINS, ANSWER_ENDS = 6.0, 10.0


def stage_with(*performed: tuple[float, Message], config: LiveConfig | None = None) -> Stage:
    stage = Stage("call_and_response", config)
    stage.perform(performed)
    return stage


def test_it_is_silent_until_a_phrase_has_ended() -> None:
    sent = stage_with(*PHRASE).play(ANSWER_BEGINS)
    assert sent == []


def test_it_answers_soon_and_for_as_long_as_the_phrase() -> None:
    sent = stage_with(*PHRASE).play(20.0)
    onsets = note_ons(sent)
    assert ANSWER_BEGINS <= onsets[0] <= ANSWER_BEGINS + FIRST_NOTE_SECONDS + 0.02
    assert len(onsets) > 10
    assert ANSWER_ENDS - 3.0 < onsets[-1] <= ANSWER_ENDS - 1.0  # the last ones sound on
    ends = [seconds for seconds, message in sent if is_note_off(message)]
    assert max(ends) == pytest.approx(ANSWER_ENDS, abs=0.001)
    assert sounding(message for _, message in sent) == set()


def test_it_says_when_it_listens_and_when_it_plays() -> None:
    stage = stage_with(*PHRASE)
    stage.play(20.0)
    assert stage.changes == [
        (0.0, Stance.LISTENS),
        (ANSWER_BEGINS, Stance.BOTH),
        (ANSWER_ENDS, Stance.LISTENS),
    ]


def test_it_waits_for_the_silence_that_was_set() -> None:
    config = LiveConfig(silence_seconds=0.2, answer_seconds=1.0)
    stage = stage_with(*note(1.0, 1.5, 60), *note(1.65, 2.0, 62), config=config)
    stage.play(10.0)
    assert stage.changes[1:] == [(2.2, Stance.BOTH), (3.2, Stance.LISTENS)]


def test_it_plays_on_the_channel_that_was_set() -> None:
    sent = stage_with(*PHRASE, config=LiveConfig(channel=7)).play(12.0)
    assert {message[0] & 0x0F for _, message in sent} == {6}


def test_it_falls_silent_at_once_when_the_performer_begins_again() -> None:
    stage = stage_with(*PHRASE, *note(8.2, 8.7, 70))
    with stage.session:
        stage.run(9.0)
        assert [seconds for seconds, _ in stage.sent if seconds > 8.2] == []
        assert sounding(message for _, message in stage.sent) == set()
        released = [message for seconds, message in stage.sent if seconds == 8.2]
        assert released
        assert all(is_note_off(message) for message in released)


def test_after_an_interruption_the_model_has_heard_what_sounded_and_nothing_else() -> None:
    stage = stage_with(*PHRASE, *note(8.2, 30.0, 70))
    with stage.session:
        stage.run(8.0)
        assert set(stage.sampler.sounding) == set(stage.model_pitches)
        stage.run(1.0)
        assert stage.sampler.sounding == [70]
        assert stage.model_pitches == []
        heard = stage.sampler.codec.decode(stage.sampler.tokens)
    played = [message for _, message in stage.sent if is_note_on(message)]
    performed = [message for _, message in PHRASE if is_note_on(message)]
    assert sorted(heard.pitch.tolist()) == sorted([m[1] for m in played + performed] + [70])


def test_the_end_of_the_answer_is_heard_where_the_performer_begins_again() -> None:
    stage = stage_with(*PHRASE, *note(8.2, 30.0, 70, velocity=121))
    stage.run(9.0)
    words = [stage.sampler.codec.vocabulary.describe(token) for token in stage.sampler.tokens]
    kinds = [kind for kind, _ in words]
    last_on = max(i for i, (kind, _) in enumerate(words) if kind == "note_on")
    assert words[last_on] == ("note_on", 70)
    # Before it in the same step, the note-offs of the answer.
    assert kinds[last_on - 1] == "velocity"
    assert kinds[last_on - 2] == "note_off"


def test_it_answers_again_after_the_next_phrase() -> None:
    stage = stage_with(*PHRASE, *note(8.0, 12.0, 70))
    sent = stage.play(25.0)
    assert stage.changes[2:] == [
        (8.0, Stance.LISTENS),
        (13.0, Stance.BOTH),
        (17.0, Stance.LISTENS),
    ]
    assert any(13.0 <= seconds < 17.0 for seconds in note_ons(sent))


def test_keys_and_pedal_that_go_up_during_an_answer_are_heard_and_do_not_end_it() -> None:
    stage = stage_with(
        *PHRASE[:-1],
        (5.0, (0xB0, 64, 127)),
        (5.1, (0x80, 67, 0)),
        (7.5, (0xB0, 64, 0)),
    )
    with stage.session:
        stage.run(7.0)
        assert 67 in stage.sampler.sounding
        stage.run(0.6)
        assert stage.model_pitches
        stage.rewind()
        assert set(stage.sampler.sounding) == set(stage.model_pitches)
        stage.run(1.0)
    assert any(7.6 < seconds < 8.6 for seconds in note_ons(stage.sent))


def test_a_key_that_is_played_into_the_answer_at_the_pitch_of_the_model_is_the_performers() -> None:
    first = stage_with(*PHRASE)
    first.run(8.0)
    pitch = first.model_pitches[0]
    stage = stage_with(*PHRASE, (8.0, (0x90, pitch, 99)))
    with stage.session:
        stage.run(8.5)
        assert sounding(message for _, message in stage.sent) == set()
        assert stage.sampler.sounding == [pitch]


@given(st.floats(5.9, 10.1))
def test_whenever_the_performer_begins_again_the_model_is_silent_from_then_on(at: float) -> None:
    stage = stage_with(*PHRASE, *note(at, at + 3.0, 70))
    with stage.session:
        stage.run(at + 3.5)
        later = [message for seconds, message in stage.sent if seconds > at + 1e-5]
    assert not [message for message in later if is_note_on(message)]
    assert not later or at >= ANSWER_ENDS


def test_while_keys_are_held_the_model_hears_only_now_and_then_that_it_rests() -> None:
    stage = Stage("call_and_response")
    asked: list[Request] = []
    ask = stage.session.model.ask

    def note_down(requests: Sequence[Request]) -> None:
        asked.extend(requests)
        ask(requests)

    stage.session.model.ask = note_down  # type: ignore[method-assign]
    stage.perform(note(1.0, 9.0, 60))
    stage.perform((1.0 + 0.008 * i, (0xB0, 64, 64 + i % 60)) for i in range(800))
    stage.run(8.0)
    steps = np.array([request.step for request in asked if isinstance(request, Rest)])
    assert len(steps) > 20
    assert np.diff(steps).min() >= REST_SECONDS * 100
