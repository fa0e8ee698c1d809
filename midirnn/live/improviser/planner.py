"""The planner: plans the model's notes ahead of time, and goes back to what has sounded.

It uses no clock and no port. Its inputs and outputs are plain data (steps heard, the number of the
last event sent, planned events), so that it can run in a process of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.controls import Controls
from midirnn.engines.state import EngineState
from midirnn.ensemble import channel_of
from midirnn.live.base.messages import Begin, Close, HeardStep, Pace, PlannedEvent, Surprise
from midirnn.live.improviser.stream import SharedStream
from midirnn.live.improviser.stream_state import (
    ModelEvent,
    ModelPedal,
    StreamState,
    lifts_pedal,
    pitches_of,
)
from midirnn.sampling import Sampler

PRECOMPUTED_STEPS = 4
"""How far ahead rests are precomputed: far enough for the time that the model needs to plan."""


@dataclass(frozen=True)
class _LatestStep:
    """The last step heard, which may be updated: the state before it, and what ended in it."""

    step: HeardStep
    before: StreamState
    ended: frozenset[int]
    is_over: bool = False
    lifted: bool = False


class Planner:
    """Samples the model's events ahead of time. Owns the stream and a snapshot for each event.

    ``start_seconds`` is the time of step 0, ``channel`` (0 to 15) the channel of the notes. While
    there is a plan, call :meth:`rewind` before anything is heard or released: it takes the stream
    back to what has sounded.
    """

    def __init__(
        self, sampler: Sampler[PerformanceCodec], *, start_seconds: float = 0.0, channel: int = 0
    ) -> None:
        self._sampler = sampler
        self._stream = SharedStream(sampler)
        self._steps_per_second = sampler.codec.steps_per_second
        self._start = start_seconds
        self._channel = channel
        self._seed = cast(Any, sampler.rng.bit_generator).seed_seq.entropy
        self._generators: dict[int, np.random.Generator] = {}
        self._number = 0
        self._base = self._stream.snapshot()
        self._planned: deque[tuple[int, StreamState]] = deque()
        self._undone = self._planned
        """The plan dropped last, kept until :meth:`get_ready`: freeing its states takes time."""
        self._latest: _LatestStep | None = None
        self._lifted = False

    @property
    def step(self) -> int:
        """The step that the plan has reached."""
        return self._stream.step

    @property
    def entropy(self) -> float:
        """The entropy of the model's last token, in nats."""
        return self._stream.entropy

    @property
    def seconds_left(self) -> float:
        """The seconds left until the music should end; infinite if no end is set."""
        return self._stream.seconds_left

    @property
    def rests(self) -> bool:
        """True while the model waits for the performer to play."""
        return self._stream.rests

    @property
    def base(self) -> StreamState:
        """The state after the last event known to have sounded."""
        return self._base

    def adopt(self, state: StreamState) -> None:
        """Continue from the base state of another planner."""
        self._sampler.rng = np.random.default_rng()
        self._sampler.rng.bit_generator.state = state.sampler.rng
        self._stream.restore(state)
        self._planned.clear()
        self._settle()

    def reset(self) -> None:
        """Forget everything, and start afresh at the present step."""
        self._stream.reset()
        self._planned.clear()
        self._settle()

    def think_of(self, state: EngineState) -> None:
        """Replace the model's hidden state. Sounding notes do not change."""
        self._sampler.engine.restore(state)
        self._settle()

    def set_pitches(self, lowest: int, highest: int, *, waits: bool) -> None:
        """Let the model begin only notes from ``lowest`` to ``highest``.

        While all of these sound, it ``waits`` for one, or else may begin others.
        """
        self._stream.choice.pitches = range(lowest, highest + 1)
        self._stream.choice.waits_for_key = waits

    def set_pace(self, pace: Pace) -> None:
        """Limit the pace at which the model begins notes."""
        self._stream.set_pace(pace)
        self._settle()

    def asked(self, controls: Controls) -> Controls:
        """Return the controls to give to the model, from those that the knobs ask for."""
        return self._stream.asked(controls)

    def begin(self, begin: Begin) -> None:
        """Let the model play from that step on."""
        self._stream.begin(begin)
        self._settle()

    def close(self, close: Close) -> None:
        """Let the music end at other steps than it began with."""
        self._stream.close(close)
        self._settle()

    def draw(self, earliest_step: int, thinning: int = 0) -> list[PlannedEvent]:
        """Sample the model's next token and return its events, usually one or none."""
        self._stream.choice.thinning = thinning
        return [self._plan(event) for event in self._stream.draw(earliest_step)]

    def forget(self, last_sent: int) -> None:
        """Drop the snapshots of events up to that number: sent events are never taken back."""
        while self._planned and self._planned[0][0] <= last_sent:
            self._base = self._planned.popleft()[1]
            self._close_step()

    def rewind(self, last_sent: int, plan: int) -> None:
        """Go back to the state after the last event that was sent, or heard since then.

        The next event gets the number after it, and is sampled with random numbers that belong to
        the plan, so that it makes no difference how far the last plan got. (Repeating the same
        random numbers would delay the next note each time the performer plays.)
        """
        self.forget(last_sent)
        self._undone, self._planned = self._planned, deque()
        self._stream.restore(self._base)
        self._number = last_sent + 1
        ready = self._generators.pop(plan) if plan in self._generators else self._generator(plan)
        self._sampler.rng = ready

    def get_ready(self, plan: int) -> None:
        """Prepare :meth:`rewind` for that plan, so that it takes less time."""
        self._undone = deque()
        if plan not in self._generators:
            self._generators = {plan: self._generator(plan)}

    def precompute(self, seconds: float) -> bool:
        """Precompute a rest until that time or soon after; return False if there is none to do.

        When the performer plays, a rest until then is what the model hears first. Each call caches
        the result for one of the next :data:`PRECOMPUTED_STEPS` steps; nothing else changes.
        """
        sounded = (s for _, s in reversed(self._planned) if self.seconds_of(s.step) <= seconds)
        state = next(sounded, self._base)
        step = self._sampler.codec.step(seconds - self._start)
        return any(
            self._stream.precompute(state, step + ahead) for ahead in range(PRECOMPUTED_STEPS)
        )

    def _generator(self, plan: int) -> np.random.Generator:
        """Return the random generator that belongs to a plan, at its start."""
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(plan,)))

    def hear(self, steps: Iterable[HeardStep]) -> list[int]:
        """Hear what the performer did; return the model's pitches that end because of it.

        If the latest step is given again it replaces the earlier version, unless the model has
        played since: then only what is new in it is heard, after that.
        """
        ended = [event for step in steps for event in self._hear(step)]
        self._base = self._stream.snapshot()
        self._lifted = lifts_pedal(ended)
        return pitches_of(ended)

    @property
    def has_lifted(self) -> bool:
        """True if the model's pedal went up because of what was heard last."""
        return self._lifted

    def take_surprises(self) -> list[Surprise]:
        """Return the surprise of each note that was heard since the last call."""
        return self._stream.take_surprises()

    def _hear(self, step: HeardStep) -> Sequence[ModelEvent]:
        latest, released, lifted = self._latest, frozenset[int](), False
        if latest is None or latest.step.step != step.step:
            before = self._stream.snapshot()
        elif latest.is_over:
            told, before = latest.step, self._stream.snapshot()
            new = [on for on in step.note_ons if on not in told.note_ons]
            events = self._stream.write(step.step, step.note_offs, new, pedal=step.pedal)
            self._latest = _LatestStep(step, before, frozenset(), is_over=True)
            return events
        else:
            before, released, lifted = latest.before, latest.ended, latest.lifted
            self._stream.restore(before)
        offs, ons = step.note_offs, step.note_ons
        events = self._stream.write(step.step, offs, ons, released, pedal=step.pedal, lifted=lifted)
        ended = released.union(pitches_of(events))
        self._latest = _LatestStep(step, before, ended, lifted=lifted or lifts_pedal(events))
        return events

    def release(self, step: int) -> list[int]:
        """End the model's notes in that step; return their pitches."""
        return self._end(self._stream.release(step))

    def rest(self, step: int) -> list[int]:
        """Let the model rest until that step; return its pitches that end because of it."""
        return self._end(self._stream.rest(step))

    def _end(self, events: Sequence[ModelEvent]) -> list[int]:
        """Make this the base. Notes that ended stay ended if the latest step is given again."""
        self._base = self._stream.snapshot()
        pitches = pitches_of(events)
        if self._latest is not None:
            self._latest = replace(
                self._latest,
                ended=self._latest.ended.union(pitches),
                lifted=self._latest.lifted or lifts_pedal(events),
            )
        return pitches

    def _settle(self) -> None:
        """Make this the base, before which neither a rewind nor an updated step goes back."""
        self._base = self._stream.snapshot()
        self._close_step()

    def _close_step(self) -> None:
        if self._latest is not None and not self._latest.is_over:
            self._latest = replace(self._latest, is_over=True)

    def _plan(self, event: ModelEvent) -> PlannedEvent:
        status, first, second = event.message
        channel = self._channel
        if not isinstance(event, ModelPedal):
            channel = channel_of(event.state.source.seat_of(event.pitch), channel)
        planned = PlannedEvent(
            self._number, self.seconds_of(event.step), (status | channel, first, second)
        )
        self._planned.append((self._number, event.state))
        self._number += 1
        return planned

    def seconds_of(self, step: int) -> float:
        """Return the time of a step."""
        return self._start + step / self._steps_per_second
