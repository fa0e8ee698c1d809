"""The planner: the model's notes ahead of time, and back to what has sounded.

It knows no clock and no port. What goes in and out is plain data (steps heard, the number of the
event sent last, planned events), so that it can run in a process of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from midirnn.codecs import PerformanceCodec
from midirnn.engines.state import EngineState
from midirnn.live.base.messages import Begin, HeardStep, PlannedEvent, Surprise
from midirnn.live.improviser.stream import SharedStream
from midirnn.live.improviser.stream_state import ModelNote, StreamState
from midirnn.sampling import Sampler

FORESEEN_STEPS = 4
"""What is foreseen has to last while the model plans on, which takes it longer than a step."""


@dataclass(frozen=True)
class _LatestStep:
    """The step heard last, which may be told again: the state before, and what ended in it."""

    step: HeardStep
    before: StreamState
    ended: frozenset[int]
    is_over: bool = False


class Planner:
    """Draws the model's events ahead of time. Owns the stream and the snapshots behind the plan.

    ``start_seconds`` is the time of step 0, ``channel`` (0 to 15) what the notes are on. Before
    anything is heard or released while a plan is out, :meth:`rewind` takes the stream back to what
    has sounded of it.
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
        self._chances: dict[int, np.random.Generator] = {}
        self._number = 0
        self._base = self._stream.snapshot()
        self._planned: deque[tuple[int, StreamState]] = deque()
        self._undone = self._planned
        """The plan dropped last: to free its states takes time, which :meth:`get_ready` has."""
        self._latest: _LatestStep | None = None

    @property
    def seconds(self) -> float:
        """The time that the plan has reached."""
        return self.seconds_of(self._stream.step)

    @property
    def step(self) -> int:
        """The step that the plan has reached."""
        return self._stream.step

    @property
    def model_pitches(self) -> list[int]:
        """What the model has sounding at the end of the plan."""
        return self._stream.model_pitches

    @property
    def entropy(self) -> float:
        """That of the model's last draw, in nats."""
        return self._stream.entropy

    @property
    def rests(self) -> bool:
        """Whether nothing comes until the performer plays."""
        return self._stream.rests

    @property
    def base(self) -> StreamState:
        """The state behind what has sounded, as far as is known."""
        return self._base

    def adopt(self, state: StreamState) -> None:
        """Nothing; the stream goes on from a state that another planner had as its base."""
        self._sampler.rng = np.random.default_rng()
        self._sampler.rng.bit_generator.state = state.sampler.rng
        self._stream.restore(state)
        self._planned.clear()
        self._settle()

    def reset(self) -> None:
        """Nothing; all is forgotten, and the music begins anew where it has got to."""
        self._stream.reset()
        self._planned.clear()
        self._settle()

    def think_of(self, state: EngineState) -> None:
        """Nothing; the model has another state in mind. What sounds is not changed by it."""
        self._sampler.engine.restore(state)
        self._settle()

    def set_pitches(self, lowest: int, highest: int) -> None:
        """Nothing; the model begins notes from ``lowest`` to ``highest``."""
        self._stream.choice.pitches = range(lowest, highest + 1)

    def begin(self, begin: Begin) -> None:
        """Nothing; the model plays from that step on."""
        self._stream.begin(begin)
        self._settle()

    def draw(self, earliest_step: int, thinning: int = 0) -> list[PlannedEvent]:
        """The events of the model's next token; mostly one or none."""
        self._stream.choice.thinning = thinning
        return [self._plan(note) for note in self._stream.draw(earliest_step)]

    def forget(self, last_sent: int) -> None:
        """Nothing; what was sent up to that number will not be taken back."""
        while self._planned and self._planned[0][0] <= last_sent:
            self._base = self._planned.popleft()[1]
            self._close_step()

    def rewind(self, last_sent: int, plan: int) -> None:
        """Nothing; the stream is where it was after the event sent last, or heard since.

        The next event is numbered behind it, and drawn with random numbers that belong to the
        plan: how far the last plan got makes no difference. (Were they the same again, they would
        put off the next note each time the performer plays.)
        """
        self.forget(last_sent)
        self._undone, self._planned = self._planned, deque()
        self._stream.restore(self._base)
        self._number = last_sent + 1
        ready = self._chances.pop(plan) if plan in self._chances else self._chance(plan)
        self._sampler.rng = ready

    def get_ready(self, plan: int) -> None:
        """Nothing; :meth:`rewind` will have less to do if it is for that plan."""
        self._undone = deque()
        if plan not in self._chances:
            self._chances = {plan: self._chance(plan)}

    def foresee(self, seconds: float) -> bool:
        """Whether the model has worked out what a rest until then, or soon after, makes of it.

        That is what it hears first of a performer who plays in that step. Nothing else comes of
        it, and there is nothing to be done where it is known for the next :data:`FORESEEN_STEPS`.
        """
        sounded = (s for _, s in reversed(self._planned) if self.seconds_of(s.step) <= seconds)
        state = next(sounded, self._base)
        step = self._sampler.codec.step(seconds - self._start)
        return any(self._stream.foresee(state, step + ahead) for ahead in range(FORESEEN_STEPS))

    def _chance(self, plan: int) -> np.random.Generator:
        """The random numbers that belong to a plan, from the first."""
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(plan,)))

    def hear(self, steps: Iterable[HeardStep]) -> list[int]:
        """The pitches of the model that end by what the performer did, which is heard.

        A step that was told last and is told again takes the place of what was told, unless
        something of the model has sounded since: then what is new in it is heard now.
        """
        ended = [note.pitch for step in steps for note in self._hear(step)]
        self._base = self._stream.snapshot()
        return ended

    def take_surprises(self) -> list[Surprise]:
        """How surprising the notes were that were heard since the last call."""
        return self._stream.take_surprises()

    def _hear(self, step: HeardStep) -> Sequence[ModelNote]:
        latest, released = self._latest, frozenset[int]()
        if latest is None or latest.step.step != step.step:
            before = self._stream.snapshot()
        elif latest.is_over:
            told, before = latest.step, self._stream.snapshot()
            new = [on for on in step.note_ons if on not in told.note_ons]
            notes = self._stream.write(step.step, step.note_offs, new)
            self._latest = _LatestStep(step, before, frozenset(), is_over=True)
            return notes
        else:
            before, released = latest.before, latest.ended
            self._stream.restore(before)
        notes = self._stream.write(step.step, step.note_offs, step.note_ons, released)
        ended = released | {note.pitch for note in notes}
        self._latest = _LatestStep(step, before, ended)
        return notes

    def release(self, step: int) -> list[int]:
        """The pitches of the model that sound: they have ended in that step."""
        return self._end(self._stream.release(step))

    def rest(self, step: int) -> list[int]:
        """The pitches of the model that end by it; it rests until that step."""
        return self._end(self._stream.rest(step))

    def _end(self, notes: Sequence[ModelNote]) -> list[int]:
        """Go on from here; what ended has ended if the latest step is told again, too."""
        self._base = self._stream.snapshot()
        pitches = [note.pitch for note in notes]
        if self._latest is not None:
            self._latest = replace(self._latest, ended=self._latest.ended.union(pitches))
        return pitches

    def _settle(self) -> None:
        """Go on from here, whatever is rewound or told again."""
        self._base = self._stream.snapshot()
        self._close_step()

    def _close_step(self) -> None:
        if self._latest is not None and not self._latest.is_over:
            self._latest = replace(self._latest, is_over=True)

    def _plan(self, note: ModelNote) -> PlannedEvent:
        status, pitch, velocity = note.message
        event = PlannedEvent(
            self._number, self.seconds_of(note.step), (status | self._channel, pitch, velocity)
        )
        self._planned.append((self._number, note.state))
        self._number += 1
        return event

    def seconds_of(self, step: int) -> float:
        """The time of a step."""
        return self._start + step / self._steps_per_second
