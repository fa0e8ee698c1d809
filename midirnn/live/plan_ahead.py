"""The plan: how far it reaches, when to ask the model for more, and which replies still count."""

from __future__ import annotations

import math

from midirnn.live.base.channel_messages import is_controller
from midirnn.live.base.messages import Plan, Planned, Rewind
from midirnn.live.output.scheduler import Scheduler
from midirnn.live.recovery.overload import Overload
from midirnn.live.timing.stretch import TimeMap

REFILL_SECONDS = 0.005
"""How much of the plan is played before it is extended again."""

NEAR_SECONDS = 0.2
"""How far ahead to plan, apart from the plan's first note, when the performer has just played and
their next note is likely to undo the plan. After that the look-ahead grows by two seconds per
second, up to its full length."""


ROUNDING_SECONDS = 1e-6
"""Times that differ by less than this are the same step of the model, rounded differently."""


class PlanAhead:
    """Decides when to ask for more of the plan, and how much. Owns its number and extent.

    The plan is in two places: in the model, which can take it back, and in the scheduler, which
    plays it. :meth:`drop` drops it in both. Seconds are those of the session's clock; the model
    counts steps from ``start_seconds`` in its own time, which ``time_map`` converts to.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        time_map: TimeMap,
        *,
        start_seconds: float,
        steps_per_second: int,
        lookahead_seconds: float,
    ) -> None:
        self.number = 0
        """The number of the present plan. Replies for older plans are ignored."""
        self.until = -math.inf
        """The time that the plan reaches."""
        self.overload = Overload()
        self.lookahead_seconds = lookahead_seconds
        self._scheduler = scheduler
        self._time = time_map
        self._start = start_seconds
        self._steps_per_second = steps_per_second
        self._is_out = False
        self._has_notes = False
        self._asked_at: float | None = None
        self._gaining_from = 0.0
        self._disturbed_at = -math.inf

    def begin(self) -> None:
        """Take note that the model begins to play, with nothing planned yet."""
        self.until = -math.inf
        self._has_notes = False

    def disturb(self, now: float) -> None:
        """Take note that the performer has played, so that planning far ahead may be in vain."""
        self._disturbed_at = now

    def drop(self) -> Rewind | None:
        """Drop the part of the plan that has not sounded.

        Return the request that takes the model back, None if there is no plan.
        """
        if not self._is_out:
            return None
        self._renew()
        return Rewind(self.number, self._scheduler.cut())

    def lose(self) -> None:
        """Drop the plan of a lost model."""
        self._scheduler.cut()
        self._renew()

    def _renew(self) -> None:
        self.number += 1
        self._has_notes = False
        self._is_out, self._asked_at = False, None
        self.until = -math.inf

    def keep_sounding(self, now: float) -> None:
        """Let notes sound on while the model replies, and as far as the plan reaches."""
        # If the model does not reply, its notes must not sound on for ever.
        alive = now if self._asked_at is None else self._asked_at
        self._scheduler.extend(max(alive, self.until))

    def more(self, now: float, earliest_step: int, end: float) -> Plan | None:
        """Return the request for more, if it is time. Nothing is planned beyond ``end``."""
        near, far = (min(now + s, end) for s in (self._ahead(now), self.lookahead_seconds))
        wanted = (near if self._has_notes else far) - ROUNDING_SECONDS
        if self._asked_at is not None or self.until >= wanted:
            return None
        self._is_out = True
        self._asked_at = now
        self._gaining_from = max(self.until, now)
        return Plan(
            sent=self._scheduler.last_sent,
            earliest_step=earliest_step,
            until_step=self._step_at(near),
            tokens=self.overload.tokens,
            thinning=self.overload.thinning,
            first_until_step=self._step_at(far),
        )

    def _step_at(self, seconds: float) -> int:
        """Return the first step that is not before that time."""
        return math.ceil((self._time.musical(seconds) - self._start) * self._steps_per_second)

    def more_at(self, end: float) -> float:
        """Return when to ask for more; infinite while waiting for a reply."""
        if self._asked_at is not None:
            return math.inf
        return end if self.until >= end - ROUNDING_SECONDS else self._refill_at()

    def expects(self, reply: Planned) -> bool:
        """Return True if the reply belongs to the present plan and was asked for."""
        return reply.plan == self.number and self._asked_at is not None

    def take(self, reply: Planned, now: float) -> None:
        """Take an expected reply; when it is complete, note what it cost."""
        self.until = self._time.seconds(reply.seconds)
        self._has_notes |= any(not is_controller(event.message) for event in reply.events)
        if reply.done and self._asked_at is not None:
            gained = self.until - self._gaining_from  # as it is heard, not as the model counts
            self.overload.note(reply.tokens, now - self._asked_at, gained)
            self._asked_at = None

    def _ahead(self, now: float) -> float:
        """Return how many seconds ahead to plan."""
        return min(self.lookahead_seconds, NEAR_SECONDS + 2.0 * (now - self._disturbed_at))

    def _refill_at(self) -> float:
        """Return when the plan no longer reaches far enough ahead."""
        full = self.until - self.lookahead_seconds
        if not self._has_notes:
            return full + REFILL_SECONDS
        growing = (self.until - NEAR_SECONDS + 2.0 * self._disturbed_at) / 3.0
        return max(full, growing) + REFILL_SECONDS
