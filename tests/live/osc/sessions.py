"""For tests: a session that listens for OSC, in a thread."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from midirnn.live import LiveConfig
from midirnn.live.rig import Rig
from midirnn.ports import MemoryOutput
from tests.live.stage import sounding

PATIENCE_SECONDS = 60.0


def until(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: it did not happen in time")


def free_ports() -> tuple[int, int]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


@contextmanager
def served(model: str, port: int, to: int, **options: Any) -> Iterator[tuple[Rig, MemoryOutput]]:
    """Run a session in a thread as long as the block lasts; see that it ends every note."""
    output = MemoryOutput()
    config = LiveConfig(
        model=model, seed=1, osc=port, osc_to=f"127.0.0.1:{to}", spare=False, **options
    )
    with Rig(config, output=output) as rig:
        thread = threading.Thread(target=rig.run, args=(20 * PATIENCE_SECONDS,))
        thread.start()
        try:
            yield rig, output
        finally:
            rig.session.stop()
            thread.join()
    assert sounding(output.messages) == set()
