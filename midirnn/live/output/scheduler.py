"""The scheduler: sends planned messages on time. Nothing else sends."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable

from midirnn.errors import PortError
from midirnn.live.base.clock import Clock
from midirnn.live.base.messages import PlannedEvent
from midirnn.live.output.ending import end_all
from midirnn.live.output.ledger import (
    MODEL,
    PEDAL,
    PERFORMER,
    Key,
    Ledger,
    SoundingNote,
    ending_of,
    is_pedal,
)
from midirnn.live.output.realtime import go_first
from midirnn.live.output.sent import SentEvent
from midirnn.live.timing.tempo import ClockSender
from midirnn.midievents import CONTROL_CHANGE, NOTE_OFF, NOTE_ON, SUSTAIN, SUSTAIN_DOWN
from midirnn.ports.base import Message, OutputPort
from midirnn.ports.midi_clock import STOP as CLOCK_STOP

PATIENCE_SECONDS = 2.0
"""How long notes may sound beyond the end of the plan."""

MARGIN_SECONDS = 1.0
"""A note of the model is ended at the latest this long after the maximum note length."""

JOIN_SECONDS = 1.0

CLOCK = "clock"
"""The owner of MIDI clock messages."""

TOO_LATE_SECONDS = 0.5
"""If the sending thread wakes up later than this, the process or the machine was asleep: notes
that were due meanwhile are not begun."""

STUCK_SECONDS = 1.0
"""A message that takes this long to send counts as stuck."""

log = logging.getLogger("midirnn.live")


class Scheduler:
    """Sends planned events when they are due. Owns the plan, the ledger and the output.

    Its methods may be called from any thread. Messages go out in the thread that calls
    :meth:`send_due`, which after :meth:`start` is one of its own. That thread calls ``on_sending``
    before each message is sent and ``on_sent`` after it; :meth:`close` calls ``on_sent`` for each
    note and pedal that it ends. If sending fails, the thread calls ``on_failure``, and ``failure``
    holds the error; from then on only :meth:`close` sends.

    ``on_sent`` is also called when a note or pedal of the model ends without a message, because the
    performer holds it, too.

    Planned events go out ``early_seconds`` before their time, for an instrument with that latency.
    No lock is held while a message is sent, so that a stuck output holds up nobody else.
    """

    def __init__(
        self,
        output: OutputPort,
        clock: Clock,
        *,
        max_note_seconds: float,
        early_seconds: float = 0.0,
        on_failure: Callable[[], None] = lambda: None,
        on_sending: Callable[[SentEvent], None] = lambda sent: None,
        on_sent: Callable[[SentEvent], None] = lambda sent: None,
    ) -> None:
        self.failure: Exception | None = None
        self.not_realtime: str | None = None
        """Why the thread of :meth:`start` does not run in real time; None if it does."""
        self.clock_out: ClockSender | None = None
        """The MIDI clock that is sent, if any."""
        self._output = output
        self._clock = clock
        self._early = early_seconds
        self._longest = max_note_seconds + MARGIN_SECONDS
        self._on_failure = on_failure
        self._on_sending = on_sending
        self._on_sent = on_sent
        self._ledger = Ledger()
        self._plan: deque[PlannedEvent] = deque()
        self._passing: deque[tuple[Message, float]] = deque()
        self._released: deque[tuple[Key, str]] = deque()
        self._unsent: list[SentEvent] = []
        """Ends of the model's notes and pedals that needed no message."""
        self._last_sent = -1
        self._rescued = False
        self._closed = False
        self._sending_since = math.inf
        self._wakes_at = math.inf
        self._asleep_until = -math.inf
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def sounding(self) -> list[SoundingNote]:
        """The notes that sound now."""
        with self._changed:
            return [note for note in self._ledger.sounding if not is_pedal(note.key)]

    @property
    def last_sent(self) -> int:
        """The number of the last event sent; -1 before the first."""
        with self._changed:
            return self._last_sent

    @property
    def stuck_at(self) -> float:
        """When the message that is being sent will count as stuck; infinite without one."""
        return self._sending_since + STUCK_SECONDS

    def add(self, events: Iterable[PlannedEvent]) -> None:
        """Plan events. They must be in order of time, after those already planned."""
        with self._changed:
            self._plan.extend(events)
            self._changed.notify_all()

    def pass_on(self, message: Message, seconds: float) -> None:
        """Send a message of the performer, who owns its notes, at once."""
        with self._changed:
            self._passing.append((message, seconds))
            self._changed.notify_all()

    def cut(self) -> int:
        """Drop the plan; return the number of the last event sent.

        Notes sound on: the caller must plan their ends again, or release them.
        """
        with self._changed:
            self._plan.clear()
            return self._last_sent

    def release(self, keys: Iterable[Key] | None = None, *, owner: str = MODEL) -> None:
        """End notes of that owner now, by default all of them."""
        with self._changed:
            theirs = [note.key for note in self._ledger.sounding if note.owner == owner]
            self._released += [(key, owner) for key in (theirs if keys is None else keys)]
            self._changed.notify_all()

    def lift_pedals(self, *, owner: str = MODEL) -> None:
        """Lift the sustain pedals of that owner now. Those of others stay down."""
        with self._changed:
            down = [n.key for n in self._ledger.sounding if n.owner == owner and is_pedal(n.key)]
            self._released += [(key, owner) for key in down]
            self._changed.notify_all()

    def settle(self, seconds: float) -> None:
        """Wait until all notes have been ended, for at most that many seconds."""
        if self._thread is None:
            self.send_due()
        with self._changed:
            self._changed.wait_for(lambda: not (self._released or self._ledger.sounding), seconds)

    def extend(self, until: float) -> None:
        """Let the model's notes sound until then, and a little longer."""
        with self._changed:
            self._ledger.extend(until + PATIENCE_SECONDS)

    def take_rescued(self) -> bool:
        """Return True if overdue notes had to be ended since the last call."""
        with self._changed:
            rescued, self._rescued = self._rescued, False
            return rescued

    def start_clock(self, now: float) -> None:
        """Start the MIDI clock, if there is one to send. Closing stops it."""
        with self._changed:
            if self.clock_out is not None and not self.clock_out.running:
                self.clock_out.start(now)
                self._changed.notify_all()

    def send_due(self) -> float:
        """Send what is due; return the time at which there is more to send."""
        while True:
            with self._changed:
                if self._is_silenced:
                    return math.inf
                now = self._clock.now()
                if now > self._wakes_at + TOO_LATE_SECONDS:
                    self._asleep_until = now - TOO_LATE_SECONDS
                self._wakes_at = math.inf
                sent = self._next(now)
                unsent, self._unsent = self._unsent, []
                if sent is None:
                    self._wakes_at = self._next_time()
                else:
                    self._sending_since = now
            for ending in unsent:
                self._on_sent(ending)
            if sent is None:
                return self._wakes_at
            self._on_sending(sent)
            try:
                self._output.send(sent.message)
            except Exception as error:
                self._fail(sent, error)
                continue
            with self._changed:
                self._sending_since = math.inf
                if not self._released:
                    self._changed.notify_all()  # for settle
            self._on_sent(sent)

    @property
    def _is_silenced(self) -> bool:
        return self.failure is not None or self._closed

    def _next(self, now: float) -> SentEvent | None:
        """Return the message to send now, already entered in the ledger."""
        while self._released:
            key, owner = self._released.popleft()
            if message := self._end(key, owner):
                return SentEvent(now, self._sounds_at(now, owner), message, owner)
        while self._passing:
            passed, seconds = self._passing[0]
            message, whole = self._take(passed, now, PERFORMER, seconds)
            if whole:
                self._passing.popleft()
            if message:
                return SentEvent(now, seconds, message, PERFORMER)
        while self._plan and self._plan[0].seconds - self._early <= now:
            event = self._plan[0]
            message, whole = self._take(event.message, now, MODEL, event.seconds)
            if whole:
                self._plan.popleft()
                self._last_sent = event.number
            if message:
                return SentEvent(now, event.seconds, message, MODEL)
        if self.clock_out is not None and (taken := self.clock_out.take(now)):
            return SentEvent(now, taken[1], taken[0], CLOCK)
        for note in self._ledger.overdue(now):
            self._rescued = True
            if message := self._end(note.key, note.owner):
                due = self._sounds_at(note.latest_end, note.owner)
                return SentEvent(now, due, message, note.owner)
        return None

    def _sounds_at(self, sent: float, owner: str) -> float:
        """Return when a message sounds that is sent then; of the model's, the latency later."""
        return sent + self._early if owner == MODEL else sent

    def _take(
        self, message: Message, now: float, owner: str, due: float
    ) -> tuple[Message | None, bool]:
        """Return what to send for a message, if anything, and whether that completes it."""
        kind, key = message[0] & 0xF0, (message[0] & 0x0F, message[1] if len(message) > 1 else 0)
        if kind == NOTE_OFF or (kind == NOTE_ON and not message[2]):
            return self._end(key, owner), True
        if kind == CONTROL_CHANGE and message[1] == SUSTAIN:
            return self._move_pedal(message, owner), True
        if kind != NOTE_ON:
            return message, True
        if due < self._asleep_until:
            return None, True
        if key in self._ledger.on_output:
            self._ledger.on_output.discard(key)
            return (NOTE_OFF | key[0], key[1], 0), False
        # Entered before it is sent: a note-on that fails may sound all the same.
        longest = math.inf if owner == PERFORMER else now + self._longest
        self._ledger.begin(key, longest, owner)
        return message, True

    def _end(self, key: Key, owner: str) -> Message | None:
        """End an owner's note; return its note-off if nobody else holds its pitch."""
        if not self._ledger.owns(key, owner):
            return None
        self._ledger.end(key, owner)
        if key in self._ledger or key not in self._ledger.on_output:
            self._note_unsent(key, owner)
            return None
        self._ledger.on_output.discard(key)
        return ending_of(key)

    def _note_unsent(self, key: Key, owner: str) -> None:
        """Keep the end of a note of the model, to report it."""
        if owner == MODEL:
            now = self._clock.now()
            self._unsent.append(SentEvent(now, self._sounds_at(now, owner), ending_of(key), owner))

    def _move_pedal(self, message: Message, owner: str) -> Message | None:
        """Return an owner's pedal message; None for a lift while another owner holds it down."""
        key = (message[0] & 0x0F, PEDAL)
        if message[2] >= SUSTAIN_DOWN:
            self._ledger.begin(key, math.inf, owner)
            return message
        was_down = self._ledger.owns(key, owner)
        self._ledger.end(key, owner)
        if key in self._ledger:
            if was_down:
                self._note_unsent(key, owner)
            return None
        self._ledger.on_output.discard(key)
        return message

    def _fail(self, sent: SentEvent, error: Exception) -> None:
        with self._changed:
            key = _ended_by(sent.message)
            if key is not None:  # it probably still sounds
                self._ledger.begin(key, sent.seconds, sent.owner)
            self._sending_since = math.inf
            self.failure = error
        self._on_failure()

    def start(self) -> None:
        """Start a thread that sends what is due, in real time if that is permitted."""
        running = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(running,), name="midirnn scheduler", daemon=True
        )
        self._thread.start()
        running.wait(JOIN_SECONDS)

    def _run(self, running: threading.Event) -> None:
        self.not_realtime = go_first()
        running.set()
        while True:
            self.send_due()
            with self._changed:
                if self._closed or self._thread is not threading.current_thread():
                    return
                self._clock.wait(self._changed, self._next_time())

    def _next_time(self) -> float:
        """Return when there is something to send; infinite if nothing is planned."""
        if self._is_silenced:
            return math.inf
        if self._released or self._passing:
            return -math.inf
        planned = self._plan[0].seconds - self._early if self._plan else math.inf
        clock = math.inf if self.clock_out is None else self.clock_out.next_seconds
        return min(planned, clock, self._ledger.next_deadline)

    def close(self) -> None:
        """Drop the plan, end every note, and silence the channels that were used.

        Each note gets its note-off; then sustain pedal up (CC 64) and all notes off (CC 123) go to
        each channel that was played on. A message that cannot be sent does not stop the others:
        PortError reports the first failure at the end. Closing again sends only what is left.
        """
        with self._changed:
            self._closed = True
            self._plan.clear()
            self._passing.clear()
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(JOIN_SECONDS)
        if self._sending_since < math.inf:
            raise PortError(f"MIDI output {self._output.name!r} is stuck: notes may hang there")
        ended: list[SentEvent] = []
        try:
            with self._changed:
                self._end_all(ended)
        finally:
            for sent in ended:
                self._on_sent(sent)

    def _end_all(self, ended: list[SentEvent]) -> None:
        """End all that sounds, and add it to the list. Raises the first failure, after the rest."""
        stop: list[Message] = []
        if self.clock_out is not None and self.clock_out.running:
            self.clock_out.stop()
            stop.append((CLOCK_STOP,))
        errors = end_all(
            self._output,
            self._ledger,
            first=stop,
            on_end=lambda key: ended.append(self._ending_at_close(key)),
        )
        if errors:
            left = len(self._ledger.sounding)
            log.error("%d notes may still sound on %r", left, self._output.name)
            raise PortError(f"notes may hang on MIDI output {self._output.name!r}: {errors[0]}")

    def _ending_at_close(self, key: Key) -> SentEvent:
        """Return the end of a note as sent: the model's, if it holds that key, too."""
        now = self._clock.now()
        owner = MODEL if self._ledger.owns(key, MODEL) else PERFORMER
        return SentEvent(now, now, ending_of(key), owner)


def _ended_by(message: Message) -> Key | None:
    """Return which note or pedal a message ends; None if it ends neither."""
    kind, channel = message[0] & 0xF0, message[0] & 0x0F
    if kind == NOTE_OFF:
        return channel, message[1]
    is_lift = kind == CONTROL_CHANGE and message[1] == SUSTAIN and message[2] < SUSTAIN_DOWN
    return (channel, PEDAL) if is_lift else None
