"""Checks that the MIDI clock to follow comes at all, and from one device only."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

WAIT_SECONDS = 5.0
"""After this long without a clock the user is warned."""

WATCHED_CLOCKS = 96
"""How many clocks are examined together: four beats."""

UNEVEN_SHARE = 0.35
"""If the standard deviation of the time between clocks, as a share of its mean, is above this, two
clocks come in. That of one clock, jitter included, is well below."""

NO_CLOCK = (
    "no MIDI clock has come in {seconds:g} s: let the device send one, or leave out --clock midi"
)
DOUBLED = (
    "the MIDI clock comes twice, or from two devices, and the tempo is wrong: let only one send it"
)


class ClockCheck:
    """Reports faults of a clock, each once. Owns the times of the last clocks."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=WATCHED_CLOCKS + 1)
        self._since = math.inf
        self._has_come = self._said_doubled = False

    def begin(self, now: float) -> None:
        """Begin to wait for a clock, unless that has begun already."""
        self._since = min(self._since, now)

    def feed(self, seconds: float) -> None:
        """Take note of a clock."""
        self._has_come = True
        self._times.append(seconds)

    def fault(self, now: float) -> str | None:
        """Return the fault to report now, if any."""
        if not self._has_come and now >= self._since + WAIT_SECONDS:
            self._has_come = True  # so that it is reported only once
            return NO_CLOCK.format(seconds=WAIT_SECONDS)
        if self._said_doubled or len(self._times) <= WATCHED_CLOCKS:
            return None
        gaps = np.diff(np.array(self._times))
        self._times.clear()
        # Without the extremes: a tempo may change, and a clock may pause.
        extremes = WATCHED_CLOCKS // 20
        middle = np.sort(gaps)[extremes:-extremes]
        if middle.std() <= UNEVEN_SHARE * middle.mean():
            return None
        self._said_doubled = True
        return DOUBLED
