"""The interplay of performer, mode and model, one iteration at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from midirnn.codecs.pedal import UP
from midirnn.live.base.channel_messages import endings
from midirnn.live.base.clock import Clock
from midirnn.live.base.config import LiveConfig
from midirnn.live.base.messages import (
    STATE_CHANGES,
    Delivery,
    Hear,
    HeardStep,
    Planned,
    Release,
    Request,
    Reset,
    Rest,
)
from midirnn.live.base.observers import Observer
from midirnn.live.base.playing import Gesture, Performed, Stance
from midirnn.live.controls.commands import (
    ChangeConfig,
    ChangeMode,
    ChangeModel,
    Effect,
    Hold,
    MakeGesture,
    Note,
    Panic,
    Replan,
    Say,
    Tell,
)
from midirnn.live.controls.console import Console
from midirnn.live.input.listener import Listener
from midirnn.live.model_process.link import ModelLink
from midirnn.live.modes import MODES, Mode, make_mode
from midirnn.live.modes.call_and_response import CallAndResponse
from midirnn.live.output.ledger import MODEL, PERFORMER
from midirnn.live.output.scheduler import Scheduler
from midirnn.live.plan_ahead import PlanAhead
from midirnn.live.recovery.dialogue import Dialogue
from midirnn.midievents import ALL_NOTES_OFF, ALL_SOUND_OFF, SUSTAIN

GRACE_SECONDS = 0.002
"""How long to wait after a step's end for messages that are time-stamped but still on their way."""

REST_SECONDS = 0.25
"""How often a resting model is told the time: when the performer plays again, it is at most this
far behind."""

GIVES_TURN = (Gesture.YOUR_TURN, Gesture.SWITCH)
"""Gestures after which a model that was held back plays again."""


class Interplay:
    """Hears the performer, follows the mode, lets the model play. Owns the stance and the plan.

    It belongs to one thread, which calls :meth:`catch_up` and :meth:`step` again and again.
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
        say: Callable[[str], None],
        tell: Callable[[str], None],
    ) -> None:
        self.mode = mode
        self.config = config
        self.stance: Stance | None = None
        self._dialogue = Dialogue(model, clock, observer, console.scenes.fetched)
        self.supervisor = self._dialogue.supervisor
        self.plan = PlanAhead(
            scheduler,
            console.stretch.map,
            start_seconds=model.start_seconds,
            steps_per_second=model.codec.steps_per_second,
            lookahead_seconds=config.lookahead_seconds + config.output_latency_ms / 1e3,
        )
        self._model = model
        self._console = console
        self._listener = listener
        self._scheduler = scheduler
        self._clock = clock
        self._observer = observer
        self._on_change = on_change
        self._say = say
        self._tell = tell
        self._delivery = Delivery()
        self._panicked = self._stopped = False
        """True from a panic, or a Stop of the clock, until the model may play again."""
        self._rested_until = -math.inf

    @property
    def plays(self) -> bool:
        """True while the model plays."""
        return self.stance is not None and Stance.PLAYS in self.stance

    def start(self, now: float) -> None:
        """Give the mode its first stance, if it has none."""
        if self.stance is None:
            self._follow(now)

    def catch_up(self, now: float) -> None:
        """Take the model's replies, and replace a lost model."""
        self._take_replies(now)
        self._look_after_model(now)

    def step(self, now: float) -> float:
        """Handle everything that has happened until now; return when to call this again."""
        if self._scheduler.take_rescued():
            self._silence(now)
        connected = self.supervisor.connected
        self._carry_out(self._console.step(now, connected=connected), now)
        self._note_delivery(now)
        self._listen(now)
        self._follow(now)
        again = self._play(now) if self.plays else self._rest(now)
        self._dialogue.send()
        effects, console_at = self._console.look_after(now, self._listener.sounding)
        self._carry_out(effects, now)
        self._dialogue.send()
        if self._dialogue.has_replies:
            self._take_replies(self._clock.now())
            again = now if self.plays or self._dialogue.hearing else again
        closes_at = self._listener.closes_at() + GRACE_SECONDS
        return min(again, self._changes_at(), self.supervisor.looks_at(), closes_at, console_at)

    def _note_delivery(self, now: float) -> None:
        """Tell the observer if the tempo or balance of the plan has changed."""
        if (delivery := self._console.delivery) != self._delivery:
            self._delivery = delivery
            self._observer.tuned(delivery, now)

    def _changes_at(self) -> float:
        """Return when the stance changes if nothing more is heard."""
        return min(self.mode.changes_at(), self._console.gate.changes_at())

    # What the performer does.

    def _listen(self, now: float) -> None:
        """Handle what the performer has played, and follow the mode."""
        self._let_hear()
        for steps, performed in self._listener.take():
            self._hear(steps, now)
            if performed is not None:
                self._perform(performed)
        self._hear(self._listener.advance(now - GRACE_SECONDS), now)
        if not self._dialogue.hearing.is_busy and (present := self._listener.present_step()):
            self._hear([present], now)

    def _perform(self, performed: Performed) -> None:
        """Tell the mode about a gesture. While frozen, a key press does not count as one."""
        if performed.gesture is Gesture.KEY_DOWN:
            if self._console.frozen:
                performed = replace(performed, gesture=Gesture.PEDAL)  # for the count of keys down
            else:
                self._panicked = self._stopped = False
        self.mode.hear(performed)
        self._follow(performed.seconds)

    def _hear(self, steps: Sequence[HeardStep], now: float) -> None:
        """Let the model hear what the performer did, after what has sounded of its plan."""
        if self._console.frozen:  # notes that it heard before may end
            steps = [end for step in steps if (end := _only_ends(step))]
        if self.stance is None or Stance.LISTENS not in self.stance:
            return
        self._console.perform(steps, now)
        if self._dialogue.hear(steps):
            self.plan.disturb(now)
            self._let_hear()

    def _let_hear(self) -> None:
        steps = self._dialogue.hearing.take()
        if steps:
            self._drop_plan()
            has_notes = any(step.note_ons for step in steps)
            self._dialogue.ask(Hear(steps), *self._console.heard(notes=has_notes))

    def _follow(self, now: float) -> None:
        """Adopt the mode's present stance."""
        before, stance = self.stance, self.mode.stance(now)
        stance = self._admit(Stance.LISTENS if self._is_held_back else stance, now)
        if stance == before:
            return
        played = self.plays
        self.stance = stance
        if played and not self.plays:
            self._silence(now)
        elif self.plays and not played:
            self._begin(now)
        self._on_change(stance)

    def _admit(self, stance: Stance, now: float) -> Stance:
        """Pass a stance through the beat gate. What the model waits there is added to its turn."""
        gate = self._console.gate
        awaited = now if gate.beat is None else gate.beat
        admitted = gate.admit(stance, now)
        if gate.beat is not None and gate.beat != awaited:
            self.mode.delay(gate.beat - awaited)
        return admitted

    # What the model does.

    def _begin(self, now: float) -> None:
        self._dialogue.ask(*self._console.begin(self.mode, self._step_of, now))
        self.plan.begin()

    def _silence(self, now: float) -> None:
        """Drop the plan and end the model's notes."""
        self._console.end()
        self._drop_plan()
        self._dialogue.ask(Release(self._step_of(now)))
        self._scheduler.release()

    def _drop_plan(self) -> None:
        """Drop the part of the plan that has not sounded, and rewind the model to what has."""
        rewind = self.plan.drop()
        if rewind is not None:
            self._dialogue.ask(rewind)

    def _play(self, now: float) -> float:
        """Ask for more of the plan if it is time; return the time to ask again."""
        self.plan.keep_sounding(now)
        if not self.supervisor.connected:
            return math.inf
        end = self._changes_at()
        more = self.plan.more(now, self._step_of(now) + 1, end)
        if more is not None:
            self._dialogue.ask(more)
        return self.plan.more_at(end)

    def _rest(self, now: float) -> float:
        """Regularly tell a resting model the time; return when to call this again."""
        step = self._step_of(now)
        if step >= self._rested_until + REST_SECONDS * self._model.codec.steps_per_second:
            self._rested_until = step
            self._dialogue.ask(Rest(step))
        return now + REST_SECONDS

    def _step_of(self, seconds: float) -> int:
        musical = self._console.stretch.map.musical(seconds)
        return self._model.codec.step(musical - self._model.start_seconds)

    # Requests and replies.

    def _take_replies(self, now: float) -> None:
        for reply in self._dialogue.replies(now):
            if isinstance(reply, Planned):
                self._take_plan(reply, now)
            else:
                self._end(reply.ended)
                if reply.lifts_pedal:
                    self._scheduler.lift_pedals()

    def _end(self, pitches: Sequence[int]) -> None:
        """End the model's notes of these pitches. It has at most one of each."""
        if pitches:
            theirs = (note.key for note in self._scheduler.sounding if note.owner == MODEL)
            self._scheduler.release([key for key in theirs if key[1] in pitches])

    def _take_plan(self, reply: Planned, now: float) -> None:
        """Schedule the events of a plan, unless it was dropped."""
        if not self.plan.expects(reply):
            return
        self._scheduler.add([self._console.delivered(event) for event in reply.events])
        if reply.entropy is not None:
            self._console.guard.hear_entropy(reply.entropy)
        self.plan.take(reply, now)
        if reply.done:
            self.supervisor.expect(self.plan.overload.seconds_per_token)

    # Commands.

    def _carry_out(self, effects: Iterable[Effect], now: float) -> None:
        """Carry out the effects of commands, each before taking the next."""
        for effect in effects:
            match effect:
                case ChangeModel(requests):
                    self.change_model(requests, now)
                case ChangeMode(name):
                    self._change_mode(name, now)
                case ChangeConfig(config):
                    self.config = self.mode.config = config
                case MakeGesture(gesture):
                    self._make_gesture(gesture, now)
                case Replan():
                    self._drop_plan()
                    self._dialogue.ask(*self._console.close(self._step_of))
                case Panic():
                    self._panic(now)
                case Hold(on):
                    self._stopped = on
                    self._follow(now)
                case Say(text):
                    self._say(text)
                case Tell(text):
                    self._observer.noted(text, self._clock.now())
                    self._tell(text)
                case Note(text):
                    self._observer.noted(text, self._clock.now())

    def _make_gesture(self, gesture: Gesture, now: float) -> None:
        if gesture in GIVES_TURN and self._is_held_back:
            self._panicked = self._stopped = False
            self.mode.hear(self._listener.performed(now, Gesture.MY_TURN))  # so far it was silent
        self.mode.hear(self._listener.performed(now, gesture))
        self._follow(now)

    def _change_mode(self, name: str, now: float) -> None:
        """Change to the mode of that name, unless it is the present one; end the model's notes."""
        if type(self.mode) is MODES[name]:
            return
        if self.plays:
            self._silence(now)
        before, self.mode = self.mode, make_mode(name, self.config)
        self.stance = Stance.LISTENS
        self._console.gate.admit(Stance.LISTENS, now)
        self.mode.hear(self._listener.performed(now, Gesture.PEDAL))  # it learns what is held
        if isinstance(before, CallAndResponse) and isinstance(self.mode, CallAndResponse):
            self.mode.take_over(before)
        self._follow(now)
        self._on_change(self.stance)

    @property
    def _is_held_back(self) -> bool:
        return self._panicked or self._stopped

    def _panic(self, now: float) -> None:
        """End every note, and let the model rest until a key is pressed or it is given the turn."""
        self._silence(now)
        self._panicked = True
        self._follow(now)
        self._scheduler.release(owner=PERFORMER)
        for message in endings(controllers=(SUSTAIN, ALL_SOUND_OFF, ALL_NOTES_OFF)):
            self._scheduler.pass_on(message, now)

    def change_model(self, requests: Sequence[Request], now: float) -> None:
        """Send requests to the model, after rewinding it to what has sounded."""
        self._drop_plan()
        if any(isinstance(request, STATE_CHANGES) for request in requests):
            self.supervisor.save_soon(now)
        for request in requests:
            if isinstance(request, Reset):
                self._silence(now)
                self._dialogue.forget()
            self._dialogue.ask(request)
            if isinstance(request, Reset) and self.plays:
                self._begin(now)

    # When something goes wrong.

    def _look_after_model(self, now: float) -> None:
        """Restart a lost model, and end its notes at once."""
        if self.supervisor.is_back():
            self._dialogue.reconnect(
                self.plan.number, self._scheduler.last_sent, self._step_of(now)
            )
            if self.plays:
                self._begin(now)
        elif (reason := self.supervisor.loss(now)) is not None:
            self.plan.lose()  # first, so that dropped notes cannot begin any more
            self._scheduler.release()
            self._console.guard.end()  # a model that is away is not silent
            self._say(self._dialogue.restart(now, reason))
            self._note_start(now)
        elif self.supervisor.try_again(now):
            self._note_start(now)

    def _note_start(self, now: float) -> None:
        if self._model.settings is not None:
            self._observer.started(self._model.settings, now)

    def pause(self, now: float) -> None:
        """Drop the plan and end the model's notes, until :meth:`resume`."""
        if self.plays:
            self._silence(now)

    def resume(self, now: float) -> None:
        """Let the model play on, if it is its turn."""
        if self.plays:
            self._begin(now)


def _only_ends(step: HeardStep) -> HeardStep | None:
    """Return a step with only its note-offs and the pedal's lift; None if it has neither."""
    ends = replace(step, note_ons=(), pedal=(UP,) if UP in step.pedal else ())
    return ends if ends.note_offs or ends.pedal else None
