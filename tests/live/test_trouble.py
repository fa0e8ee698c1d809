"""When things go wrong or slowly: no note is left on, lateness does not add up, play goes on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.errors import PortError
from midirnn.live import MODES, LiveConfig, Session
from midirnn.live.modes import NEVER, Performed, Source, Stance
from midirnn.live.output.scheduler import PATIENCE_SECONDS
from midirnn.live.signals import EndSignals
from midirnn.ports import MemoryOutput, Message, loopback_pair
from midirnn.sampling import Sampler, SamplingConfig
from tests.live.modes.test_autopilot import record_plan
from tests.live.stage import (
    Stage,
    WrappedEngine,
    at_note_on,
    is_note_on,
    note,
    note_ons,
    sounding,
    tiny_model,
)

ENDINGS: list[Message] = [(0xB0, 64, 0), (0xB0, 123, 0)]
LIMIT_SECONDS = 20.0


def fail_after(steps: int) -> Callable[[], None]:
    """A function that raises when it is called so many times."""
    left = [steps]

    def count() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("the model is broken")

    return count


ENDLESS = [name for name, mode in MODES.items() if mode.source is Source.MODEL]
"""Modes in which the model is asked again and again."""


@given(st.integers(1, 60), st.sampled_from(ENDLESS))
def test_when_the_model_fails_every_note_is_released(steps: int, mode: str) -> None:
    stage = Stage(mode, LiveConfig(silence_seconds=0.2))
    stage.perform(note(0.1, 0.3, 60) + note(0.3, 2.0, 62))
    stage.before_step = fail_after(steps)
    with pytest.raises(RuntimeError, match="the model is broken"), stage.session:
        stage.run(60.0)
    assert sounding(stage.output.messages) == set()
    if stage.output.messages:
        assert stage.output.messages[-2:] == ENDINGS


def test_when_the_output_fails_the_session_ends_with_the_reason() -> None:
    stage = Stage("autopilot")
    stage.clock.at(stage.start + 2.0, lambda: stage.output.fail("it was switched off"))
    with pytest.raises(PortError, match=r"memory out.*it was switched off"), stage.session:
        stage.run(60.0)
    assert stage.now < 5.0


def test_when_the_output_fails_once_every_note_is_released() -> None:
    stage = Stage("autopilot")
    stage.clock.at(stage.start + 2.0, stage.output.fail)
    with pytest.raises(PortError), stage.session:
        try:
            stage.run(60.0)
        finally:
            stage.output.restore()
    assert stage.output.messages[-2:] == ENDINGS
    ended = {m[1] for m in stage.output.messages if m[0] == 0x80}
    assert {m[1] for m in stage.output.messages if is_note_on(m)} <= ended


def test_when_the_notes_cannot_be_released_this_is_said() -> None:
    stage = Stage("autopilot")
    hanging = pytest.raises(PortError, match="notes may hang on MIDI output 'memory out'")
    with hanging, stage.session:
        stage.run(3.0)
        stage.output.fail()


def test_a_slow_model_is_never_later_than_its_last_few_tokens() -> None:
    stage = Stage("autopilot", sampling=SamplingConfig(max_note_seconds=600.0))
    stage.before_step = lambda: stage.clock.advance(0.06)
    planned = record_plan(stage)
    sent = stage.play(60.0)
    times = [event.seconds - stage.start for event in planned]
    messages = [event.message for event in planned]
    late = [
        seconds - time
        for (seconds, message), time, expected in zip(sent, times, messages, strict=False)
        if message == expected
    ]
    assert len(late) > 100
    assert max(late) < 0.3
    assert len(note_ons(sent)) > 60
    assert sounding(message for _, message in sent) == set()


def test_a_slow_model_still_hears_and_answers() -> None:
    stage = Stage("call_and_response")
    stage.before_step = lambda: stage.clock.advance(0.06)
    stage.perform(note(1.0, 2.0, 60) + note(2.0, 4.0, 64))
    sent = stage.play(20.0)
    assert note_ons(sent)
    assert sounding(message for _, message in sent) == set()


def stall(stage: Stage, at: float, seconds: float) -> None:
    """From that time on the model's next step takes so long, while what is due is sent."""

    def step() -> None:
        if stage.now < at:
            return
        stage.before_step = lambda: None
        end = stage.clock.now() + seconds
        while stage.clock.now() < end:
            due = stage.session.scheduler.send_due()
            stage.clock.wait(threading.Condition(), min(due, end))

    stage.before_step = step


def test_while_the_model_stalls_its_notes_end_and_then_it_plays_on() -> None:
    stage = Stage("autopilot")
    stall(stage, at=3.0, seconds=8.0)
    with stage.session:
        stage.run(3.5)
        assert stage.now > 11.0
        before = [event for event in stage.sent if event[0] < 11.0]
        assert sounding(message for _, message in before) == set()
        last = before[-1][0]
        assert 3.0 + PATIENCE_SECONDS <= last <= 4.1 + PATIENCE_SECONDS + 0.5
        stage.run(5.0)
        assert [seconds for seconds in note_ons(stage.sent) if seconds > 11.0]
        stage.rewind()
        assert {(0, p) for p in stage.model_pitches} == {
            sounds.key for sounds in stage.session.scheduler.sounding
        }
    assert sounding(stage.output.messages) == set()


def test_a_short_stall_is_not_heard() -> None:
    smooth, stalled = Stage("autopilot"), Stage("autopilot")
    stall(stalled, at=3.0, seconds=0.5)
    smooth.run(10.0)
    stalled.run(10.0)
    assert [m for m in stalled.sent if m[0] < 10.0] == [m for m in smooth.sent if m[0] < 10.0]


class Deaf:
    """A mode that plays and does not listen."""

    summary: ClassVar[str] = "It does not listen."
    source: ClassVar[Source] = Source.MODEL

    def __init__(self, config: LiveConfig) -> None:
        self.config = config

    def hear(self, performed: Performed) -> None:
        pass

    def stance(self, now: float) -> Stance:
        return Stance.PLAYS

    def changes_at(self) -> float:
        return NEVER


def test_a_mode_that_does_not_listen_plays_as_if_alone() -> None:
    alone, together = Stage(Deaf(LiveConfig())), Stage(Deaf(LiveConfig()))
    together.perform(note(1.0, 2.0, 60) + note(1.5, 5.0, 62))
    assert alone.play(8.0) == together.play(8.0)


def session_on(output: MemoryOutput, mode: str = "autopilot") -> Session:
    """A session in real time."""
    model = tiny_model()
    return Session(
        Sampler(NumpyEngine(model.config, model.weights), model.codec, seed=0),
        output,
        mode,
        LiveConfig(silence_seconds=0.1),
    )


def test_with_threads_it_plays_until_it_is_stopped_and_releases_its_notes() -> None:
    played = threading.Event()
    output = MemoryOutput(on_send=at_note_on(played.set))
    with session_on(output) as session:

        def stop() -> None:
            played.wait(LIMIT_SECONDS)
            session.stop()

        stopper = threading.Thread(target=stop)
        stopper.start()
        session.run(LIMIT_SECONDS)
        stopper.join()
    assert session._stopping
    assert sounding(output.messages) == set()
    assert output.messages[-2:] == ENDINGS


def test_with_threads_it_answers_a_performer_and_falls_silent_for_the_next_note() -> None:
    answered = threading.Event()
    output = MemoryOutput(on_send=at_note_on(answered.set))
    with session_on(output, "call_and_response") as session:
        keys, _ = loopback_pair(session.receive)
        silent = threading.Event()

        def perform() -> None:
            keys.send((0x90, 60, 80))
            keys.send((0x80, 60, 0))
            assert answered.wait(LIMIT_SECONDS)
            keys.send((0x90, 62, 80))
            while session.scheduler.sounding:
                pass
            silent.set()
            session.stop()

        performer = threading.Thread(target=perform)
        performer.start()
        session.run(LIMIT_SECONDS)
        performer.join()
        assert silent.is_set()
        assert sounding(output.messages) == set()
    assert output.messages[-2:] == ENDINGS


def test_with_threads_a_model_that_fails_leaves_no_note() -> None:
    output = MemoryOutput()
    model = tiny_model()
    broken = fail_after(150)
    engine = WrappedEngine(NumpyEngine(model.config, model.weights), broken)
    session = Session(Sampler(engine, model.codec, seed=0), output, "autopilot")
    with pytest.raises(RuntimeError, match="the model is broken"), session:
        session.run(LIMIT_SECONDS)
    assert sounding(output.messages) == set()


def test_with_threads_an_output_that_fails_ends_the_session() -> None:
    output = MemoryOutput()
    output.fail("it was switched off")
    with pytest.raises(PortError, match="it was switched off"), session_on(output) as session:
        session.run(LIMIT_SECONDS)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_first_signal_stops_a_second_interrupts_and_later_ones_do_nothing(name: str) -> None:
    if not hasattr(signal, name):
        pytest.skip(f"this system has no {name}")
    number, before = getattr(signal, name), signal.getsignal(getattr(signal, name))
    asked: list[bool] = []
    with EndSignals() as signals:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt), signals.running(lambda: asked.append(True)):
            signal.raise_signal(number)
            assert asked == [True]
            signal.raise_signal(number)
        signal.raise_signal(number)
    assert signal.getsignal(number) == before


def test_a_signal_between_two_sessions_interrupts_and_one_while_notes_end_is_not_lost() -> None:
    stopped: list[bool] = []
    with EndSignals() as signals:
        signals.between()
        with signals.running(lambda: stopped.append(True)):
            pass
        signals.between()
        with pytest.raises(KeyboardInterrupt):  # while the next model is loaded
            signal.raise_signal(signal.SIGTERM)
        with signals.running(lambda: stopped.append(True)):
            pass
        signal.raise_signal(signal.SIGTERM)  # while the last notes are ended
        with pytest.raises(KeyboardInterrupt):
            signals.between()
        assert stopped == []
        with signals.running(lambda: stopped.append(True)):
            assert stopped == [True]


def test_signals_are_left_alone_in_a_thread_that_cannot_catch_them() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[bool] = []

    def enter() -> None:
        with EndSignals():
            seen.append(signal.getsignal(signal.SIGTERM) == before)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [True]
