"""A stream of the values of some hidden units while the model hears and plays."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from midirnn.live.base.messages import (
    Heard,
    ModelSettings,
    Planned,
    Reply,
    Request,
    Rewind,
)
from midirnn.live.base.observers import Observer
from midirnn.live.timing.stretch import TimeMap
from midirnn.live.view.display import UnitView
from midirnn.probing.watching import WatchedUnit

MOST_WAITING = 2000
"""The most planned moments whose values are kept."""


class UnitStream(Observer):
    """Holds the present values of the watched units, and those of the plan. Thread-safe.

    An observer of a session. The values of a planned event apply from the moment when that event
    sounds; those of a dropped plan are dropped too.
    """

    def __init__(self, units: Sequence[WatchedUnit] = (), time_map: TimeMap | None = None) -> None:
        self._units = tuple(units)
        self._time = time_map or TimeMap()
        self._lock = threading.Lock()
        self._coming: deque[tuple[float, tuple[float, ...]]] = deque(maxlen=MOST_WAITING)
        self._values: tuple[float, ...] = ()

    def at(self, now: float) -> tuple[UnitView, ...]:
        """Return the units at that clock time; none before the first step.

        Times must not decrease from call to call.
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
        """Forget the values of a plan that is dropped."""
        if isinstance(request, Rewind):
            self.at(seconds)
            with self._lock:
                self._coming.clear()

    def started(self, settings: ModelSettings, seconds: float) -> None:
        """Forget the values of the plan of a lost model."""
        with self._lock:
            self._coming.clear()
