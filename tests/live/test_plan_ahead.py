"""How far the plan reaches: near after a note of the performer's, but always to its first event."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from midirnn.live import LiveConfig, ManualClock
from midirnn.live.base.messages import Hear, Plan, Planned, PlannedEvent
from midirnn.live.output.scheduler import Scheduler
from midirnn.live.plan_ahead import NEAR_SECONDS, PlanAhead
from midirnn.live.timing.stretch import TimeMap
from midirnn.ports import MemoryOutput
from tests.live.recovery.test_survival import Concert

START = 100.0
EVENT = PlannedEvent(0, START + 0.4, (0x90, 60, 64))


def plan_from(start: float, rate: float = 1.0) -> PlanAhead:
    made = PlanAhead(
        Scheduler(MemoryOutput(), ManualClock(start), max_note_seconds=20.0),
        TimeMap(start, rate),
        start_seconds=start,
        steps_per_second=100,
        lookahead_seconds=1.0,
    )
    made.begin()
    return made


@pytest.fixture
def plan() -> PlanAhead:
    made = plan_from(START)
    made.disturb(START)
    return made


def planned(until: float, *events: PlannedEvent) -> Planned:
    return Planned(0, events, START + until, tokens=1, done=True)


def test_a_plan_without_an_event_goes_on_at_once(plan: PlanAhead) -> None:
    asked = plan.more(START, 1, START + 60.0)
    assert asked is not None
    assert asked.until_step == pytest.approx(100 * NEAR_SECONDS, abs=1)
    assert asked.first_until_step == 100
    plan.take(planned(0.5), START)
    assert plan.more_at(START + 60.0) <= START
    assert plan.more(START, 1, START + 60.0) is not None


def test_a_plan_with_an_event_goes_on_when_it_no_longer_reaches_far(plan: PlanAhead) -> None:
    assert plan.more(START, 1, START + 60.0) is not None
    plan.take(planned(0.4, EVENT), START)
    assert plan.more(START, 1, START + 60.0) is None
    again = plan.more_at(START + 60.0)
    assert START < again < START + 0.4
    assert plan.more(again, 1, START + 60.0) is not None


def test_the_next_plan_has_its_first_event_to_come(plan: PlanAhead) -> None:
    plan.more(START, 1, START + 60.0)
    plan.take(planned(0.4, EVENT), START)
    assert plan.drop() is not None
    plan.disturb(START)
    assert plan.more(START, 1, START + 60.0) is not None
    plan.take(planned(0.5), START)
    assert plan.more(START, 1, START + 60.0) is not None


def test_nothing_is_planned_beyond_the_end(plan: PlanAhead) -> None:
    asked = plan.more(START, 1, START + 0.1)
    assert asked is not None
    assert asked.until_step == asked.first_until_step == 10
    plan.take(planned(0.1), START)
    assert plan.more(START, 1, START + 0.1) is None
    assert plan.more_at(START + 0.1) == START + 0.1


def test_a_note_is_answered_by_a_plan_that_may_reach_far_for_its_first_event() -> None:
    concert = Concert("autopilot", config=LiveConfig(guard=False))
    at = concert.start + 2.0
    concert.clock.at(at, lambda: concert.session.receive((0x90, 60, 80), at))
    with concert.session:
        concert.run(2.1)
    kinds = [type(request) for request in concert.model.asked]
    behind = concert.model.asked[kinds.index(Hear) :]
    plan = next(request for request in behind if isinstance(request, Plan))
    assert plan.first_until_step - plan.until_step == pytest.approx(80, abs=3)


def test_a_plan_that_is_short_by_a_rounding_only_is_enough() -> None:
    plan = plan_from(0.0)
    now, until = 0.39, 1.39
    assert now + 1.0 > until, "in floating point"
    assert plan.more(now, 40, 60.0) is not None
    plan.take(Planned(0, (EVENT,), until, tokens=1, done=True), now)
    assert plan.more(now, 40, 60.0) is None
    assert plan.more_at(60.0) > now


def test_a_plan_that_is_short_of_the_end_by_a_rounding_only_waits_for_the_end() -> None:
    plan = plan_from(0.0)
    end = 0.3 + 1e-9
    assert plan.more(0.1, 11, end) is not None
    plan.take(Planned(0, (EVENT,), 0.3, tokens=1, done=True), 0.1)
    assert plan.more(0.1, 11, end) is None
    assert plan.more_at(end) == end


@pytest.mark.parametrize("rate", [0.5, 0.9, 1.0, 1.1, 2.0])
@pytest.mark.parametrize(("share", "is_thinned"), [(0.1, False), (0.9, True)])
def test_only_a_model_slower_than_its_music_is_thinned_whatever_the_tempo(
    rate: float, share: float, is_thinned: bool
) -> None:
    plan, now = plan_from(START, rate), START
    for _ in range(200):
        assert plan.more(now, 1, math.inf) is not None
        gained = max(plan.until, now) + 0.1
        now += 0.1 * share  # what the model took for a tenth of a second, as it is heard
        plan.take(replace(planned((gained - START) * rate), tokens=4), now)
        now = max(now, plan.more_at(math.inf))
    assert (plan.overload.thinning > 0) is is_thinned
