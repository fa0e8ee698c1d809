"""The model is kept warm while there is music, and nothing else comes of it."""

from __future__ import annotations

import os

import numpy as np
import pytest

from midirnn.engines.base import RecurrentEngine
from midirnn.engines.load import ENGINES
from midirnn.live import ManualClock, Session
from midirnn.live.base.messages import (
    Hear,
    Heard,
    HeardStep,
    ModelSettings,
    Plan,
    Planned,
    Release,
    Reply,
    Request,
    Rest,
    Rewind,
)
from midirnn.live.improviser.server import ModelServer
from midirnn.live.model_process.child import Aftermath, Answer, serve
from midirnn.live.model_process.inbox import Inbox, parcel
from midirnn.live.model_process.link import LocalModel
from midirnn.live.model_process.warmth import (
    LONGEST_SECONDS,
    ROUND_SECONDS,
    SLOW_STEPS,
    WARM_SECONDS,
    Warmth,
)
from midirnn.ports import MemoryOutput
from midirnn.sampling import Sampler
from tests.engines.stepping import same_state
from tests.engines.test_numpy_engine import CountingEngine
from tests.engines.test_onnx_engine import model_of
from tests.live.input.test_hearing import server
from tests.live.stage import tiny_model

MODEL = tiny_model()
NOTE = Hear((HeardStep(5, (), ((60, 9),)),))
PLAN = Plan(-1, 6, 100, 32)


class Steps:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.mark.parametrize(
    ("requests", "warm"),
    [((NOTE,), True), ((Rewind(1, -1), PLAN), True), ((Rest(7),), False), ((), False)],
)
def test_music_keeps_it_warm_for_a_while(requests: tuple[Request, ...], warm: bool) -> None:
    steps, clock = Steps(), ManualClock(100.0)
    warmth = Warmth(steps, wanted=True, clock=clock.now, processors=2)
    assert not warmth.keep()
    warmth.renew(requests)
    for seconds in (0.0, 0.9 * WARM_SECONDS):
        clock.advance(seconds)
        assert warmth.keep() is warm
    clock.advance(0.2 * WARM_SECONDS)
    assert not warmth.keep()
    assert steps.count == 2 * warm


def test_a_model_whose_steps_are_long_is_let_rest() -> None:
    spent = 0.0

    def warm_up() -> None:
        nonlocal spent
        spent += next(steps)

    long, short = 1.5 * LONGEST_SECONDS, 0.5 * LONGEST_SECONDS
    steps = iter([long, short, *[long] * SLOW_STEPS])
    warmth = Warmth(warm_up, wanted=True, clock=lambda: 0.0, spent=lambda: spent, processors=2)
    warmth.renew((NOTE,))
    assert [warmth.keep() for _ in range(2 + SLOW_STEPS)] == [True] * (1 + SLOW_STEPS) + [False]
    warmth.renew((NOTE,))
    assert not warmth.keep()


def test_a_model_process_warms_up_between_what_it_is_asked() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"), os.fdopen(writing, "wb", buffering=0) as sender:
        inbox, steps, answers = Inbox(reading), Steps(), list[Answer]()

        def warm_up() -> None:
            steps()
            if steps.count == 2:
                sender.write(parcel((PLAN,)))

        def answer(answer: Answer) -> None:
            answers.append(answer)
            if any(isinstance(reply, Planned) and reply.done for reply in answer.replies):
                sender.write(parcel(None))

        warmth = Warmth(warm_up, wanted=True, clock=lambda: 0.0, processors=2)
        sender.write(parcel((NOTE,)))
        serve(inbox, server()[0], answer, Aftermath(), warmth)
    assert steps.count >= 2
    assert isinstance(answers[0].replies[0], Heard)
    assert isinstance(answers[-1].replies[-1], Planned)


@pytest.mark.parametrize(("wanted", "processors"), [(False, 2), (True, 1)])
def test_it_rests_where_that_is_wanted_or_a_processor_is_all_there_is(
    wanted: bool, processors: int
) -> None:
    steps = Steps()
    warmth = Warmth(steps, wanted=wanted, clock=lambda: 0.0, processors=processors)
    warmth.renew((NOTE,))
    assert not warmth.keep()
    assert steps.count == 0


@pytest.mark.parametrize("seconds", [[-1.0], [0.05], [0.0, 0.11, 0.4, 1.3, 50.0]])
def test_warming_up_changes_no_reply(seconds: list[float]) -> None:
    def replies(warmed_up: list[float]) -> list[Reply]:
        model, _ = server()
        told: list[Reply] = []
        for request in (NOTE, PLAN, Rewind(1, 0), NOTE, PLAN, Rewind(2, 1), Release(90), PLAN):
            for at in warmed_up:
                model.warm_up(at)
            told += model.handle(request)
        return told

    assert replies([]) == replies(seconds)


@pytest.mark.parametrize(
    ("precomputed_for", "saved"), [([0.45], 1), ([0.43, 0.43, 0.43], 1), ([0.43], 0), ([0.46], 0)]
)
def test_a_rest_that_was_precomputed_is_heard_for_nothing(
    precomputed_for: list[float], saved: int
) -> None:
    def steps_to_hear(warmed_up: list[float]) -> int:
        engine = CountingEngine(MODEL.config, MODEL.weights)
        model = ModelServer(Sampler(engine, MODEL.codec, seed=0))
        list(model.handle(NOTE))
        events = [event for reply in model.handle(PLAN) for event in getattr(reply, "events", ())]
        sounded = [event for event in events if event.seconds <= precomputed_for[0]]
        assert sounded
        assert len(sounded) < len(events)
        for seconds in warmed_up:
            model.warm_up(seconds)
        engine.steps = 0
        list(model.handle(Rewind(1, sounded[-1].number)))
        list(model.handle(Hear((HeardStep(45, (), ((61, 9),)),))))
        return engine.steps

    assert steps_to_hear([]) - steps_to_hear(precomputed_for) == saved


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "auto"])
def test_a_warm_up_step_leaves_the_state_alone(name: str) -> None:
    rehearsing, resting = (model_of().engine(name) for _ in range(2))
    assert isinstance(rehearsing, RecurrentEngine)
    for token in (60, 300, 64, 370):
        for engine in (rehearsing, resting):
            engine.feed(token, np.zeros(128, dtype=bool))
        rehearsing.warm_up()
        assert same_state(rehearsing.snapshot(), resting.snapshot())


@pytest.mark.parametrize(
    ("keep_warm", "processors", "is_warm"), [(True, 2, True), (True, 1, False), (False, 2, False)]
)
def test_the_session_comes_round_often_for_a_while_after_music(
    keep_warm: bool, processors: int, is_warm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("midirnn.live.model_process.warmth.usable_processors", lambda: processors)
    clock, model = ManualClock(1000.0), tiny_model()
    link = LocalModel(Sampler(model.engine("numpy"), model.codec, seed=0), clock.now(), 0)
    link.settings = ModelSettings("tiny", keep_warm=keep_warm)

    def wait() -> float:
        """Until what time the loop waits, counted from now; nothing falls due before."""
        session.step()
        return session.step() - clock.now()

    with Session(link, MemoryOutput(), clock=clock) as session:
        assert wait() > ROUND_SECONDS
        session.receive((0x90, 60, 80), clock.now())
        assert (wait() <= ROUND_SECONDS) is is_warm
        clock.advance(2 * WARM_SECONDS)
        assert wait() > ROUND_SECONDS
