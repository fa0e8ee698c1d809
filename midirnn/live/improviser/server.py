"""The server in the model process: requests in, replies out, and no other input."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from midirnn.codecs import require_playable
from midirnn.codecs.controls import Controls
from midirnn.engines.base import RecurrentEngine
from midirnn.engines.state import EngineState, blend
from midirnn.engines.state_text import state_from_text, state_to_text
from midirnn.live.base.channel_messages import is_controller
from midirnn.live.base.messages import (
    Adopt,
    Begin,
    Blend,
    Close,
    Fetch,
    Fetched,
    Hear,
    Heard,
    Knobs,
    ModelSettings,
    Plan,
    Planned,
    PlannedEvent,
    Prepare,
    Provide,
    Recall,
    Release,
    Reply,
    Request,
    Reset,
    Rest,
    Rewind,
    Save,
    Saved,
    Store,
    TakeUp,
)
from midirnn.live.improviser.planner import Planner
from midirnn.live.improviser.stream_state import StreamState
from midirnn.live.improviser.tuned import TunedModels
from midirnn.probing.watching import WatchedUnit, Watcher, read_watched
from midirnn.sampling import Sampler

APPROACH_SECONDS, APPROACH_STEP_SECONDS = 3.0, 0.5
"""Over its last ``APPROACH_SECONDS``, an answer conditions the model on the time left, rounded up
to a multiple of ``APPROACH_STEP_SECONDS``."""


@dataclass(frozen=True)
class _WholeState:
    """The whole state of a model process, for one that takes over."""

    stream: StreamState
    knobs: Knobs
    stored: dict[str, EngineState]
    tuned: str | None = None


class ModelServer:
    """Handles requests. Owns the planner and the stored hidden states.

    It reads no clock and has no random seed of its own: the same settings and requests give the
    same replies. A plan interrupted by :class:`Rewind` leaves no trace, so that nobody has to wait
    for its end: :meth:`handle` yields replies as they come, and may be stopped early.
    """

    def __init__(
        self,
        sampler: Sampler[Any],
        *,
        start_seconds: float = 0.0,
        channel: int = 0,
        tuned: TunedModels | None = None,
        units: Sequence[WatchedUnit] = (),
    ) -> None:
        require_playable(sampler.codec, "midirnn live")
        self.planner = Planner(sampler, start_seconds=start_seconds, channel=channel)
        self._sampler = sampler
        self._watcher = Watcher(units, sampler.engine.config)
        self._plan = 0
        self._has_notes = False
        self._knobs = Knobs(sampler.config)
        self._steered: Controls | None = None
        self._stored: dict[str, EngineState] = {}
        self._tuned = tuned
        self._ways: dict[type[Any], Callable[[Any], Iterable[Reply]]] = {
            Rewind: self._rewind,
            Hear: self._hear,
            Release: self._release,
            Rest: self._rest,
            Begin: self._begin,
            Close: self._close,
            Plan: self._draw,
            Knobs: self._set_knobs,
            Reset: self._reset,
            Store: self._store,
            Recall: self._recall,
            Blend: self._blend,
            Fetch: self._fetch,
            Provide: self._provide,
            Prepare: self._prepare,
            TakeUp: self._take_up,
            Save: self._save,
            Adopt: self._adopt,
        }

    @classmethod
    def load(cls, settings: ModelSettings) -> Self:
        """Load the model of the settings. Raises whatever loading raises."""
        from midirnn.engines.load import load

        model, tuned = load(settings.model), None
        engine: RecurrentEngine
        if settings.tunable or model.base is not None:
            engine = blended = replace(model, blend=settings.blend).blended(settings.engine)
            tuned = TunedModels(blended, model, settings.engine)
        else:
            engine = model.engine(settings.engine)
        sampler = Sampler(engine, model.codec, settings.sampling, seed=settings.seed)
        return cls(
            sampler,
            start_seconds=settings.start_seconds,
            channel=settings.channel,
            tuned=tuned,
            units=read_watched(model.folder, model.config),
        )

    def handle(self, request: Request) -> Iterator[Reply]:
        """Yield the replies to a request as they come.

        :class:`Plan` gives a reply after each token, usually without events.
        """
        yield from self._ways[type(request)](request)

    def warm_up(self, seconds: float) -> None:
        """Do some work without effect, so that the next request, such as a note then, is fast."""
        if not self.planner.precompute(seconds):
            self._sampler.engine.warm_up()
        self._sampler.distribution()

    def _rewind(self, request: Rewind) -> Iterable[Reply]:
        self._plan = request.plan
        self._has_notes = False
        self.planner.rewind(request.after, request.plan)
        self._steer(self._knobs.controls)
        return ()

    def _hear(self, request: Hear) -> Iterable[Reply]:
        before = self._sampler.engine.snapshot()
        ended = self.planner.hear(request.steps)
        surprises = tuple(self.planner.take_surprises())
        units, lifted = self._units_of(before), self.planner.has_lifted
        return (Heard(tuple(ended), surprises, units, lifts_pedal=lifted),)

    def _release(self, request: Release) -> Iterable[Reply]:
        self.planner.release(request.step)
        return ()

    def _rest(self, request: Rest) -> Iterable[Reply]:
        ended = self.planner.rest(request.step)
        return (Heard(tuple(ended)),) if ended else ()

    def _begin(self, request: Begin) -> Iterable[Reply]:
        self._has_notes = False
        self.planner.begin(request)
        return ()

    def _close(self, request: Close) -> Iterable[Reply]:
        self.planner.close(request)
        return ()

    def _draw(self, request: Plan) -> Iterable[Reply]:
        self.planner.forget(request.sent)
        tokens = 0
        while tokens < request.tokens and self.planner.step < self._until(request):
            self._steer_now()
            before = self._sampler.engine.snapshot()
            events = self.planner.draw(request.earliest_step, request.thinning)
            self._has_notes |= any(not is_controller(event.message) for event in events)
            tokens += 1
            if events or not self.planner.rests:
                yield self._planned(events, tokens, done=False, before=before)
            if self.planner.rests:
                break
        # While the model waits for the performer, there is nothing left to plan.
        reached = self._until(request) if self.planner.rests else self.planner.step
        yield self._planned((), tokens, done=True, reached=reached)
        self.planner.get_ready(self._plan + 1)

    def _until(self, request: Plan) -> int:
        """Return the step that the plan is to reach."""
        first = 0 if self._has_notes else request.first_until_step
        return max(request.until_step, first)

    def _planned(
        self,
        events: Sequence[PlannedEvent],
        tokens: int,
        *,
        done: bool,
        reached: int | None = None,
        before: EngineState | None = None,
    ) -> Planned:
        seconds = self.planner.seconds_of(self.planner.step if reached is None else reached)
        entropy = self.planner.entropy if events else None
        units = self._watcher.values(before) if events and before else ()
        return Planned(self._plan, tuple(events), seconds, tokens, done, entropy, units)

    def _units_of(self, before: EngineState) -> tuple[float, ...]:
        """Return the watched units' values now, or before if the last step is not computed yet."""
        now = self._sampler.engine.snapshot()
        return self._watcher.values(now) or self._watcher.values(before)

    def _set_knobs(self, request: Knobs) -> Iterable[Reply]:
        self._knobs = request
        self._sampler.configure(request.sampling)
        self._steer(request.controls)
        self.planner.set_pitches(request.lowest, request.highest, waits=request.waits_for_key)
        self.planner.set_pace(request.pace)
        if self._tuned is not None:
            self._tuned.blend(request.blend)
        return ()

    def _steer(self, controls: Controls) -> None:
        """Condition the model on these controls, if it has such inputs and they have changed."""
        if self._sampler.engine.config.control_inputs and controls != self._steered:
            self._steered = controls
            self._sampler.steer(controls)

    def _steer_now(self) -> None:
        """Condition the model on what the stream asks for now, and on the time left."""
        left, asked = self.planner.seconds_left, self.planner.asked(self._knobs.controls)
        if left <= APPROACH_SECONDS:
            left = max(math.ceil(left / APPROACH_STEP_SECONDS), 0) * APPROACH_STEP_SECONDS
            asked = replace(asked, ending_seconds=left)
        self._steer(asked)

    def _reset(self, request: Reset) -> Iterable[Reply]:
        self.planner.reset()
        return ()

    def _store(self, request: Store) -> Iterable[Reply]:
        self._stored[request.name] = self.planner.base.sampler.engine
        return ()

    def _recall(self, request: Recall) -> Iterable[Reply]:
        return self._blend(Blend(((request.name, 1.0),)))

    def _blend(self, request: Blend) -> Iterable[Reply]:
        parts = [(self._stored[n], w) for n, w in request.parts if n in self._stored and w > 0]
        if parts:
            (state, total), *others = parts
            for other, weight in others:
                total += weight
                state = blend(state, other, weight / total)
            self.planner.think_of(state)
        return ()

    def _fetch(self, request: Fetch) -> Iterable[Reply]:
        return (Fetched(request.name, state_to_text(self._stored[request.name])),)

    def _provide(self, request: Provide) -> Iterable[Reply]:
        present = self._sampler.engine.snapshot()
        self._stored[request.name] = state_from_text(request.state, like=present)
        return ()

    def _prepare(self, request: Prepare) -> Iterable[Reply]:
        if self._tuned is not None:
            self._tuned.prepare(request.folder)
        return ()

    def _take_up(self, request: TakeUp) -> Iterable[Reply]:
        if self._tuned is not None:
            self._tuned.take_up(request.folder)
        return ()

    def _save(self, request: Save) -> Iterable[Reply]:
        whole = _WholeState(
            self.planner.base,
            self._knobs,
            self._stored,
            None if self._tuned is None else self._tuned.folder,
        )
        return (Saved(pickle.dumps(whole, pickle.HIGHEST_PROTOCOL)),)

    def _adopt(self, request: Adopt) -> Iterable[Reply]:
        whole: _WholeState = pickle.loads(request.state)
        self._check_fit([whole.stream.sampler.engine, *whole.stored.values()])
        self._stored = whole.stored
        if self._tuned is not None and whole.tuned != self._tuned.folder:
            self._tuned.take_up(whole.tuned)
        self.planner.adopt(whole.stream)
        return self._set_knobs(whole.knobs)

    def _check_fit(self, states: Iterable[EngineState]) -> None:
        """Raise :class:`OptionError` if one of the states is of another model."""
        engine = self._sampler.engine
        present = engine.snapshot()
        try:
            for state in states:
                engine.restore(state)
        finally:
            engine.restore(present)
