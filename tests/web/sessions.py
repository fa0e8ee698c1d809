"""For tests: a jam in this process, and pages that are sockets and no more."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

from midirnn.live import LiveConfig, Stance
from midirnn.live.rig import Rig
from midirnn.live.signals import EndSignals
from midirnn.web.jam import Jam
from tests.web.jams import until


class Told:
    """A report that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, line: str) -> None:
        self.lines.append(line)

    def warn(self, text: str) -> None:
        self.lines.append(text)

    def change(self, stance: Stance) -> None:
        pass


@contextmanager
def running(config: LiveConfig, report: Told) -> Iterator[Jam]:
    """A jam that runs in a thread."""
    with Jam(config, report, port=0) as jam:
        thread = threading.Thread(target=jam.run, args=(EndSignals(),))
        thread.start()
        try:
            until(lambda: jam.rig is not None)
            yield jam
        finally:
            jam.stop()
            thread.join()


@contextmanager
def page_of(jam: Jam) -> Iterator[ClientConnection]:
    address = jam.url.replace("http://", "ws://").replace("/?", "/socket?")
    origin: Any = jam.url.split("/?")[0]
    with connect(address, origin=origin, max_queue=None) as page:
        yield page


def say(page: ClientConnection, **request: Any) -> None:
    page.send(json.dumps(request))


def send(page: ClientConnection, *message: int) -> None:
    say(page, t="midi", m=message, at=time.monotonic())


def note(page: ClientConnection, pitch: int, velocity: int = 80) -> None:
    send(page, 144 if velocity else 128, pitch, velocity)


def rig_of(jam: Jam) -> Rig:
    assert jam.rig is not None
    return jam.rig


def keys_down(jam: Jam) -> int:
    return rig_of(jam).session.listener.keys_down
