"""Who goes first: the thread that sends, the one that decides, the model while it is waited for."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.engines.load import load
from midirnn.live import ManualClock, Session, realtime
from midirnn.live.messages import Begin, ModelSettings, Plan
from midirnn.live.model_process import ModelProcess
from midirnn.live.realtime import (
    DECIDING_PRIORITY,
    HASTE_SHARE,
    LONGEST_HASTE_SECONDS,
    MODEL_PRIORITY,
    SENDING_PRIORITY,
    Haste,
    go_along,
    go_first,
    going_first,
)
from midirnn.ports import MemoryOutput
from tests.live.stage import write_tiny_model

LIMIT_SECONDS = 30.0


@pytest.fixture
def permitted() -> None:
    if (reason := in_a_thread(go_first)) is not None:
        pytest.skip(reason)


def in_a_thread(action: Callable[[], str | None]) -> str | None:
    """What an action gives in a thread of its own, whose priority is nobody else's."""
    given: list[str | None] = []
    thread = threading.Thread(target=lambda: given.append(action()))
    thread.start()
    thread.join()
    return given[0]


def is_first(thread_id: int = 0) -> bool:
    reset = getattr(os, "SCHED_RESET_ON_FORK", 0)
    return os.sched_getscheduler(thread_id) & ~reset == os.SCHED_FIFO


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_what_sends_goes_before_what_decides_and_that_before_the_model() -> None:
    assert SENDING_PRIORITY > DECIDING_PRIORITY > MODEL_PRIORITY > 0


def test_work_is_begun_in_real_time_and_gone_on_with_behind_others_if_it_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    monkeypatch.setattr(realtime, "go_first", lambda priority: done.append(f"first {priority}"))
    monkeypatch.setattr(realtime, "go_along", lambda: done.append("along"))
    clock = ManualClock()
    haste = Haste(7, clock.now)
    haste.rest()
    clock.advance(100.0)
    haste.begin()
    clock.advance(LONGEST_HASTE_SECONDS)
    haste.go_on()
    assert done == ["first 7"]
    clock.advance(1.01 * LONGEST_HASTE_SECONDS)
    haste.go_on()
    haste.go_on()
    assert done == ["first 7", "along"]
    clock.advance(LONGEST_HASTE_SECONDS)
    haste.rest()
    haste.begin()
    assert done == ["first 7", "along", "first 7"]


@given(st.lists(st.tuples(st.floats(0.0, 0.002), st.floats(0.0, 0.05)), min_size=50, max_size=200))
def test_however_work_comes_no_more_than_a_share_of_the_time_is_spent_in_real_time(
    turns: list[tuple[float, float]],
) -> None:
    clock, spent, step = ManualClock(), 0.0, 0.001
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(realtime, "go_first", lambda priority: None)
        patch.setattr(realtime, "go_along", lambda: None)
        haste = Haste(1, clock.now)
        for rest, work in turns:
            haste.rest()
            clock.advance(rest)
            haste.begin()
            for _ in range(int(work / step)):
                spent += step if haste.is_first else 0.0
                clock.advance(step)
                haste.go_on()
    assert spent <= HASTE_SHARE * clock.now() + LONGEST_HASTE_SECONDS + step


def test_where_real_time_is_not_permitted_haste_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(realtime, "go_first", lambda priority: "not permitted")
    monkeypatch.setattr(realtime, "go_along", lambda: pytest.fail("it was not first"))
    clock = ManualClock()
    haste = Haste(1, clock.now)
    haste.rest()
    haste.begin()
    clock.advance(100.0)
    haste.go_on()
    assert not haste.is_first


@pytest.mark.usefixtures("permitted")
def test_a_thread_that_went_first_for_a_while_runs_like_any_other_afterwards() -> None:
    seen: list[bool] = []

    def run() -> None:
        with going_first(DECIDING_PRIORITY):
            seen.append(is_first())
        seen.append(is_first())
        go_along()
        seen.append(is_first())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [True, False, False]


@pytest.mark.usefixtures("permitted")
def test_a_model_that_waits_is_there_at_once_and_one_that_works_long_goes_behind_others(
    tmp_path: Path,
) -> None:
    model = str(write_tiny_model(tmp_path))
    with ModelProcess(ModelSettings(model, "numpy"), load(model).codec) as process:
        process.wait_until_ready(LIMIT_SECONDS)
        wait_until(lambda: is_first(process.process_id))
        process.ask((Begin(0), Plan(-1, 0, 10**7, 3000)))
        wait_until(lambda: not is_first(process.process_id))
        wait_until(lambda: is_first(process.process_id))


@pytest.mark.usefixtures("permitted")
def test_a_session_decides_in_real_time_and_leaves_its_thread_as_it_was(tmp_path: Path) -> None:
    model = str(write_tiny_model(tmp_path))
    with ModelProcess(ModelSettings(model, "numpy"), load(model).codec) as process:
        process.wait_until_ready(LIMIT_SECONDS)
        session = Session(process, MemoryOutput())
        after: list[bool] = []

        def run() -> None:
            session.run(LIMIT_SECONDS)
            after.append(is_first())

        with session:
            thread = threading.Thread(target=run)
            thread.start()
            assert thread.native_id is not None
            wait_until(lambda: is_first(thread.native_id or 0))
            session.stop()
            thread.join()
    assert after == [False]
