"""The supervisor: notices that the model is lost, and hands its state to a new one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from midirnn.errors import ModelLostError
from midirnn.live.base.clock import Clock
from midirnn.live.base.messages import (
    Adopt,
    Hear,
    HeardStep,
    Knobs,
    Release,
    Request,
    Rewind,
    Save,
    Saved,
)
from midirnn.live.model_process.link import ModelLink

STALL_SECONDS = 1.0
"""A model that has not answered for this long counts as lost."""

START_SECONDS = 30.0
"""How long a model may take to get ready."""

SAVE_SECONDS = 5.0
"""The interval at which the model's state is saved, for one that takes over."""

SOON_SECONDS = 0.1
"""The delay before it is saved if the state was stored, recalled, blended or reset."""

MOST_LOSSES = 5
SHORT_LIFE_SECONDS = 6.0
"""A model that is lost more than ``MOST_LOSSES`` times, each time within ``SHORT_LIFE_SECONDS`` of
its start, is started again only after a pause."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 60.0
"""The length of that pause: it doubles each time."""

LOST_AGAIN = (
    "the model was lost {count} times in {seconds:.0f} s ({reason}): it is tried again in "
    "{pause:g} s, and until then only your own notes pass. If that goes on: close other programs, "
    "or try --engine numpy or a smaller --model"
)

MOST_STEPS = 200
"""At most this many steps are heard again, which takes well under ``STALL_SECONDS``."""


TOKENS_OF_PATIENCE = 200
"""A model may take as long as for this many of its tokens, if that is over ``STALL_SECONDS``."""


class Supervisor:
    """Watches one model. Owns its last saved state and the steps heard since.

    A model that takes over continues from that state, hears those steps, and is told that its notes
    have ended. It does not know what the lost model played since then.
    """

    def __init__(self, model: ModelLink, clock: Clock) -> None:
        self.connected = model.ready
        """True if requests reach the model."""
        self.knobs: Knobs | None = None
        self._model = model
        self._clock = clock
        self._state: Saved | None = None
        self._steps: dict[int, HeardStep] = {}
        self._steps_since_save: dict[int, HeardStep] = {}
        self._save_at = clock.now() + SAVE_SECONDS
        self._saving = False
        self.patience_seconds = STALL_SECONDS
        """How long to wait for a reply: longer if the model is known to be slow."""
        self._losses: list[float] = []
        self._pause = FIRST_PAUSE_SECONDS
        self._again_at: float | None = None
        self._pardoned_at = self._started_at = -math.inf

    def expect(self, seconds_per_token: float) -> None:
        """Take note of how slow the model is."""
        if math.isfinite(seconds_per_token):
            self.patience_seconds = max(STALL_SECONDS, TOKENS_OF_PATIENCE * seconds_per_token)

    def heard(self, steps: Sequence[HeardStep]) -> None:
        """Remember steps until a state is saved that includes them."""
        if not self._model.can_be_lost:
            return
        for memory in (self._steps, self._steps_since_save):
            memory.update((step.step, step) for step in steps)
            while len(memory) > MOST_STEPS:
                memory.pop(next(iter(memory)))

    def save_is_due(self) -> bool:
        """Return True if it is time to save the state."""
        is_time = self._clock.now() >= self._save_at
        return self._model.can_be_lost and self.connected and is_time and not self._saving

    def save_soon(self, now: float) -> None:
        """Save the state soon, since the performer has changed it."""
        self._save_at = min(self._save_at, now + SOON_SECONDS)

    def forget_heard(self) -> None:
        """Forget what was heard, since the model does too."""
        self._steps, self._steps_since_save = {}, {}

    def save(self) -> Save:
        """Return the request that saves the state."""
        self._saving = True
        self._save_at = self._clock.now() + SAVE_SECONDS
        self._steps_since_save = {}
        return Save()

    def saved(self, reply: Saved) -> None:
        """Keep the state, for a model that takes over."""
        self._state, self._saving = reply, False
        self._steps = dict(self._steps_since_save)

    def loss(self, now: float) -> Exception | None:
        """Return why the model is lost, if it is. A restart may have begun already."""
        if not self._model.can_be_lost or self._again_at is not None:
            return None
        if self._model.lost is not None:
            return self._model.lost
        if now > self._patient_until():
            return ModelLostError(f"the model does not answer for {now - self._since():.1f} s")
        return None

    def pardon(self, now: float) -> None:
        """Count waiting times from now: it was this process that was asleep, not the model."""
        self._pardoned_at = now

    def looks_at(self) -> float:
        """Return when the model will count as lost if it does not reply, or be started again."""
        if self._again_at is not None:
            return self._again_at
        return self._patient_until() + 0.001 if self._model.can_be_lost else math.inf

    def _since(self) -> float:
        return max(self._model.waiting_since, self._pardoned_at)

    def _patient_until(self) -> float:
        return self._since() + (self.patience_seconds if self.connected else START_SECONDS)

    def restart(self, now: float, reason: Exception) -> str:
        """Start another model, later after too many tries; return the message about it."""
        self.connected = self._saving = False
        if self._losses and now - self._started_at >= SHORT_LIFE_SECONDS:
            self._losses, self._pause = [], FIRST_PAUSE_SECONDS
        self._losses.append(now)
        since = now - self._losses[0]
        if len(self._losses) <= MOST_LOSSES:
            self._start(now)
            return f"{reason}: it is started again"
        pause, self._again_at = self._pause, now + self._pause
        self._pause = min(2.0 * pause, LONGEST_PAUSE_SECONDS)
        return LOST_AGAIN.format(count=len(self._losses), seconds=since, reason=reason, pause=pause)

    def try_again(self, now: float) -> bool:
        """Start a model whose start was delayed, if it is time; return True if so."""
        if self._again_at is None or now < self._again_at:
            return False
        self._again_at = None
        self._start(now)
        return True

    def _start(self, now: float) -> None:
        self._started_at = now
        self._model.restart()

    def is_back(self) -> bool:
        """Return True if the model can take requests again."""
        is_waiting = self._again_at is not None
        return not (self.connected or is_waiting) and self._model.ready and not self._model.lost

    def reconnect(self, plan: int, last_sent: int, step: int) -> list[Request]:
        """Return the first requests, which give the model what the last one knew."""
        self.connected = True
        requests: list[Request] = []
        if self._state is not None:
            requests.append(Adopt(self._state.state))
        if self.knobs is not None:
            requests.append(self.knobs)
        requests.append(Rewind(plan, last_sent))
        if self._steps:
            requests.append(Hear(tuple(self._steps[at] for at in sorted(self._steps))))
        return [*requests, Release(step)]
