"""A session: the loop that ties input, mode, model and output together."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from midirnn.live.clock import Clock, MonotonicClock
from midirnn.live.config import LiveConfig
from midirnn.live.listener import HeardStep, Listener
from midirnn.live.modes import Mode, Stance, make_mode
from midirnn.live.planner import Planner
from midirnn.live.scheduler import Scheduler
from midirnn.ports.base import Message, OutputPort
from midirnn.sampling import Sampler

IDLE_SECONDS = 0.25
"""The loop comes round so often even when nothing happens."""

REFILL_SECONDS = 0.005
"""So much of the plan has been played before it is filled up again."""

NEAR_SECONDS = 0.2
"""How far ahead is planned when the performer has just played, and the next note is likely to undo
the plan. From then on it is planned twice as fast as time passes, until all is planned."""


class Session:
    """Plays along until it is stopped. Owns the loop; the ports belong to the caller.

    ``mode`` is the name of one of ``MODES``, or a mode. Give :meth:`receive` to an input port as
    its callback; use the session in a ``with``, whose end releases every note. ``on_change`` is
    told what the model does whenever that changes.

    One thread listens and runs the model: the one that calls :meth:`run`. It and the scheduler's
    thread share nothing but the scheduler.
    """

    def __init__(
        self,
        sampler: Sampler,
        output: OutputPort,
        mode: str | Mode = "call_and_response",
        config: LiveConfig | None = None,
        *,
        clock: Clock | None = None,
        on_change: Callable[[Stance], None] = lambda stance: None,
    ) -> None:
        self.config = config or LiveConfig()
        self.mode = make_mode(mode, self.config) if isinstance(mode, str) else mode
        self.stance: Stance | None = None
        self._clock = clock or MonotonicClock()
        self._on_change = on_change
        self._codec = sampler.codec
        self._start = self._clock.now()
        self._channel = self.config.channel - 1
        self._news = threading.Condition()
        self._stopping = False
        self._cut_seconds = -math.inf
        self.listener = Listener(sampler.codec, self._start)
        self.planner = Planner(sampler, start_seconds=self._start, channel=self._channel)
        self.scheduler = Scheduler(
            output,
            self._clock,
            max_note_seconds=sampler.config.max_note_seconds,
            on_failure=self._wake,
        )

    def receive(self, message: Message, seconds: float) -> None:
        """Nothing; the message, which arrived at that time of the clock, will be heard."""
        self.listener.receive(message, seconds)
        self._wake()

    def stop(self) -> None:
        """Nothing; :meth:`run` returns soon. For any thread, and for signal handlers."""
        self._stopping = True
        self._wake()

    @property
    def stopping(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopping

    def _wake(self) -> None:
        with self._news:
            self._news.notify_all()

    def run(self, seconds: float = math.inf, *, sending_thread: bool = True) -> None:
        """Nothing, once ``seconds`` have passed or :meth:`stop` was called.

        Without ``sending_thread`` the loop also sends what is due: with a manual clock, everything
        happens in one thread. Raises what the model raises, and :class:`PortError` when the output
        fails.
        """
        if sending_thread:
            self.scheduler.start()
        end = self._clock.now() + seconds
        while not self._stopping and self._clock.now() < end:
            again = self.step()
            if not sending_thread:
                again = min(again, self.scheduler.send_due())
            with self._news:
                if not (self.listener.has_news or self._stopping):
                    self._clock.wait(self._news, min(again, end))

    def close(self) -> None:
        """Nothing; every note of the model has ended."""
        self.scheduler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except Exception:
            if error is None:  # what went wrong first is what the user must hear of
                raise

    def step(self) -> float:
        """The time at which to come again; what has happened until now was dealt with.

        At most one token is drawn, so that no message waits longer than that takes.
        """
        if self.scheduler.failure is not None:
            raise self.scheduler.failure
        now = self._clock.now()
        if self.stance is None:
            self._follow(self._start)
        if self.scheduler.take_rescued():
            self._silence(now)
        for steps, heard in self.listener.take():
            self._hear(steps, now)
            if heard is not None:
                self.mode.hear(heard)
                self._follow(heard.seconds)
        self._hear(self.listener.advance(now), now)
        self._follow(now)
        again = self._play(now) if self._plays else self._rest(now)
        return min(again, self.mode.changes_at(), self.listener.closes_at(), now + IDLE_SECONDS)

    @property
    def _plays(self) -> bool:
        return self.stance is not None and Stance.PLAYS in self.stance

    def _hear(self, steps: list[HeardStep], now: float) -> None:
        """Let the model hear what the performer did, behind what has sounded of its plan."""
        if not steps or self.stance is None or Stance.LISTENS not in self.stance:
            return
        if self._plays:
            self._cut(now)
        self._release(self.planner.hear(steps))

    def _follow(self, now: float) -> None:
        """Do what the mode says from now on."""
        before, stance = self.stance, self.mode.stance(now)
        if stance == before:
            return
        played = self._plays
        self.stance = stance
        if played and not self._plays:
            self._silence(now)
        elif self._plays and not played:
            self.planner.begin(self._step_of(now))
        self._on_change(stance)

    def _silence(self, now: float) -> None:
        """Drop the plan and end what the model has sounding."""
        self._cut(now)
        self.planner.release(self._step_of(now))
        self.scheduler.release()

    def _play(self, now: float) -> float:
        """The time at which to plan on; one more token is planned if it is time for that."""
        self.planner.forget(self.scheduler.last_sent)
        self.scheduler.extend(max(now, self.planner.seconds))
        end = self.mode.changes_at()
        if self.planner.seconds < min(now + self._ahead(now), end):
            self.scheduler.add(self.planner.draw(self._step_of(now) + 1))
            return now
        return end if self.planner.seconds >= end else self._refill_at()

    def _ahead(self, now: float) -> float:
        """How many seconds ahead to plan."""
        return min(self.config.lookahead_seconds, NEAR_SECONDS + 2.0 * (now - self._cut_seconds))

    def _refill_at(self) -> float:
        """The time at which the plan no longer reaches far enough ahead."""
        planned = self.planner.seconds
        full = planned - self.config.lookahead_seconds
        growing = (planned - NEAR_SECONDS + 2.0 * self._cut_seconds) / 3.0
        return max(full, growing) + REFILL_SECONDS

    def _cut(self, now: float) -> None:
        """Drop what has not sounded of the plan: the model is where the music is."""
        self._cut_seconds = now
        self.planner.rewind(self.scheduler.cut())

    def _rest(self, now: float) -> float:
        """The time at which to come again; the model has heard how long it rests."""
        self._release(self.planner.rest(self._step_of(now)))
        return now + IDLE_SECONDS

    def _release(self, pitches: list[int]) -> None:
        if pitches:
            self.scheduler.release([(self._channel, pitch) for pitch in pitches])

    def _step_of(self, seconds: float) -> int:
        return int(self._codec.steps(seconds - self._start))
