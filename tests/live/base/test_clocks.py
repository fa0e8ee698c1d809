"""Clocks: the manual one jumps, the monotonic one waits."""

from __future__ import annotations

import threading
import time

from midirnn.live import ManualClock, MonotonicClock


def test_a_manual_clock_jumps_to_the_time_that_is_waited_for() -> None:
    clock = ManualClock(5.0)
    clock.wait(threading.Condition(), 8.0)
    assert clock.now() == 8.0
    clock.wait(threading.Condition(), 7.0)
    assert clock.now() == 8.0


def test_actions_run_at_their_times_and_in_the_order_in_which_they_were_planned() -> None:
    clock, happened = ManualClock(), list[tuple[str, float]]()
    for name, seconds in (("late", 3.0), ("first", 1.0), ("second", 1.0)):
        clock.at(seconds, lambda name=name: happened.append((name, clock.now())))  # type: ignore[misc]
    clock.wait(threading.Condition(), 2.0)
    assert happened == [("first", 1.0), ("second", 1.0)]
    assert clock.now() == 1.0
    clock.wait(threading.Condition(), 2.0)
    assert (clock.now(), len(happened)) == (2.0, 2)
    clock.wait(threading.Condition(), 9.0)
    assert happened[2:] == [("late", 3.0)]


def test_a_wait_by_the_monotonic_clock_ends_in_time() -> None:
    clock, condition = MonotonicClock(), threading.Condition()
    until = time.monotonic() + 0.02
    with condition:
        clock.wait(condition, until)
    assert time.monotonic() >= until
    with condition:
        clock.wait(condition, until - 1.0)


def test_a_wait_by_the_monotonic_clock_ends_when_notified() -> None:
    clock, condition = MonotonicClock(), threading.Condition()

    def notify() -> None:
        with condition:
            condition.notify_all()

    with condition:
        threading.Timer(0.02, notify).start()
        clock.wait(condition, float("inf"))
