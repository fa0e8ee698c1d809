"""The values of hidden units come with the model's replies, and are shown when they sound."""

from __future__ import annotations

from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.live.base.messages import (
    Begin,
    Hear,
    Heard,
    HeardStep,
    Plan,
    Planned,
    PlannedEvent,
    Rewind,
)
from midirnn.live.improviser.server import ModelServer
from midirnn.live.view.display import StageView, render
from midirnn.live.view.units import UnitStream
from midirnn.midievents import NOTE_ON
from midirnn.probing.watching import WatchedUnit
from midirnn.sampling import Sampler
from tests.live.stage import tiny_model

UNITS = (
    WatchedUnit("loudness", "h", 0, 3, -0.5, 0.5, 0.8),
    WatchedUnit("register", "c", 0, 5, 1.0, -1.0, 0.7),
)


def planned(seconds: float, *values: float, plan: int = 0) -> Planned:
    event = PlannedEvent(0, seconds, (NOTE_ON, 60, 64))
    return Planned(plan, (event,), seconds, 1, done=False, entropy=1.0, units=values)


def test_values_of_planned_events_are_shown_when_these_sound() -> None:
    stream = UnitStream(UNITS)
    assert stream.at(1.0) == ()
    stream.answered(planned(2.0, 0.1, 0.2), 1.0)
    stream.answered(planned(3.0, 0.3, 0.4), 1.0)
    assert stream.at(1.9) == ()
    shown = stream.at(2.5)
    assert [(unit.signal, unit.name, unit.value) for unit in shown] == [
        ("loudness", "h1[3]", 0.1),
        ("register", "c1[5]", 0.2),
    ]
    assert [unit.value for unit in stream.at(3.0)] == [0.3, 0.4]


def test_values_of_a_dropped_plan_are_never_shown() -> None:
    stream = UnitStream(UNITS)
    stream.answered(planned(2.0, 0.1, 0.2), 1.0)
    stream.answered(planned(3.0, 0.3, 0.4), 1.0)
    stream.asked(Rewind(1, 0), 2.5)
    assert [unit.value for unit in stream.at(9.0)] == [0.1, 0.2]


def test_what_is_heard_shows_at_once() -> None:
    stream = UnitStream(UNITS)
    stream.answered(Heard(units=(0.5, 0.6)), 1.0)
    assert [unit.value for unit in stream.at(1.0)] == [0.5, 0.6]


def test_the_server_tells_the_values_of_the_state_that_drew_each_token() -> None:
    model = tiny_model()
    engine = NumpyEngine(model.config, model.weights)
    server = ModelServer(Sampler(engine, model.codec, seed=0), units=UNITS)
    (heard,) = server.handle(Hear((HeardStep(10, (), ((60, 16),)),)))
    assert isinstance(heard, Heard)
    assert len(heard.units) == 2
    list(server.handle(Begin(20)))
    replies = [r for r in server.handle(Plan(-1, 20, 300, 60)) if isinstance(r, Planned)]
    told = {r.units for r in replies if r.events}
    assert len(told) > 3
    assert all(0.0 <= value <= 1.0 for values in told for value in values)


def test_replies_are_equal_whatever_the_units_say() -> None:
    assert Heard((60,), units=(0.1,)) == Heard((60,))
    assert planned(1.0, 0.5) == planned(1.0)


def test_the_terminal_draws_a_bar_for_each_unit() -> None:
    stream = UnitStream(UNITS)
    stream.answered(Heard(units=(0.0, 1.0)), 1.0)
    view = StageView(1.0, 0.0, "duet", "listening", units=stream.at(1.0))
    rows = [str(row) for row in render(view, 100, 30).renderables]
    (row,) = [row for row in rows if row.startswith("units")]
    assert "register █" in row
    assert "loudness  " in row
    without = render(StageView(1.0, 0.0, "duet", "listening"), 100, 30)
    assert not any(str(row).startswith("units") for row in without.renderables)
