"""Priorities: the sending thread comes first, the model process last."""

from __future__ import annotations

import os

from midirnn.files import reason_of

FIFO_PRIORITY = 60
"""Below a JACK server's own threads (70 by default), above everything that is not real-time."""

MODEL_NICENESS = 10


def go_first() -> str | None:
    """Run this thread in real time; return why not, or None if it does.

    It asks for SCHED_FIFO, which Linux permits to root, and to others within ``ulimit -r``.
    """
    if not hasattr(os, "sched_setscheduler"):
        return "this system has no SCHED_FIFO"
    highest = os.sched_get_priority_max(os.SCHED_FIFO)
    parameters = os.sched_param(min(FIFO_PRIORITY, highest))
    # Threads and processes started by this thread do not run in real time.
    policy = os.SCHED_FIFO | getattr(os, "SCHED_RESET_ON_FORK", 0)
    try:
        os.sched_setscheduler(0, policy, parameters)
    except OSError as error:
        return f"SCHED_FIFO is not permitted ({reason_of(error)}); see: ulimit -r"
    return None


def step_back() -> None:
    """Lower the priority of this process, if the system allows it."""
    if hasattr(os, "nice"):
        os.nice(MODEL_NICENESS)
