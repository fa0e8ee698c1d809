"""What some hidden units do while the model hears and plays: a stream of their values."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from midirnn.live.base.messages import (
    Delivery,
    Heard,
    ModelSettings,
    Planned,
    Reply,
    Request,
    Rewind,
)
from midirnn.live.timing.stretch import TimeMap
from midirnn.live.view.display import UnitView
from midirnn.ports.base import Message
from midirnn.probing.watching import WatchedUnit

MOST_WAITING = 2000
"""Values of so many moments that are still to come are kept."""


class UnitStream:
    """Knows the values of the watched units now. Owns those of what is planned. Thread-safe.

    It is an ``Observer`` of a session. The values of a planned event count from the moment when
    that event sounds; those of a plan that is dropped are dropped too.
    """

    def __init__(self, units: Sequence[WatchedUnit] = (), time_map: TimeMap | None = None) -> None:
        self._units = tuple(units)
        self._time = time_map or TimeMap()
        self._lock = threading.Lock()
        self._coming: deque[tuple[float, tuple[float, ...]]] = deque(maxlen=MOST_WAITING)
        self._values: tuple[float, ...] = ()

    def at(self, now: float) -> tuple[UnitView, ...]:
        """Return the units as they are at a time of the clock; none before the first step.

        Times must not fall from call to call.
        """
        with self._lock:
            while self._coming and self._coming[0][0] <= now:
                self._values = self._coming.popleft()[1]
            values = self._values
        if len(values) != len(self._units):
            return ()
        return tuple(
            UnitView(unit.signal, unit.name, value)
            for unit, value in zip(self._units, values, strict=True)
        )

    def answered(self, reply: Reply, seconds: float) -> None:
        """Take note of the values that come with a reply of the model."""
        if isinstance(reply, Planned) and reply.units and reply.events:
            with self._lock:
                self._coming.append((self._time.seconds(reply.events[0].seconds), reply.units))
        elif isinstance(reply, Heard) and reply.units:
            with self._lock:
                self._values = reply.units

    def asked(self, request: Request, seconds: float) -> None:
        """Forget what was planned and does not come."""
        if isinstance(request, Rewind):
            self.at(seconds)
            with self._lock:
                self._coming.clear()

    def started(self, settings: ModelSettings, seconds: float) -> None:
        """Forget what a model that is gone had planned."""
        with self._lock:
            self._coming.clear()

    def heard(self, message: Message, seconds: float) -> None:
        """Ignore it: what the model makes of it comes with a reply."""

    def sent(self, message: Message, seconds: float, due_seconds: float, player: str) -> None:
        """Ignore it."""

    def tuned(self, delivery: Delivery, seconds: float) -> None:
        """Ignore it: the time map knows the tempo."""

    def noted(self, text: str, seconds: float) -> None:
        """Ignore it."""
