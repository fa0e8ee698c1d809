"""Keeping warm: the processor's caches lose unused data within milliseconds.

The first step after 50 ms of rest takes 1.3 ms, the tenth 0.38 (weights ``piano``, one core of an
AMD Zen 3 server): by then other programs have taken the shared cache. Busy waiting does not help;
warm-up steps, whose results are discarded, do. The session does the same: its loop keeps iterating
although nothing has happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from midirnn.files import usable_processors
from midirnn.live.base.messages import Hear, ModelSettings, Plan, Request

WARM_SECONDS = 1.0
"""How long model and session are kept warm after the last music."""

ROUND_SECONDS = 0.001
"""The period of the session's loop meanwhile. It takes a sixth of a processor."""

LONGEST_SECONDS = 0.004
"""A model whose steps take longer is not kept warm, since requests would have to wait for them."""

SLOW_STEPS = 3
"""A model counts as too slow after this many longer steps in a row."""


class Warmth:
    """Makes warm-up steps while they are useful. Owns the time at which to stop.

    With a single processor it makes none.
    """

    def __init__(
        self,
        warm_up: Callable[[], None],
        *,
        wanted: bool,
        clock: Callable[[], float] = time.monotonic,
        spent: Callable[[], float] = time.thread_time,
        processors: int | None = None,
    ) -> None:
        self._warm_up = warm_up
        self._clock = clock
        self._spent = spent  # processor time, which does not count interruptions
        self._wanted = wanted and (usable_processors() if processors is None else processors) > 1
        self._until = -1.0
        self._slow = 0

    def renew(self, requests: Iterable[Request]) -> None:
        """Keep warm for a while from now, if these requests are about music."""
        if any(isinstance(request, Hear | Plan) for request in requests):
            self._until = self._clock() + WARM_SECONDS

    def keep(self) -> bool:
        """Make a warm-up step, if they are wanted now; return True if another may follow."""
        if not self._wanted or self._clock() >= self._until:
            return False
        begun = self._spent()
        self._warm_up()
        self._slow = self._slow + 1 if self._spent() - begun > LONGEST_SECONDS else 0
        self._wanted = self._slow < SLOW_STEPS
        return self._wanted


def is_spared_for(settings: ModelSettings | None) -> bool:
    """Return True if a session with such a model process should keep warm as well."""
    return settings is not None and settings.keep_warm and usable_processors() > 1
