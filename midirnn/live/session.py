"""A session: the loop that ties input, mode, model and output together."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Protocol, Self

from midirnn.errors import PortError
from midirnn.live.clock import Clock, MonotonicClock
from midirnn.live.config import LiveConfig
from midirnn.live.console import Console
from midirnn.live.feedback import FeedbackDetector
from midirnn.live.ledger import MODEL, PERFORMER
from midirnn.live.listener import ALL_NOTES_OFF, ALL_SOUND_OFF, Listener
from midirnn.live.messages import (
    Hear,
    Heard,
    HeardStep,
    Knobs,
    ModelSettings,
    Plan,
    Planned,
    Release,
    Reply,
    Request,
    Reset,
    Rest,
    Rewind,
    Saved,
)
from midirnn.live.model_link import LocalModel, ModelLink
from midirnn.live.modes import Gesture, Mode, Stance, make_mode
from midirnn.live.modes import Heard as HeardGesture
from midirnn.live.overload import Overload
from midirnn.live.pedal_out import PedalOutput
from midirnn.live.scheduler import Scheduler, SentEvent
from midirnn.live.supervisor import Supervisor
from midirnn.midievents import CONTROL_CHANGE, PROGRAM_CHANGE, SUSTAIN
from midirnn.ports.base import Message, OutputPort
from midirnn.sampling import Sampler

IDLE_SECONDS = 0.25
"""The loop comes round so often even when nothing happens."""

REFILL_SECONDS = 0.005
"""So much of the plan has been played before it is filled up again."""

NEAR_SECONDS = 0.2
"""How far ahead is planned when the performer has just played, and the next note is likely to undo
the plan. From then on it is planned twice as fast as time passes, until all is planned."""

GRACE_SECONDS = 0.002
"""A step is over so long after its end, for messages that are stamped and still on their way."""

CHANNELS = range(16)
FIRST_SYSTEM_MESSAGE = 0xF0

Tell = Callable[[str], None]


class Observer(Protocol):
    """Told all that happens, in several threads, with the second of each thing. To be quick."""

    def heard(self, message: Message, seconds: float) -> None:
        """The performer played that."""
        ...

    def sent(self, message: Message, seconds: float, due_seconds: float, player: str) -> None:
        """That was sent, for the model or for the performer."""
        ...

    def started(self, settings: ModelSettings, seconds: float) -> None:
        """A model starts from these settings."""
        ...

    def asked(self, request: Request, seconds: float) -> None:
        """That was asked of the model."""
        ...

    def answered(self, reply: Reply, seconds: float) -> None:
        """The model answered that."""
        ...

    def noted(self, text: str, seconds: float) -> None:
        """Something else happened that is worth knowing."""
        ...


class Session:
    """Plays along until it is stopped. Owns the loop; ports and model belong to the caller.

    ``model`` is a sampler, which then runs in this process, or a link to one elsewhere (a
    ``ModelProcess``). ``mode`` is the name of one of ``MODES``, or a mode. Give :meth:`receive` to
    an input port as its callback; use the session in a ``with``, whose end releases every note.

    ``on_change`` is told what the model does whenever that changes, ``on_trouble`` what went wrong
    and is mended. An output that fails ends the session, unless there is an ``on_output_lost``,
    which is told why: then the session goes on without one until :meth:`output_found`.

    One thread does everything: the one that calls :meth:`run`. It and the scheduler's thread share
    nothing but the scheduler.
    """

    def __init__(
        self,
        model: Sampler | ModelLink,
        output: OutputPort,
        mode: str | Mode = "call_and_response",
        config: LiveConfig | None = None,
        *,
        clock: Clock | None = None,
        on_change: Callable[[Stance], None] = lambda stance: None,
        on_trouble: Tell = lambda text: None,
        on_output_lost: Callable[[Exception], None] | None = None,
        observer: Observer | None = None,
        console: Console | None = None,
    ) -> None:
        self.config = config or LiveConfig()
        self.mode = make_mode(mode, self.config) if isinstance(mode, str) else mode
        self.stance: Stance | None = None
        self._clock = clock or MonotonicClock()
        self._on_change = on_change
        self._on_trouble = on_trouble
        self._on_output_lost = on_output_lost
        self._observer = observer
        self._channel = self.config.channel - 1
        self.console = console or Console(self.config)
        self.console.on_trouble, self.console.on_note = self._say, self._note
        if isinstance(model, Sampler):
            self.console.connect(model.config)
            model = LocalModel(model, self._clock.now(), self._channel)
        elif model.settings is not None:
            self.console.connect(model.settings.sampling)
        self.model = model
        self._codec = model.codec
        self._start = model.start_seconds
        self._news = threading.Condition()
        self._stopping = False
        self._orders: deque[Callable[[float], None]] = deque()
        self._requests: list[Request] = []
        self._muted = False
        self._held_back = False
        self._plan = 0
        self._plan_is_out = False
        self._planned_until = -math.inf
        self._asked_at: float | None = None
        self._gaining_from = 0.0
        self._cut_seconds = -math.inf
        self._rest_at = -math.inf
        self._told_step: HeardStep | None = None
        self._unheard: dict[int, HeardStep] = {}
        self._is_hearing = False
        self._feedback = FeedbackDetector()
        self._overload = Overload()
        self._supervisor = Supervisor(model, self._clock)
        self._time = self.console.stretch.map
        self.listener = Listener(model.codec, self._start, self._time)
        self.scheduler = Scheduler(
            self._with_pedal(output),
            self._clock,
            max_note_seconds=model.max_note_seconds,
            on_failure=self._wake,
            on_sending=lambda sending: self._feedback.sent(sending.message, sending.seconds),
            on_sent=self._note_sent,
        )
        self.scheduler.clock_out = self.console.clock_out
        model.connect(self._wake)
        if observer is not None and model.settings is not None:
            observer.started(model.settings, self._clock.now())

    # For any thread.

    def receive(self, message: Message, seconds: float) -> None:
        """Nothing; the message, which arrived at that time of the clock, will be heard."""
        found_before = self._feedback.found
        if self._feedback.hear(message, seconds):
            if not found_before:
                self._order(lambda now: self._say(_FEEDBACK))
            return
        if self._observer is not None and message[0] < FIRST_SYSTEM_MESSAGE:
            self._observer.heard(message, seconds)
        if self.console.take(message, seconds):
            self._wake()
            return
        if not self._is_listened_to(message):
            return
        if self.config.thru:
            self.scheduler.pass_on(message, seconds)
        self.listener.receive(message, seconds)
        self._wake()

    def ask(self, *requests: Request) -> None:
        """Nothing; the model does this next: what it has planned is taken back for it.

        For ``Knobs``, ``Reset``, ``Store``, ``Recall`` and ``Blend``.
        """
        self._order(lambda now: self.change_model(requests, now))

    def output_lost(self) -> None:
        """Nothing; the output is gone. The model listens on, until :meth:`output_found`."""
        self._order(self._lose_output)

    def output_found(self, output: OutputPort) -> None:
        """Nothing; this is the output from now on. What sounded on the last one ends there."""
        self._order(lambda now: self._find_output(output, now))

    def input_lost(self) -> None:
        """Nothing; all keys and pedals of the performer are up."""
        seconds = self._clock.now()
        for channel in CHANNELS:
            for controller in (SUSTAIN, ALL_NOTES_OFF):
                self.listener.receive((CONTROL_CHANGE | channel, controller, 0), seconds)
        self.scheduler.release(owner=PERFORMER)
        self._order(lambda now: self._say("the input is gone: its keys count as released"))

    def input_found(self) -> None:
        """Nothing; there is an input again, which is given :meth:`receive`."""
        self._order(lambda now: self._say("the input is back"))

    def stop(self) -> None:
        """Nothing; :meth:`run` returns soon. For signal handlers, too."""
        self._stopping = True
        self._wake()

    @property
    def stopping(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopping

    def _order(self, action: Callable[[float], None]) -> None:
        """The action is taken, in the session's thread, with the time as its argument."""
        self._orders.append(action)
        self._wake()

    def _wake(self) -> None:
        with self._news:
            self._news.notify_all()

    def _is_listened_to(self, message: Message) -> bool:
        channels = self.config.input_channels
        return not channels or message[0] >= 0xF0 or (message[0] & 0x0F) + 1 in channels

    def _note_sent(self, sent: SentEvent) -> None:
        if sent.message[0] >= FIRST_SYSTEM_MESSAGE:
            return
        if sent.owner == MODEL:
            self.console.hear_sent(sent.message, sent.seconds)
        if self._observer is not None:
            self._observer.sent(sent.message, sent.seconds, sent.due_seconds, sent.owner)

    # The loop.

    def run(self, seconds: float = math.inf, *, sending_thread: bool = True) -> None:
        """Nothing, once ``seconds`` have passed or :meth:`stop` was called.

        Without ``sending_thread`` the loop also sends what is due: with a manual clock, everything
        happens in one thread. Raises what the model raises, and :class:`PortError` when the output
        fails.
        """
        if sending_thread:
            self.scheduler.start()
            if self.scheduler.not_realtime:
                self._say(f"messages may go out late: {self.scheduler.not_realtime}")
        now = self._clock.now()
        self._choose_sound(now)
        self.scheduler.start_clock(now)
        end = now + seconds
        while not self._stopping and self._clock.now() < end:
            again = self.step()
            if not sending_thread:
                again = min(again, self.scheduler.send_due())
            with self._news:
                if not (self._has_news or self._stopping):
                    self._clock.wait(self._news, min(again, end))

    @property
    def _has_news(self) -> bool:
        return self.listener.has_news or self.model.has_replies or bool(self._orders)

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

        A model in this process draws for about 30 ms at most, so that no message waits longer.
        """
        now = self._clock.now()
        if self.stance is None:
            self._follow(self._start)
        self._check_output(now)
        self._take_replies(now)
        self._look_after_model(now)
        while self._orders:
            self._orders.popleft()(now)
        if self.scheduler.take_rescued():
            self._silence(now)
        console_at = self.console.step(self, now)
        self._listen(now)
        self._follow(now)
        again = self._play(now) if self._plays else self._rest(now)
        self._send_requests()
        if self.model.has_replies:
            self._take_replies(self._clock.now())
            again = now if self._plays or self._unheard else again
        closes_at = self.listener.closes_at() + GRACE_SECONDS
        later = min(self._changes_at(), self._supervisor.looks_at(), self.scheduler.stuck_at)
        return min(again, later, closes_at, console_at, now + IDLE_SECONDS)

    def _changes_at(self) -> float:
        """When the stance changes if nothing more is heard."""
        return min(self.mode.changes_at(), self.console.gate.changes_at())

    @property
    def _plays(self) -> bool:
        return self.stance is not None and Stance.PLAYS in self.stance and not self._muted

    def _say(self, text: str) -> None:
        self._note(text)
        self._on_trouble(text)

    def _note(self, text: str) -> None:
        if self._observer is not None:
            self._observer.noted(text, self._clock.now())

    # What the performer does.

    def _listen(self, now: float) -> None:
        """Hear what has come in, and do what the mode makes of it."""
        self._let_hear()
        for steps, heard in self.listener.take():
            self._hear(steps, now)
            if heard is not None:
                if heard.gesture is Gesture.KEY_DOWN:
                    self._held_back = False
                self.mode.hear(heard)
                self._follow(heard.seconds)
        self._hear(self.listener.advance(now - GRACE_SECONDS), now)
        if not self._is_hearing and (present := self.listener.present_step()):
            self._hear([present], now)

    def _hear(self, steps: Sequence[HeardStep], now: float) -> None:
        """Let the model hear what the performer did, behind what has sounded of its plan."""
        if self.console.frozen:  # what it heard before may end
            steps = [replace(step, note_ons=()) for step in steps if step.note_offs]
        new = [step for step in steps if step != self._told_step]
        if not new or self.stance is None or Stance.LISTENS not in self.stance:
            return
        self._told_step = new[-1]
        self._cut_seconds = now
        self._supervisor.heard(new)
        self._unheard |= {step.step: step for step in new}
        self._let_hear()

    def _let_hear(self) -> None:
        """Let the model hear what it has not, once it has dealt with what it was told last.

        So a chord, whose notes come one by one, is heard with its first note and then as a whole.
        """
        if self._is_hearing or not self._unheard:
            return
        steps, self._unheard = tuple(self._unheard.values()), {}
        self._cut()
        self._request(Hear(steps))
        for request in self.console.heard(notes=any(step.note_ons for step in steps)):
            self._request(request)

    def _follow(self, now: float) -> None:
        """Do what the mode says from now on."""
        before, stance = self.stance, self.mode.stance(now)
        stance = self.console.gate.admit(Stance.LISTENS if self._held_back else stance, now)
        if stance == before:
            return
        played = self._plays
        self.stance = stance
        if played and not self._plays:
            self._silence(now)
        elif self._plays and not played:
            self._begin(now)
        self._on_change(stance)

    def _begin(self, now: float) -> None:
        for request in self.console.begin(self.mode, self._step_of, now):
            self._request(request)
        self._planned_until = -math.inf

    def _silence(self, now: float) -> None:
        """Drop the plan and end what the model has sounding."""
        self.console.end()
        self._cut()
        self._request(Release(self._step_of(now)))
        self.scheduler.release()

    def _cut(self) -> None:
        """Drop what has not sounded of the plan: the model is where the music is."""
        if not self._plan_is_out:
            return
        self._plan += 1
        self._plan_is_out = False
        self._asked_at = None
        self._planned_until = -math.inf
        self._request(Rewind(self._plan, self.scheduler.cut()))

    # What the model does.

    def _request(self, request: Request) -> None:
        if self._supervisor.connected:
            self._requests.append(request)

    def _send_requests(self) -> None:
        if self._supervisor.save_is_due():
            self._requests.append(self._supervisor.save())
        requests, self._requests = self._requests, []
        if not requests:
            return
        if self._observer is not None:
            for request in requests:
                self._observer.asked(request, self._clock.now())
        self._is_hearing |= any(isinstance(request, Hear) for request in requests)
        self.model.ask(requests)

    def _take_replies(self, now: float) -> None:
        for reply in self.model.take():
            if self._observer is not None:
                self._observer.answered(reply, now)
            if isinstance(reply, Planned):
                self._take_plan(reply, now)
            elif isinstance(reply, Heard):
                self._is_hearing = False
                self.scheduler.release([(self._channel, pitch) for pitch in reply.ended])
            elif isinstance(reply, Saved):
                self._supervisor.saved(reply)

    def _take_plan(self, reply: Planned, now: float) -> None:
        """Have it sent, unless it belongs to a plan that was dropped."""
        if reply.plan != self._plan or self._asked_at is None:
            return
        self.scheduler.add([self.console.timed(event) for event in reply.events])
        if reply.entropy is not None:
            self.console.guard.hear_entropy(reply.entropy)
        self._planned_until = self._time.seconds(reply.seconds)
        if reply.done:
            gained = reply.seconds - self._gaining_from
            self._overload.note(reply.tokens, now - self._asked_at, gained)
            self._supervisor.expect(self._overload.seconds_per_token)
            self._asked_at = None

    def _play(self, now: float) -> float:
        """The time at which to plan on; more is planned if it is time for that."""
        # If the model does not answer, its notes must not sound on for ever.
        alive = now if self._asked_at is None else self._asked_at
        self.scheduler.extend(max(alive, self._planned_until))
        if self._asked_at is not None or not self._supervisor.connected:
            return math.inf
        end = self._changes_at()
        until = min(now + self._ahead(now), end)
        if self._planned_until < until:
            self._ask_for_more(now, until)
            return math.inf
        return end if self._planned_until >= end else self._refill_at()

    def _ask_for_more(self, now: float, until: float) -> None:
        ahead = self._time.musical(until) - self._start
        until_step = math.ceil(ahead * self._codec.steps_per_second)
        self._plan_is_out = True
        self._asked_at = now
        self._gaining_from = max(self._planned_until, now)
        self._request(
            Plan(
                sent=self.scheduler.last_sent,
                earliest_step=self._step_of(now) + 1,
                until_step=until_step,
                tokens=self._overload.tokens,
                thinning=self._overload.thinning,
            )
        )

    def _ahead(self, now: float) -> float:
        """How many seconds ahead to plan."""
        return min(self.config.lookahead_seconds, NEAR_SECONDS + 2.0 * (now - self._cut_seconds))

    def _refill_at(self) -> float:
        """The time at which the plan no longer reaches far enough ahead."""
        planned = self._planned_until
        full = planned - self.config.lookahead_seconds
        growing = (planned - NEAR_SECONDS + 2.0 * self._cut_seconds) / 3.0
        return max(full, growing) + REFILL_SECONDS

    def _rest(self, now: float) -> float:
        """The time at which to come again; the model hears how long it rests."""
        # Each answer of another process brings us here again: it would be asked without end.
        if now >= self._rest_at or not self.model.can_be_lost:
            self._rest_at = now + IDLE_SECONDS
            self._request(Rest(self._step_of(now)))
        return self._rest_at

    def _step_of(self, seconds: float) -> int:
        return int(self._codec.steps(self._time.musical(seconds) - self._start))

    # What the console does.

    def gesture(self, gesture: Gesture, now: float) -> None:
        """Nothing; the mode knows that the performer did that."""
        self.mode.hear(HeardGesture(now, gesture, self.listener.keys_down))
        self._follow(now)

    def change_mode(self, name: str, now: float) -> None:
        """Nothing; the session is in a new mode of that name, and no note of the last sounds."""
        if self._plays:
            self._silence(now)
        self.mode = make_mode(name, self.config)
        self.stance = Stance.LISTENS
        self.console.gate.admit(Stance.LISTENS, now)
        self.gesture(Gesture.PEDAL, now)  # so that it knows which keys are down
        self._on_change(self.stance)

    def change_config(self, config: LiveConfig) -> None:
        """Nothing; this is the configuration from now on."""
        self.config = self.mode.config = config

    def replan(self, now: float) -> None:
        """Nothing; what is planned is dropped and planned anew."""
        self._cut()

    def panic(self, now: float) -> None:
        """Nothing; every note has ended, and the model rests until a key goes down."""
        self._held_back = True
        self._silence(now)
        self._follow(now)
        self.scheduler.release(owner=PERFORMER)
        for channel in CHANNELS:
            for controller in (SUSTAIN, ALL_SOUND_OFF, ALL_NOTES_OFF):
                self.scheduler.pass_on((CONTROL_CHANGE | channel, controller, 0), now)

    def change_model(self, requests: Sequence[Request], now: float) -> None:
        """Nothing; the model does this next, behind what has sounded."""
        if not requests:
            return
        self._cut()
        for request in requests:
            if isinstance(request, Reset):
                self._silence(now)
                self._told_step = None
            if isinstance(request, Knobs):
                self._supervisor.knobs = request
            self._request(request)
            if isinstance(request, Reset) and self._plays:
                self._begin(now)

    def _with_pedal(self, output: OutputPort) -> OutputPort:
        """The output, behind one that turns long notes into pedal if that was asked for."""
        return PedalOutput(output, self._clock.now) if self.config.pedal_out else output

    def _choose_sound(self, now: float) -> None:
        """Have the program sent that was asked for."""
        if self.config.program is not None:
            self.scheduler.pass_on((PROGRAM_CHANGE | self._channel, self.config.program - 1), now)

    # What goes wrong.

    def _look_after_model(self, now: float) -> None:
        """Have the model back if it was lost, and its notes ended at once."""
        if self._supervisor.is_back():
            self._requests.clear()
            self._requests += self._supervisor.reconnect(
                self._plan, self.scheduler.last_sent, self._step_of(now)
            )
            if self._plays:
                self._begin(now)
        elif (reason := self._supervisor.loss(now)) is not None:
            self.scheduler.cut()
            self.scheduler.release()
            self._plan += 1
            self._plan_is_out, self._asked_at = False, None
            self._is_hearing, self._unheard = False, {}
            self._planned_until = -math.inf
            self._requests.clear()
            self._supervisor.restart(now, reason)
            self._say(f"{reason}: it is started again")
            if self._observer is not None and self.model.settings is not None:
                self._observer.started(self.model.settings, now)

    def _check_output(self, now: float) -> None:
        """Go on without an output that fails or is stuck, if that was asked for; else raise why."""
        failure = self.scheduler.failure
        if failure is None and now >= self.scheduler.stuck_at:
            failure = PortError("the MIDI output is stuck: it takes no more messages")
        if failure is None or self._muted:
            return
        if self._on_output_lost is None:
            raise failure
        self._lose_output(now)
        self._on_output_lost(failure)

    def _lose_output(self, now: float) -> None:
        if self._muted:
            return
        if self._plays:
            self._silence(now)
        self._muted = True
        self.scheduler.lose()
        self._say("the output is gone: waiting for it to return")

    def _find_output(self, output: OutputPort, now: float) -> None:
        self._lose_output(now)
        self.scheduler.use(self._with_pedal(output))
        self._choose_sound(now)
        self._muted = False
        if self._plays:
            self._begin(now)
        self._say(f"playing on {output.name!r}")


_FEEDBACK = (
    "what midirnn plays comes back into its input: the output is wired to it. What comes back is "
    "not listened to; choose another input or output"
)
