"""What the performer plays is heard at once, and what was heard is what the recording says."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.live import LiveConfig
from midirnn.live.base.messages import Hear, Heard, HeardStep, Plan, Planned, Release, Rewind
from midirnn.live.improviser import stream
from midirnn.live.improviser.server import ModelServer
from midirnn.ports import Message
from midirnn.sampling import SamplingConfig
from tests.live.improviser.test_stream import encoded, said
from tests.live.performers import schedules
from tests.live.recovery.test_survival import Concert
from tests.live.stage import CheckingSampler, NumpyEngine, Stage, note, tiny_model

LISTENING = LiveConfig(silence_seconds=60.0)


@given(schedules(), st.sampled_from([0.0002, 0.003, 0.02, 0.2]))
def test_however_late_the_model_answers_it_has_heard_the_tokens_of_the_recording(
    schedule: list[tuple[float, Message]], delay_seconds: float
) -> None:
    concert = Concert(
        "call_and_response", config=LISTENING, delay_seconds=delay_seconds, start_seconds=0.0
    )
    concert.model.sampler.configure(SamplingConfig(max_note_seconds=3600.0))
    for seconds, message in schedule:
        concert.clock.at(
            seconds,
            lambda at=seconds, message=message: concert.session.receive(message, at),  # type: ignore[misc]
        )
    until = schedule[-1][0] + 3.0 if schedule else 1.0
    with patch.object(stream, "LONGEST_REST_SECONDS", 1e6), concert.session:
        concert.run(until)
        expected = encoded(schedule, until)
        # Of the rest at the end the last full shift may still be on its way.
        heard = concert.model.sampler.tokens
        assert expected[: len(heard)] == heard
        assert set(expected[len(heard) :]) <= {concert.model.codec.vocabulary.size - 33}


def test_a_note_is_heard_before_its_step_is_over() -> None:
    stage = Stage("call_and_response", LISTENING)
    stage.perform([(1.0, (0x90, 60, 80))])
    stage.run(1.0001)
    assert stage.sampler.sounding == [60]


def test_what_comes_later_in_the_step_is_heard_in_the_order_of_the_encoding() -> None:
    stage = Stage("call_and_response", LISTENING)
    stage.perform(
        [*note(1.0, 1.502, 60), (1.5, (0x90, 67, 80)), (1.503, (0x90, 64, 80))]  # all one step
    )
    stage.run(1.5005)
    assert said(stage.sampler)[2:] == ["shift 50", "on 67"]
    stage.run(0.002)
    assert said(stage.sampler)[2:] == ["shift 50", "off 60", "on 67"]
    stage.run(0.1)
    assert said(stage.sampler)[2:] == ["shift 50", "off 60", "on 67", "on 64"]


def test_a_chord_whose_notes_come_one_by_one_is_heard_with_its_first_and_then_as_a_whole() -> None:
    concert = Concert("autopilot", delay_seconds=0.004)
    with concert.session:
        concert.run(1.0)
        asked = len(concert.model.asked)
        for pitch in range(60, 70):
            concert.play((0x90, pitch, 80))
            concert.run(0.0003)
        concert.run(0.05)
        heard = [r for r in concert.model.asked[asked:] if isinstance(r, Hear)]
    assert [len(request.steps[-1].note_ons) for request in heard] == [1, 10]
    assert set(range(60, 70)) <= set(concert.model.sampler.sounding)


def server() -> tuple[ModelServer, CheckingSampler]:
    model = tiny_model()
    sampler = CheckingSampler(NumpyEngine(model.config, model.weights), model.codec, seed=0)
    return ModelServer(sampler), sampler


def test_a_step_that_is_told_again_takes_the_place_of_what_was_told() -> None:
    model, sampler = server()
    list(model.handle(Hear((HeardStep(5, (), ((60, 9),)),))))
    list(model.handle(Hear((HeardStep(5, (), ((60, 9), (64, 9))),))))
    assert said(sampler) == ["velocity 9", "on 60", "on 64"]


def test_what_the_model_ended_for_a_note_has_ended_when_the_step_is_told_again_without_it() -> None:
    model, sampler = server()
    planned = [r for r in model.handle(Plan(-1, 1, 200, 64)) if isinstance(r, Planned)]
    (first, *_) = [event for reply in planned for event in reply.events]
    pitch, step = first.message[1], round(first.seconds * 100)
    list(model.handle(Rewind(1, first.number)))
    (heard,) = model.handle(Hear((HeardStep(step + 5, (), ((pitch, 9),)),)))
    assert isinstance(heard, Heard)
    assert heard.ended == (pitch,)
    # A note without length: it was never played.
    list(model.handle(Hear((HeardStep(step + 5, (), ()),))))
    assert sampler.sounding == []
    assert said(sampler)[-1] == f"off {pitch}"


def test_what_sounded_since_a_step_was_told_is_kept_when_more_of_it_comes_late() -> None:
    model, sampler = server()
    list(model.handle(Hear((HeardStep(5, (), ((60, 9),)),))))
    planned = [r for r in model.handle(Plan(-1, 6, 200, 64)) if isinstance(r, Planned)]
    (first, *_) = [event for reply in planned for event in reply.events]
    list(model.handle(Rewind(1, first.number)))
    list(model.handle(Hear((HeardStep(5, (), ((60, 9), (72, 9))),))))
    assert set(sampler.sounding) == {60, 72, first.message[1]}
    assert said(sampler).count("on 60") == 1


@pytest.mark.parametrize("pitches", [(60,), (60, 64, 67)])
def test_each_note_that_is_heard_is_answered_by_how_surprising_it_was(
    pitches: tuple[int, ...],
) -> None:
    model, _ = server()
    step = HeardStep(5, (), tuple((pitch, 9) for pitch in pitches))
    (heard,) = model.handle(Hear((step,)))
    assert isinstance(heard, Heard)
    assert tuple(surprise.pitch for surprise in heard.surprises) == pitches
    assert all(0.0 < surprise.nats < 20.0 for surprise in heard.surprises)


def test_the_first_event_is_planned_however_far_it_is() -> None:
    near, far = (Plan(-1, 6, 6, 200, first_until_step=first) for first in (0, 500))
    model, _ = server()
    list(model.handle(Hear((HeardStep(5, (), ((60, 9),)),))))
    assert not any(reply.events for reply in model.handle(near) if isinstance(reply, Planned))
    list(model.handle(Rewind(1, -1)))
    for plan in (2, 3):  # anew in each plan
        *drawn, done = (reply for reply in model.handle(far) if isinstance(reply, Planned))
        assert [bool(reply.events) for reply in drawn] == [False] * (len(drawn) - 1) + [True]
        assert done.seconds >= 0.06
        # Once there is one, the plan reaches as far as it is asked to.
        assert list(model.handle(far)) == [Planned(plan - 1, (), done.seconds, 0, done=True)]
        list(model.handle(Rewind(plan, -1)))


def test_how_far_a_plan_got_makes_no_difference_to_the_next() -> None:
    (short, _), (long, _) = server(), server()
    for model, tokens in ((short, 10), (long, 200)):
        list(model.handle(Plan(-1, 1, 400, tokens)))
        list(model.handle(Rewind(1, 1)))
        list(model.handle(Release(60)))
    assert list(short.handle(Plan(1, 61, 300, 100))) == list(long.handle(Plan(1, 61, 300, 100)))
