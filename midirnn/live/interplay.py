"""The interplay: what performer, mode and model make of each other, one moment after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from midirnn.live.base.channel_messages import ALL_NOTES_OFF, ALL_SOUND_OFF, endings
from midirnn.live.base.clock import Clock
from midirnn.live.base.config import LiveConfig
from midirnn.live.base.messages import (
    Blend,
    Hear,
    Heard,
    HeardStep,
    Knobs,
    Planned,
    Recall,
    Release,
    Request,
    Reset,
    Rest,
    Saved,
    Store,
)
from midirnn.live.controls.console import Console
from midirnn.live.input.hearing import Hearing
from midirnn.live.input.listener import Listener
from midirnn.live.model_process.link import ModelLink
from midirnn.live.modes import Gesture, Mode, Performed, Stance, make_mode
from midirnn.live.output.delivery import Delivery
from midirnn.live.output.ledger import PERFORMER
from midirnn.live.output.scheduler import Scheduler
from midirnn.live.plan_ahead import PlanAhead
from midirnn.live.recording.observers import Observer
from midirnn.live.recovery.supervisor import Supervisor
from midirnn.midievents import SUSTAIN

GRACE_SECONDS = 0.002
"""A step is over so long after its end, for messages that are stamped and still on their way."""

REST_SECONDS = 0.25
"""How often the model hears that it rests: so far it may lag when the performer plays again."""

Tell = Callable[[str], None]


class Interplay:
    """Hears, follows the mode, has the model play. Owns the stance, and what is asked of the model.

    It belongs to one thread, which calls :meth:`catch_up` and :meth:`step` again and again. It is
    the ``Instrument`` that the console plays upon.
    """

    def __init__(
        self,
        model: ModelLink,
        mode: Mode,
        config: LiveConfig,
        console: Console,
        listener: Listener,
        scheduler: Scheduler,
        clock: Clock,
        *,
        observer: Observer,
        on_change: Callable[[Stance], None],
        say: Tell,
    ) -> None:
        self.mode = mode
        self.config = config
        self.stance: Stance | None = None
        self.muted = False
        """Whether there is no output: then the model listens, and does not play."""
        self.supervisor = Supervisor(model, clock)
        self.plan = PlanAhead(
            scheduler,
            console.stretch.map,
            start_seconds=model.start_seconds,
            steps_per_second=model.codec.steps_per_second,
            lookahead_seconds=config.lookahead_seconds,
        )
        self._model = model
        self._console = console
        self._listener = listener
        self._scheduler = scheduler
        self._clock = clock
        self._observer = observer
        self._on_change = on_change
        self._say = say
        self._hearing = Hearing()
        self._requests: list[Request] = []
        self._delivery = Delivery()
        self._held_back = False
        self._rested_until = -math.inf

    @property
    def plays(self) -> bool:
        """Whether the model plays now."""
        return self.stance is not None and Stance.PLAYS in self.stance and not self.muted

    def start(self) -> None:
        """Nothing; the mode has its first stance, if it had none."""
        if self.stance is None:
            self._follow(self._model.start_seconds)

    def catch_up(self, now: float) -> None:
        """Nothing; what the model has answered is known, and one that was lost is replaced."""
        self._take_replies(now)
        self._look_after_model(now)

    def step(self, now: float) -> float:
        """The time at which to come again; what has happened until now was dealt with."""
        if self._scheduler.take_rescued():
            self._silence(now)
        self._console.step(self, now)
        self._note_delivery(now)
        self._listen(now)
        self._follow(now)
        again = self._play(now) if self.plays else self._rest(now)
        self._send_requests()
        console_at = self._console.look_after(self, now)
        self._send_requests()
        if self._model.has_replies:
            self._take_replies(self._clock.now())
            again = now if self.plays or self._hearing else again
        closes_at = self._listener.closes_at() + GRACE_SECONDS
        return min(again, self._changes_at(), self.supervisor.looks_at(), closes_at, console_at)

    def _note_delivery(self, now: float) -> None:
        """Let it be known when the plan is played at another tempo or balance from now on."""
        delivery = self._console.delivery
        if delivery != self._delivery:
            self._delivery = delivery
            self._observer.tuned(delivery, now)

    def _changes_at(self) -> float:
        """When the stance changes if nothing more is heard."""
        return min(self.mode.changes_at(), self._console.gate.changes_at())

    # What the performer does.

    def _listen(self, now: float) -> None:
        """Hear what has come in, and do what the mode makes of it."""
        self._let_hear()
        for steps, performed in self._listener.take():
            self._hear(steps, now)
            if performed is not None:
                self._perform(performed)
        self._hear(self._listener.advance(now - GRACE_SECONDS), now)
        if not self._hearing.is_busy and (present := self._listener.present_step()):
            self._hear([present], now)

    def _perform(self, performed: Performed) -> None:
        """Do what the mode makes of a gesture; while frozen a key that goes down is none."""
        if performed.gesture is Gesture.KEY_DOWN:
            self._held_back = False
            if self._console.frozen:
                performed = replace(performed, gesture=Gesture.PEDAL)  # how many keys are down
        self.mode.hear(performed)
        self._follow(performed.seconds)

    def _hear(self, steps: Sequence[HeardStep], now: float) -> None:
        """Let the model hear what the performer did, behind what has sounded of its plan."""
        if self._console.frozen:  # what it heard before may end
            steps = [replace(step, note_ons=()) for step in steps if step.note_offs]
        if self.stance is None or Stance.LISTENS not in self.stance:
            return
        new = self._hearing.add(steps)
        if new:
            self.plan.disturb(now)
            self.supervisor.heard(new)
            self._let_hear()

    def _let_hear(self) -> None:
        steps = self._hearing.take()
        if steps:
            self._drop_plan()
            has_notes = any(step.note_ons for step in steps)
            self._request(Hear(steps), *self._console.heard(notes=has_notes))

    def _follow(self, now: float) -> None:
        """Do what the mode says from now on."""
        before, stance = self.stance, self.mode.stance(now)
        stance = self._console.gate.admit(Stance.LISTENS if self._held_back else stance, now)
        if stance == before:
            return
        played = self.plays
        self.stance = stance
        if played and not self.plays:
            self._silence(now)
        elif self.plays and not played:
            self._begin(now)
        self._on_change(stance)

    # What the model does.

    def _begin(self, now: float) -> None:
        self._request(*self._console.begin(self.mode, self._step_of, now))
        self.plan.begin()

    def _silence(self, now: float) -> None:
        """Drop the plan and end what the model has sounding."""
        self._console.end()
        self._drop_plan()
        self._request(Release(self._step_of(now)))
        self._scheduler.release()

    def _drop_plan(self) -> None:
        """Drop what has not sounded of the plan: the model is where the music is."""
        rewind = self.plan.drop()
        if rewind is not None:
            self._request(rewind)

    def _play(self, now: float) -> float:
        """The time at which to plan on; more is planned if it is time for that."""
        self.plan.keep_sounding(now)
        if not self.supervisor.connected:
            return math.inf
        end = self._changes_at()
        more = self.plan.more(now, self._step_of(now) + 1, end)
        if more is not None:
            self._request(more)
        return self.plan.more_at(end)

    def _rest(self, now: float) -> float:
        """The time at which to come again; the model hears from time to time how long it rests."""
        step = self._step_of(now)
        if step >= self._rested_until + REST_SECONDS * self._model.codec.steps_per_second:
            self._rested_until = step
            self._request(Rest(step))
        return now + REST_SECONDS

    def _step_of(self, seconds: float) -> int:
        musical = self._console.stretch.map.musical(seconds)
        return self._model.codec.step(musical - self._model.start_seconds)

    # What is asked and answered.

    def _request(self, *requests: Request) -> None:
        if self.supervisor.connected:
            self._requests += requests

    def _send_requests(self) -> None:
        if self.supervisor.save_is_due():
            self._requests.append(self.supervisor.save())
        requests, self._requests = self._requests, []
        if not requests:
            return
        for request in requests:
            self._observer.asked(request, self._clock.now())
        self._hearing.sent(requests)
        self._model.ask(requests)

    def _take_replies(self, now: float) -> None:
        for reply in self._model.take():
            self._observer.answered(reply, now)
            if isinstance(reply, Planned):
                self._take_plan(reply, now)
            elif isinstance(reply, Heard):
                self._hearing.answered()
                self._release(reply.ended)
            elif isinstance(reply, Saved):
                self.supervisor.saved(reply)

    def _take_plan(self, reply: Planned, now: float) -> None:
        """Have it sent, unless it belongs to a plan that was dropped."""
        if not self.plan.expects(reply):
            return
        self._scheduler.add([self._console.delivered(event) for event in reply.events])
        if reply.entropy is not None:
            self._console.guard.hear_entropy(reply.entropy)
        self.plan.take(reply, now)
        if reply.done:
            self.supervisor.expect(self.plan.overload.seconds_per_token)

    def _release(self, pitches: Iterable[int]) -> None:
        channel = self.config.channel - 1
        self._scheduler.release([(channel, pitch) for pitch in pitches])

    # What the console does: the methods of ``Instrument``.

    def gesture(self, gesture: Gesture, now: float) -> None:
        """Nothing; the mode knows that the performer did that."""
        self.mode.hear(Performed(now, gesture, self._listener.keys_down))
        self._follow(now)

    def change_mode(self, name: str, now: float) -> None:
        """Nothing; the mode is a new one of that name, and no note of the last sounds."""
        if self.plays:
            self._silence(now)
        self.mode = make_mode(name, self.config)
        self.stance = Stance.LISTENS
        self._console.gate.admit(Stance.LISTENS, now)
        self.gesture(Gesture.PEDAL, now)  # so that it knows which keys are down
        self._on_change(self.stance)

    def change_config(self, config: LiveConfig) -> None:
        """Nothing; this is the configuration from now on."""
        self.config = self.mode.config = config

    def replan(self, now: float) -> None:
        """Nothing; what is planned is dropped and planned anew."""
        self._drop_plan()

    def panic(self, now: float) -> None:
        """Nothing; every note has ended, and the model rests until a key goes down."""
        self._held_back = True
        self._silence(now)
        self._follow(now)
        self._scheduler.release(owner=PERFORMER)
        for message in endings(controllers=(SUSTAIN, ALL_SOUND_OFF, ALL_NOTES_OFF)):
            self._scheduler.pass_on(message, now)

    def change_model(self, requests: Sequence[Request], now: float) -> None:
        """Nothing; the model does this next, behind what has sounded."""
        if not requests:
            return
        self._drop_plan()
        if any(isinstance(request, Store | Recall | Blend | Reset) for request in requests):
            self.supervisor.save_soon(now)
        for request in requests:
            if isinstance(request, Reset):
                self._silence(now)
                self._hearing.forget_told()
                self.supervisor.forget_heard()
            if isinstance(request, Knobs):
                self.supervisor.knobs = request
            self._request(request)
            if isinstance(request, Reset) and self.plays:
                self._begin(now)

    # What goes wrong.

    def _look_after_model(self, now: float) -> None:
        """Have the model back if it was lost, and its notes ended at once."""
        if self.supervisor.is_back():
            self._requests = self.supervisor.reconnect(
                self.plan.number, self._scheduler.last_sent, self._step_of(now)
            )
            if self.plays:
                self._begin(now)
        elif (reason := self.supervisor.loss(now)) is not None:
            self.plan.lose()  # first: what it drops cannot begin any more
            self._scheduler.release()
            self._hearing.drop()
            self._requests = []
            self.supervisor.restart(now, reason)
            self._say(f"{reason}: it is started again")
            if self._model.settings is not None:
                self._observer.started(self._model.settings, now)

    def mute(self, now: float) -> None:
        """Nothing; there is no output any more. The model listens on."""
        if self.plays:
            self._silence(now)
        self.muted = True

    def unmute(self, now: float) -> None:
        """Nothing; there is an output again."""
        self.muted = False
        if self.plays:
            self._begin(now)
