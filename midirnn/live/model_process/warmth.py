"""Keeping warm: the processor's caches lose within milliseconds what is not used.

The first step after 50 ms of rest takes 1.3 ms where the tenth takes 0.38 (weights ``piano``, one
core of an AMD Zen 3 server): other programs have the shared cache by then. Waiting busily does not
help; making warm-up steps, whose results are dropped, does. The session does the same: its loop
turns although nothing has happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from midirnn.files import usable_processors
from midirnn.live.base.messages import Hear, ModelSettings, Plan, Request

WARM_SECONDS = 1.0
"""How long model and session are kept warm after the last music."""

ROUND_SECONDS = 0.001
"""The period of the session's loop meanwhile, which takes a sixth of a processor."""

LONGEST_SECONDS = 0.004
"""A model whose step takes longer is not kept warm: what comes in would wait for its end."""

SLOW_STEPS = 3
"""After this many long steps in a row, it is known to be such a model."""


class Warmth:
    """Makes warm-up steps while they are of use. Owns the time at which to stop.

    With one processor there is none to spare, and the model rests.
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
        self._spent = spent  # what a step takes, however often others interrupt it
        self._wanted = wanted and (usable_processors() if processors is None else processors) > 1
        self._until = -1.0
        self._slow = 0

    def renew(self, requests: Iterable[Request]) -> None:
        """Keep warm from now on, if these are about music."""
        if any(isinstance(request, Hear | Plan) for request in requests):
            self._until = self._clock() + WARM_SECONDS

    def keep(self) -> bool:
        """Make a warm-up step, if it is time; return True if another may follow."""
        if not self._wanted or self._clock() >= self._until:
            return False
        begun = self._spent()
        self._warm_up()
        self._slow = self._slow + 1 if self._spent() - begun > LONGEST_SECONDS else 0
        self._wanted = self._slow < SLOW_STEPS
        return self._wanted


def is_spared_for(settings: ModelSettings | None) -> bool:
    """Return True if a session should keep warm, too, beside a model process of these settings."""
    return settings is not None and settings.keep_warm and usable_processors() > 1
