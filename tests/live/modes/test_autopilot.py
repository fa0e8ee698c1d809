"""Autopilot on a stage: it plays without end, far enough ahead, and takes up what is played."""

from __future__ import annotations

import numpy as np
import pytest

from midirnn.live import LiveConfig
from midirnn.live.output.scheduler import PlannedEvent
from tests.live.stage import START_SECONDS, Stage, is_note_on, note, note_ons, sounding


def test_it_plays_from_the_start_and_goes_on() -> None:
    sent = Stage("autopilot").play(60.0)
    onsets = note_ons(sent)
    assert onsets[0] < 0.6
    assert np.diff([*onsets, 60.0]).max() < 3.1
    assert sounding(message for _, message in sent) == set()


def test_the_same_seed_plays_the_same_and_another_does_not() -> None:
    assert Stage("autopilot", seed=3).play(10.0) == Stage("autopilot", seed=3).play(10.0)
    assert Stage("autopilot", seed=3).play(10.0) != Stage("autopilot", seed=4).play(10.0)


def test_it_plays_what_generating_offline_plays() -> None:
    stage = Stage("autopilot", seed=5)
    sent = stage.play(20.0)
    codec = stage.sampler.codec
    decoded = codec.decode(stage.sampler.tokens)
    first = note_ons(sent)[0]
    live = [(round(s - first, 2), m[1], m[2]) for s, m in sent if is_note_on(m)]
    start = (decoded.start - decoded.start[0]).round(2).tolist()
    offline = zip(start, decoded.pitch.tolist(), decoded.velocity.tolist(), strict=True)
    assert sorted(live) == sorted(list(offline)[: len(live)])


@pytest.mark.parametrize("lookahead", [0.5, 1.0, 3.0])
def test_left_alone_it_plans_ahead(lookahead: float) -> None:
    stage = Stage("autopilot", LiveConfig(lookahead_seconds=lookahead))
    stage.run(1.0)
    for _ in range(100):
        stage.run(0.05)
        assert stage.planned_until - stage.clock.now() >= lookahead - 0.02


def test_each_event_is_sent_when_it_was_planned_for() -> None:
    stage = Stage("autopilot")
    planned = record_plan(stage)
    sent = stage.play(20.0)[:-2]
    times = {event.seconds - START_SECONDS: None for event in planned}
    for seconds, _ in sent[: -len(stage.sampler.sounding) or None]:
        if seconds < 20.0:
            assert min(abs(seconds - time) for time in times) < 1e-5


def record_plan(stage: Stage) -> list[PlannedEvent]:
    """The list that all that is planned from now on goes into."""
    planned: list[PlannedEvent] = []
    add = stage.session.scheduler.add

    def note_down(events: list[PlannedEvent]) -> None:
        planned.extend(events)
        add(events)

    stage.session.scheduler.add = note_down  # type: ignore[method-assign, assignment]
    return planned


def test_what_the_performer_plays_is_heard_at_once_and_changes_what_follows() -> None:
    alone, steered = Stage("autopilot"), Stage("autopilot")
    steered.perform(note(3.0, 4.0, 61))
    with steered.session:
        steered.run(3.02)
        heard_by = steered.sampler.codec.decode(steered.sampler.tokens)
        assert 61 in steered.sampler.sounding
        assert len(heard_by)
        steered.run(7.0)
    alone.run(10.02)
    before = [event for event in alone.sent if event[0] < 3.0]
    assert [event for event in steered.sent if event[0] < 3.0] == before
    assert steered.sent != alone.sent


def test_a_performer_who_never_pauses_does_not_keep_it_from_playing() -> None:
    stage = Stage("autopilot")
    stage.perform(
        event for i in range(200) for event in note(0.05 * i, 0.05 * i + 0.04, 60 + i % 9)
    )
    assert len(note_ons(stage.play(10.0))) > 50


def test_notes_of_the_model_sound_on_when_the_performer_plays() -> None:
    stage = Stage("autopilot")
    stage.run(2.985)
    held = {pitch for _, pitch in sounding(message for _, message in stage.sent)}
    assert held
    pitch = next(p for p in range(60, 128) if p not in held)
    stage.perform(note(2.99, 4.0, pitch))
    stage.run(0.01)
    assert {p for _, p in sounding(message for _, message in stage.sent)} & held


def test_a_pitch_that_the_performer_strikes_is_ended_by_the_model_and_left_to_the_performer() -> (
    None
):
    stage = Stage("autopilot")
    stage.run(2.985)
    pitch = stage.session.scheduler.sounding[0].key[1]
    stage.perform(note(2.99, 6.0, pitch))
    stage.run(2.5)
    now_sounding = sounding(message for _, message in stage.sent)
    assert (0, pitch) not in now_sounding
    assert pitch in stage.sampler.sounding
    assert [m for s, m in stage.sent if s > 3.01 and m[1] == pitch] == []


def test_it_plays_without_any_input() -> None:
    assert len(note_ons(Stage("autopilot").play(5.0))) > 10
