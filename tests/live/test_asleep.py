"""Ctrl-Z, and a process that was asleep: notes end before, and nothing comes in a burst after."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable

import pytest

from midirnn.live import LiveConfig
from midirnn.live.base.messages import PlannedEvent
from midirnn.live.signals import EndSignals
from midirnn.ports.midi_clock import CLOCK
from tests.live.recovery.test_survival import Concert
from tests.live.stage import Stage, is_note_on, note_ons, sounding


@pytest.mark.parametrize("mode", ["autopilot", "duet"])
def test_before_a_pause_every_note_ends_and_after_it_the_model_plays_on(mode: str) -> None:
    stage = Stage(mode, LiveConfig(thru=True))
    stage.perform([(0.5, (0x90, 60, 80))])
    stage.run(3.0)
    assert sounding(message for _, message in stage.sent)
    left: list[set[tuple[int, int]]] = []

    def sleep() -> None:
        left.append(sounding(message for _, message in stage.sent))
        stage.clock.advance(4.0)

    stage.session.pause(sleep)
    stage.run(4.01)
    assert left == [set()]
    woken = len([seconds for seconds in note_ons(stage.sent) if 6.9 <= seconds <= 7.1])
    assert woken <= 20  # the tiny model plays ten a second, in chords
    stage.run(3.0)
    assert any(seconds > 7.1 for seconds in note_ons(stage.sent))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("gap", [0.3, 4.0, 60.0])
def test_after_a_pause_no_note_begins_that_was_due_before(gap: float, seed: int) -> None:
    stage = Stage("autopilot", seed=seed)
    scheduler, late = stage.session.scheduler, []
    add = scheduler.add

    def note_down(events: Iterable[PlannedEvent]) -> None:
        planned = list(events)
        late.extend(e for e in planned if e.seconds < stage.clock.now() - 0.05)
        add(planned)

    stage.run(3.0)
    scheduler.add = note_down  # type: ignore[method-assign]
    stage.session.pause(lambda: stage.clock.advance(gap))
    stage.run(gap + 1.0)
    assert late == []


def test_after_a_sleep_no_burst_of_notes_and_clocks_is_sent() -> None:
    stage = Stage("autopilot", LiveConfig(clock_out_bpm=120.0))
    stage.run(5.0)
    before = len(stage.sent)
    stage.clock.advance(4.0)  # SIGSTOP, SIGCONT
    stage.run(0.1)
    burst = [message for _, message in stage.sent[before:]]
    assert sum(map(is_note_on, burst)) <= 6
    assert burst.count((CLOCK,)) <= 5
    stage.run(3.0)
    assert any(seconds > 9.5 for seconds in note_ons(stage.sent))


def test_a_model_is_not_lost_because_the_session_was_asleep() -> None:
    concert = Concert("autopilot")
    with concert.session:
        concert.run(3.0)
        concert.clock.advance(4.0)
        concert.run(3.0)
        assert concert.model.restarts == 0
        assert concert.troubles == []


@pytest.mark.skipif(not hasattr(signal, "SIGTSTP"), reason="this system has no Ctrl-Z")
def test_ctrl_z_pauses_while_the_session_runs_and_only_then() -> None:
    assert threading.current_thread() is threading.main_thread()
    before, paused = signal.getsignal(signal.SIGTSTP), []
    with EndSignals() as signals, signals.running(lambda: None, lambda: paused.append(True)):
        os.kill(os.getpid(), signal.SIGTSTP)
    assert paused == [True]
    assert signal.getsignal(signal.SIGTSTP) == before
