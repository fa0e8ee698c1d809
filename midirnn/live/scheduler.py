"""The scheduler: sends planned messages on time. It sends; nothing else does."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from midirnn.errors import PortError
from midirnn.live.clock import Clock
from midirnn.live.ledger import Key, Ledger, SoundingNote
from midirnn.midievents import CONTROL_CHANGE, NOTE_OFF, NOTE_ON, SUSTAIN
from midirnn.ports.base import Message, OutputPort

ALL_NOTES_OFF = 123
PATIENCE_SECONDS = 2.0
"""How long notes may sound on after the time up to which someone has planned."""

MARGIN_SECONDS = 1.0
"""How long after the longest note that a model may play its note-off is sent in any case."""

JOIN_SECONDS = 1.0

log = logging.getLogger("midirnn.live")


@dataclass(frozen=True)
class PlannedEvent:
    """A message to be sent at a time of the clock. Numbers rise by one from event to event."""

    number: int
    seconds: float
    message: Message


class Scheduler:
    """Sends planned events when they are due. Owns the plan, the ledger and the output.

    What it is told may come from any thread; messages go out in the thread that calls
    :meth:`send_due`, which is one of its own after :meth:`start`. ``on_failure`` is called there
    when sending fails, and ``failure`` says why; from then on only :meth:`close` sends.
    """

    def __init__(
        self,
        output: OutputPort,
        clock: Clock,
        *,
        max_note_seconds: float,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self.failure: Exception | None = None
        self._output = output
        self._clock = clock
        self._longest = max_note_seconds + MARGIN_SECONDS
        self._on_failure = on_failure
        self._ledger = Ledger()
        self._plan: deque[PlannedEvent] = deque()
        self._released: list[Key] = []
        self._last_sent = -1
        self._rescued = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def sounding(self) -> list[SoundingNote]:
        """The notes that sound now."""
        with self._changed:
            return self._ledger.sounding

    @property
    def last_sent(self) -> int:
        """The number of the event sent last; -1 before any."""
        with self._changed:
            return self._last_sent

    def add(self, events: Iterable[PlannedEvent]) -> None:
        """Nothing; the events are planned. They come in order of time, behind those planned."""
        with self._changed:
            self._plan.extend(events)
            self._changed.notify_all()

    def cut(self) -> int:
        """The number of the event sent last; those planned behind it are dropped.

        What sounds sounds on: whoever cuts plans its end anew, or releases it.
        """
        with self._changed:
            self._plan.clear()
            return self._last_sent

    def release(self, keys: Iterable[Key] | None = None) -> None:
        """Nothing; those notes (by default all) end now, if they are ours and sound."""
        with self._changed:
            self._released += self._keys() if keys is None else keys
            self._changed.notify_all()

    def extend(self, until: float) -> None:
        """Nothing; what sounds may do so until then, and a little longer."""
        with self._changed:
            self._ledger.extend(until + PATIENCE_SECONDS)

    def take_rescued(self) -> bool:
        """Whether notes have been ended since the last call because nobody ended them in time."""
        with self._changed:
            rescued, self._rescued = self._rescued, False
            return rescued

    def send_due(self) -> float:
        """The time at which there is more to send; what was due has been sent."""
        with self._changed:
            if self.failure is not None or self._closed:
                return math.inf
            try:
                self._send_due(self._clock.now())
            except Exception as error:
                self.failure = error
                self._on_failure()
                return math.inf
            planned = self._plan[0].seconds if self._plan else math.inf
            return min(planned, self._ledger.next_deadline)

    def _send_due(self, now: float) -> None:
        while self._released:
            self._end(self._released[0])
            self._released.pop(0)
        while self._plan and self._plan[0].seconds <= now:
            event = self._plan.popleft()
            self._last_sent = event.number
            self._send(event.message, now)
        for key in self._ledger.overdue(now):
            self._rescued = True
            self._end(key)

    def _send(self, message: Message, now: float) -> None:
        key = (message[0] & 0x0F, message[1])
        if message[0] & 0xF0 == NOTE_OFF:
            self._end(key)
            return
        if message[0] & 0xF0 == NOTE_ON:
            self._end(key)
            # Before it is sent: a note-on that fails on its way may have sounded all the same.
            self._ledger.begin(key, now + self._longest)
        self._output.send(message)

    def _end(self, key: Key) -> None:
        """Send the note-off of a note if it is ours: what the performer plays is not."""
        if key in self._ledger:
            self._output.send((NOTE_OFF | key[0], key[1], 0))
            self._ledger.end(key)

    def _keys(self) -> list[Key]:
        return [note.key for note in self._ledger.sounding]

    def start(self) -> None:
        """Nothing; from now on a thread sends what is due."""
        self._thread = threading.Thread(target=self._run, name="midirnn scheduler", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._changed:
            while not self._closed and self.failure is None:
                until = self.send_due()
                self._clock.wait(self._changed, until)

    def close(self) -> None:
        """Nothing; the plan is dropped, every note has ended and the channels used are silent.

        Each note gets its note-off, then each channel that was played on the sustain pedal up (CC
        64) and all notes off (CC 123). One that cannot be sent does not keep back the others:
        PortError tells the first failure at the end. Closing again sends only what is left.
        """
        self._closed = True
        with self._held_for_closing():
            self._plan.clear()
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(JOIN_SECONDS)
        with self._held_for_closing():
            self._raise_first(self._send_endings())

    @contextmanager
    def _held_for_closing(self) -> Iterator[None]:
        """The lock, unless the output is stuck in the middle of sending."""
        if not self._changed.acquire(timeout=JOIN_SECONDS):
            raise PortError(f"MIDI output {self._output.name!r} is stuck: notes may hang there")
        try:
            yield
        finally:
            self._changed.release()

    def _send_endings(self) -> list[Exception]:
        """What went wrong while note-offs and controllers were sent."""
        errors: list[Exception] = []
        for key in self._keys():
            self._attempt(errors, (NOTE_OFF | key[0], key[1], 0), key)
        for channel in sorted(self._ledger.channels):
            for controller in (SUSTAIN, ALL_NOTES_OFF):
                self._attempt(errors, (CONTROL_CHANGE | channel, controller, 0))
        if not errors:
            self._ledger.channels.clear()
        return errors

    def _attempt(self, errors: list[Exception], message: Message, key: Key | None = None) -> None:
        try:
            self._output.send(message)
        except Exception as error:
            errors.append(error)
        else:
            if key is not None:
                self._ledger.end(key)

    def _raise_first(self, errors: Sequence[Exception]) -> None:
        if not errors:
            return
        left = len(self._ledger.sounding)
        log.error("%d notes may still sound on %r", left, self._output.name)
        raise PortError(f"notes may hang on MIDI output {self._output.name!r}: {errors[0]}")
