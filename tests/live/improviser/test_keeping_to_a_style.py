"""What the model plays alone is measured, and kept to the style that it follows."""

from __future__ import annotations

import math

import pytest

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.controls import Controls
from midirnn.codecs.style import Style
from midirnn.live import LiveConfig
from midirnn.live.base.messages import (
    Begin,
    Knobs,
    Plan,
    Planned,
    PlannedEvent,
    Request,
    Rewind,
)
from midirnn.live.controls.console import Console
from midirnn.live.improviser.server import ModelServer
from midirnn.live.improviser.stream import SharedStream
from midirnn.live.modes import MODES, make_mode
from midirnn.midievents import NOTE_ON
from midirnn.sampling import Sampler, SamplingConfig
from tests.live.improviser.test_states_of_other_models import a_server
from tests.sampling.mock_engine import Eager

CODEC = PerformanceCodec()
FOUR_NOTES_A_SECOND = Controls(style=Style({"density": math.log2(5.0)}))


def planned_by(server: ModelServer, *requests: Request) -> list[PlannedEvent]:
    replies = [reply for request in requests for reply in server.handle(request)]
    return [event for reply in replies if isinstance(reply, Planned) for event in reply.events]


@pytest.mark.parametrize(("keeps", "expected"), [(True, 4.0), (False, 8.0)])
def test_a_model_that_plays_twice_as_many_notes_is_brought_back_where_it_is_asked_to_keep(
    keeps: bool, expected: float
) -> None:
    server = ModelServer(Sampler(Eager(CODEC, 2.0), CODEC, seed=0))
    knobs = Knobs(SamplingConfig(), FOUR_NOTES_A_SECOND)
    events = planned_by(server, knobs, Begin(0, keeps=keeps), Plan(-1, 0, 4000, 10**6))
    late = [e for e in events if e.message[0] & 0xF0 == NOTE_ON and 20.0 <= e.seconds < 40.0]
    assert len(late) / 20.0 == pytest.approx(expected, rel=0.15)


def test_going_back_takes_the_measurements_back() -> None:
    far, near = (a_server(control_inputs=True, style_inputs=True) for _ in range(2))
    begin = (Knobs(SamplingConfig(), FOUR_NOTES_A_SECOND), Begin(0, keeps=True))
    events = planned_by(far, *begin, Plan(-1, 0, 3000, 10**6))
    assert planned_by(near, *begin, Plan(-1, 0, 1500, 10**6)) == events[: 1 + near_end(events)]
    sent = near_end(events) // 2
    again = Rewind(1, sent), Plan(sent, 0, 2500, 10**6)
    replanned = planned_by(far, *again)
    assert len(replanned) > 50
    assert planned_by(near, *again) == replanned


def near_end(events: list[PlannedEvent]) -> int:
    """The last event within 15 s."""
    return max(event.number for event in events if event.seconds <= 15.0)


@pytest.mark.parametrize("mode", sorted(MODES))
def test_it_keeps_to_a_style_where_it_plays_freely_and_alone(mode: str) -> None:
    console = Console(LiveConfig())
    requests = console.begin(make_mode(mode, console.config), lambda seconds: 0, 6.0)
    (begin,) = (request for request in requests if isinstance(request, Begin))
    assert begin.keeps == (mode in ("autopilot", "call_and_response"))


def test_the_notes_of_the_performer_do_not_count() -> None:
    stream = SharedStream(Sampler(Eager(CODEC, 1.0), CODEC, seed=0))
    stream.begin(Begin(0, keeps=True))
    for step in range(0, 1000, 10):
        stream.write(step, [60] if step else [], [(60, 20)])
    assert stream.asked(FOUR_NOTES_A_SECOND) == FOUR_NOTES_A_SECOND
    while stream.step < 2000:
        stream.draw(1000)
    assert stream.asked(FOUR_NOTES_A_SECOND) != FOUR_NOTES_A_SECOND
