"""Ctrl-C at the worst moment."""

from __future__ import annotations

import signal
import time

import pytest

from midirnn.cli.interrupting import repeating_lost_interrupts


class _Freed:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)
        for _ in range(1000):  # somewhere in here it becomes a KeyboardInterrupt
            pass


def test_ctrl_c_while_an_object_is_freed_is_not_lost() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    freed = _Freed()
    with pytest.raises(KeyboardInterrupt), repeating_lost_interrupts():
        del freed
        time.sleep(60.0)
    signal.signal(signal.SIGINT, before)
