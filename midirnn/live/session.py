"""A session: ports on one side, the model on the other, and the loop between them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from midirnn.codecs import PedalCodec, PerformanceCodec
from midirnn.errors import PortError
from midirnn.live.base.channel_messages import ModeMessages, is_reset, is_system
from midirnn.live.base.clock import Clock, MonotonicClock
from midirnn.live.base.config import LiveConfig
from midirnn.live.base.messages import Request
from midirnn.live.base.observers import Observer
from midirnn.live.base.orders import Orders
from midirnn.live.base.playing import Stance
from midirnn.live.controls.commands import Command
from midirnn.live.controls.console import Console
from midirnn.live.controls.remote import RemoteControl
from midirnn.live.input.feedback import FEEDBACK, FeedbackDetector
from midirnn.live.input.listener import Listener
from midirnn.live.input.remarks import Remarks
from midirnn.live.interplay import Interplay
from midirnn.live.model_process.link import LocalModel, ModelLink
from midirnn.live.model_process.warmth import ROUND_SECONDS, WARM_SECONDS, is_spared_for
from midirnn.live.modes import Mode, make_mode, mode_name
from midirnn.live.output.ledger import MODEL, PERFORMER
from midirnn.live.output.pedal_out import PedalOutput
from midirnn.live.output.scheduler import Scheduler
from midirnn.live.output.sent import SentEvent
from midirnn.live.view.session_view import SessionView
from midirnn.live.view.units import UnitStream
from midirnn.midievents import NOTE_OFF, PROGRAM_CHANGE
from midirnn.parts import DRUM_CHANNEL
from midirnn.ports.base import Message, OutputPort
from midirnn.sampling import Sampler

ASLEEP_SECONDS = 1.0
"""If the loop comes back later than this, the process was suspended."""

RELEASE_SECONDS = 0.5
"""How long to wait for the last note-off before the process is suspended."""

IDLE_SECONDS = 0.25
"""The longest time between two iterations of the loop, even when nothing happens."""

Tell = Callable[[str], None]


class Session(RemoteControl):
    """Plays along until it is stopped. Owns the loop; ports and model belong to the caller.

    ``model`` is a sampler, which then runs in this process, or a link to one elsewhere (a
    ``ModelProcess``). ``mode`` is the name of one of ``MODES``, or a mode; by default the
    configuration's. Give :meth:`receive` to an input port as its callback, and use the session in a
    ``with`` statement, whose end releases every note.

    Whatever a controller can do can be done from any thread: :meth:`turn`, :meth:`set_mode`,
    :meth:`store_preset`, :meth:`load_preset`, :meth:`freeze`, :meth:`reset`, :meth:`undo`,
    :meth:`untune`, :meth:`answer` and :meth:`panic`. :meth:`view` returns the present state.

    ``on_change`` is called with the stance whenever it changes, ``on_trouble`` with what went
    wrong and is being repaired, ``on_notice`` with what is worth knowing. ``units`` holds the
    hidden units to show. An output that fails ends the session. (One of ``midirnn.ports.lasting``
    does not fail: it outlives its device.)

    All decisions are made in the thread that calls :meth:`run`; other threads queue what they want
    done there. With the scheduler's thread it shares only the scheduler.
    """

    def __init__(
        self,
        model: Sampler[PerformanceCodec] | ModelLink,
        output: OutputPort,
        mode: str | Mode | None = None,
        config: LiveConfig | None = None,
        *,
        clock: Clock | None = None,
        on_change: Callable[[Stance], None] = lambda stance: None,
        on_trouble: Tell = lambda text: None,
        on_notice: Tell = lambda text: None,
        observer: Observer | None = None,
        console: Console | None = None,
        units: UnitStream | None = None,
    ) -> None:
        self._config = config = config or LiveConfig()
        self._output = output
        self._clock = clock = clock or MonotonicClock()
        self._on_trouble = on_trouble
        self._on_notice = on_notice
        self._observer: Observer = observer or Observer()
        self._units = units or UnitStream()
        self._orders = Orders(clock)
        self._stopping = False
        self._feedback = FeedbackDetector()
        self._modes = ModeMessages()
        self._remarks = Remarks(config.input_channels)
        self._passing = threading.Lock()
        self.console = console or Console(config)
        self.model = self._link(model)
        self.listener = Listener(
            self.model.codec, self.model.start_seconds, self.console.stretch.map
        )
        self.scheduler = Scheduler(
            self._with_pedal(output),
            clock,
            max_note_seconds=self.model.max_note_seconds,
            early_seconds=config.output_latency_ms / 1e3,
            on_failure=self._orders.wake,
            on_sending=self._about_to_send,
            on_sent=self._note_sent,
        )
        self.scheduler.clock_out = self.console.clock_out
        self.interplay = Interplay(
            self.model,
            make_mode(mode or config.mode, config),
            config,
            self.console,
            self.listener,
            self.scheduler,
            clock,
            observer=self._observer,
            on_change=on_change,
            say=self._say,
            tell=on_notice,
        )
        self.console.take_mode(self.mode)
        self._keeps_warm = is_spared_for(self.model.settings)
        self._warm_until = -math.inf
        self._stepped_at = math.inf
        self.model.connect(self._orders.wake)
        if states := self.console.scenes.provided():
            self.ask(*states)
        if self.model.settings is not None:
            self._observer.started(self.model.settings, clock.now())

    def _link(self, model: Sampler[PerformanceCodec] | ModelLink) -> ModelLink:
        """Return the link to the model; tell the console how the model samples."""
        if isinstance(model, Sampler):
            self.console.sample_like(model.config)
            self.console.connect(model.codec, steerable=model.engine.config.control_inputs)
            return LocalModel(model, self._clock.now(), self._config.channel - 1)
        self.console.connect(model.codec)
        if model.settings is not None:
            self.console.sample_like(model.settings.sampling)
        return model

    @property
    def config(self) -> LiveConfig:
        """The present configuration."""
        return self.interplay.config

    @property
    def mode(self) -> Mode:
        """The present mode."""
        return self.interplay.mode

    @property
    def stance(self) -> Stance | None:
        """What the model does; None before the first :meth:`step`."""
        return self.interplay.stance

    # For any thread.

    def receive(self, message: Message, seconds: float) -> None:
        """Take a MIDI message that arrived at that clock time. Thread-safe."""
        found_before = self._feedback.found
        is_ours = self._feedback.hear(message, seconds)
        if is_ours and not found_before:
            self._orders.put(lambda now: self._say(FEEDBACK))
            for channel, pitch in self._feedback.take_keys():
                self._hear((NOTE_OFF | channel, pitch, 0), seconds)
        if not is_ours:
            self._hear(message, seconds)

    def _hear(self, message: Message, seconds: float) -> None:
        """Handle a message of the performer."""
        if not is_system(message) or is_reset(message):
            self._observer.heard(message, seconds)
        if self.console.take(message, seconds):
            self._orders.wake()
            return
        if remark := self._remarks.on(message, frozen=self.console.frozen):
            self._orders.put(lambda now: self._say(remark))
        if not self._remarks.listens_to(message):
            return
        self._take_music(message, seconds)
        self.console.hear_performer(message, seconds)
        self.listener.receive(message, seconds)
        self._orders.wake()

    def _take_music(self, message: Message, seconds: float) -> None:
        """Tell the observers of music, and pass it on: it ends only the performer's own notes."""
        with self._passing:
            for plain in self._modes.plain(message):
                if self._config.passes_on:
                    self.scheduler.pass_on(plain, seconds)
                if plain[0] & 0x0F != DRUM_CHANNEL:
                    self._observer.performed(plain, seconds)

    def ask(self, *requests: Request) -> None:
        """Send requests to the model, after taking back its plan. Thread-safe.

        For ``Knobs``, ``Reset``, ``Store``, ``Recall``, ``Blend``, ``Prepare`` and ``TakeUp``.
        """
        self._orders.put(lambda now: self.interplay.change_model(requests, now))

    # Commands, for any thread.

    def command(self, *commands: Command) -> None:
        """Queue commands, to be carried out in this order. Thread-safe."""
        self.console.command(commands)
        self._orders.wake()

    def view(self) -> SessionView:
        """Return the present state of the session. Thread-safe."""
        interplay, now = self.interplay, self._clock.now()
        return SessionView.of(
            self.console,
            self.scheduler,
            mode=mode_name(interplay.mode),
            stance=interplay.stance,
            planned_until=interplay.plan.until,
            has_model=interplay.supervisor.connected,
            has_output=self._output.present,
            now=now,
            units=self._units.at(now),
        )

    def stop(self) -> None:
        """Make :meth:`run` return soon. Thread-safe, and safe in a signal handler."""
        self._stopping = True
        self._orders.wake()

    def pause(self, sleep: Callable[[], None]) -> None:
        """End every note, call ``sleep``, which may take any time, and resume. Thread-safe."""
        self._orders.put(lambda now: self._pause(now, sleep))

    def _about_to_send(self, sent: SentEvent) -> None:
        if not is_system(sent.message):
            passed_on = sent.owner == PERFORMER
            self._feedback.sent(sent.message, sent.seconds, passed_on=passed_on)

    def _note_sent(self, sent: SentEvent) -> None:
        if is_system(sent.message):
            return
        sounds_at = sent.seconds
        if sent.owner == MODEL:
            sounds_at += self._config.output_latency_ms / 1e3
            self.console.hear_sent(sent.message, sounds_at)
        self._observer.sent(sent.message, sounds_at, sent.due_seconds, sent.owner)

    def _say(self, text: str) -> None:
        self._note(text)
        self._on_trouble(text)

    def _note(self, text: str) -> None:
        self._observer.noted(text, self._clock.now())

    # The loop.

    def run(self, seconds: float = math.inf, *, sending_thread: bool = True) -> None:
        """Play for that many seconds, or until :meth:`stop` is called.

        Without ``sending_thread`` the loop also sends what is due, so that with a manual clock
        everything happens in one thread. Raises whatever the model raises, and :class:`PortError`
        when the output fails.
        """
        if sending_thread:
            self.scheduler.start()
            if self.scheduler.not_realtime:
                notice = f"messages may go out late: {self.scheduler.not_realtime}"
                self._note(notice)
                self._on_notice(notice)
        now = self._clock.now()
        self._choose_sound(now)
        self.scheduler.start_clock(now)
        end = now + seconds
        while not self._stopping and self._clock.now() < end:
            again = self.step()
            if not sending_thread:
                again = min(again, self.scheduler.send_due())
            self._orders.wait(min(again, end), self._has_news)

    def _has_news(self) -> bool:
        return self._stopping or self.listener.has_news or self.model.has_replies

    def step(self) -> float:
        """Handle everything that has happened until now; return when to call this again.

        A model in this process samples for about 30 ms at most, so that no message waits longer.
        """
        self._orders.listen()
        now = self._clock.now()
        if self.listener.has_news or self.interplay.plays:
            self._warm_until = now + WARM_SECONDS
        self.interplay.start(now)
        if now > self._stepped_at + ASLEEP_SECONDS:
            self.interplay.supervisor.pardon(now)
        self._stepped_at = now
        self._check_output(now)
        self.interplay.catch_up(now)
        self._orders.carry_out(now)
        again = self.interplay.step(self._clock.now())  # an order may have taken long: a pause
        is_warm = self._keeps_warm and now < self._warm_until
        return min(
            again, self.scheduler.stuck_at, now + (ROUND_SECONDS if is_warm else IDLE_SECONDS)
        )

    def close(self) -> None:
        """Carry out what is queued, and end every note."""
        try:
            self._orders.carry_out(self._clock.now())
        finally:
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
            if error is None:  # the first error is the one to report
                raise

    # The output.

    def _with_pedal(self, output: OutputPort) -> OutputPort:
        """Return the output, wrapped in one that turns long notes into pedal if so configured.

        A model whose codec has pedal tokens does not need that.
        """
        has_pedal = isinstance(self.model.codec, PedalCodec)
        if has_pedal or not self._config.pedal_out:
            return output
        return PedalOutput(output, self._clock.now)

    def _choose_sound(self, now: float) -> None:
        """Send the configuration's program change, if it has one."""
        program, channel = self._config.program, self._config.channel - 1
        if program is not None:
            self.scheduler.pass_on((PROGRAM_CHANGE | channel, program - 1), now)

    def _check_output(self, now: float) -> None:
        """Raise the failure of an output that fails or is stuck."""
        if self.scheduler.failure is not None:
            raise self.scheduler.failure
        if now >= self.scheduler.stuck_at:
            raise PortError("the MIDI output is stuck: it takes no more messages")

    def _pause(self, now: float, sleep: Callable[[], None]) -> None:
        self.interplay.pause(now)
        self.scheduler.release(owner=PERFORMER)
        self.scheduler.settle(RELEASE_SECONDS)
        sleep()
        self.interplay.resume(self._clock.now())
