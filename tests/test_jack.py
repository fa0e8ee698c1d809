"""tests/jack.py: one JACK server at a time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

import tests.jack
from tests.jack import JackServer, jack_is_installed

pytestmark = pytest.mark.skipif(
    not jack_is_installed(),
    reason="jackd is not installed: scripts/install-system-packages --tests",
)


def test_a_server_waits_until_no_other_is_running() -> None:
    started = threading.Event()

    def start_another() -> None:
        with JackServer():
            started.set()

    with ThreadPoolExecutor() as pool, ExitStack() as stack:
        stack.enter_context(JackServer())
        another = pool.submit(start_another)
        assert not started.wait(1.0)
        stack.close()
        another.result(timeout=tests.jack.TURN_LIMIT_SECONDS)
    assert started.is_set()


def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tests.jack, "TURN_LIMIT_SECONDS", 0.3)
    with JackServer():
        begin = time.monotonic()
        with pytest.raises(RuntimeError, match=r"another JACK server runs for 0\.3 s already"):
            JackServer().__enter__()
        assert time.monotonic() - begin < 5.0
