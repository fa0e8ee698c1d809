"""The feed: the events of a session, as messages for pages.

Pages receive (times are seconds of the session's clock)::

    {"t": "heard", "at", "m", "page"}   music of the performer; the page it came from, or null
    {"t": "sent", "at", "due", "m"}     a message that was sent for the model
    {"t": "plan", "events", "until"}    events to come: [number, seconds, message]
    {"t": "drop", "after", "at"}        events with higher numbers (null: all) are dropped
    {"t": "surprise", "notes"}          [seconds, pitch, nats] of notes that the model heard
    {"t": "line", "text", "trouble"}    something worth knowing
    {"t": "state", ...}                 the view of the session, when it has changed
    {"t": "about", ...}                 what does not change: knobs, modes, models
    {"t": "takes", "takes"}             what was recorded
    {"t": "released"}                   the keys that the pages held were released
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from midirnn.live.base.messages import (
    Delivery,
    Heard,
    ModelSettings,
    Planned,
    Reply,
    Request,
    Rewind,
)
from midirnn.live.base.observers import Observer
from midirnn.live.output.delivery import delivered
from midirnn.live.output.ledger import MODEL
from midirnn.live.timing.stretch import TimeMap
from midirnn.ports.base import Message
from midirnn.web import protocol

MOST_WAITING = 20_000
"""Most messages in the queue. Beyond that nobody is reading it, and the oldest are dropped."""


class Feed(Observer):
    """An observer of sessions that queues messages for pages. Owns the queue.

    Adding takes microseconds. :meth:`take` is for the one thread that passes the messages on.
    """

    def __init__(self) -> None:
        self._waiting: deque[protocol.Message] = deque(maxlen=MOST_WAITING)
        self._news = threading.Event()
        self._playing = threading.local()
        self._plan = 0
        self._balance = 1.0
        self._time = TimeMap()
        self._start = 0.0
        self._steps_per_second = 100

    def put(self, message: protocol.Message) -> None:
        """Queue a message. Thread-safe."""
        self._waiting.append(message)
        self._news.set()

    def take(self, seconds: float) -> list[protocol.Message]:
        """Return the queued messages, after waiting at most this long for the first."""
        self._news.wait(seconds)
        self._news.clear()
        return [self._waiting.popleft() for _ in range(len(self._waiting))]

    @contextmanager
    def playing(self, page: str) -> Iterator[None]:
        """Mark what this thread plays in the ``with`` block as coming from a page."""
        self._playing.page = page
        try:
            yield
        finally:
            self._playing.page = None

    def follow(self, time_map: TimeMap, steps_per_second: int) -> None:
        """Convert the times of a session's plans by this map and the steps of its codec."""
        self._time, self._steps_per_second = time_map, steps_per_second

    # Called by the session.

    def performed(self, message: Message, seconds: float) -> None:
        """Queue music of the performer."""
        page = getattr(self._playing, "page", None)
        self.put({"t": "heard", "at": seconds, "m": message, "page": page})

    def sent(self, message: Message, seconds: float, due_seconds: float, player: str) -> None:
        """Queue a message that was sent for the model."""
        if player == MODEL:
            self.put({"t": "sent", "at": seconds, "due": due_seconds, "m": message})

    def started(self, settings: ModelSettings, seconds: float) -> None:
        """Note that a model starts, so that nothing is planned."""
        self._plan, self._start = 0, settings.start_seconds
        self.put({"t": "drop", "after": None, "at": seconds})

    def ended(self, last_sent: int, seconds: float) -> None:
        """Queue that nothing after the last event sent will come: the session is over."""
        self.put({"t": "drop", "after": last_sent, "at": seconds})

    def asked(self, request: Request, seconds: float) -> None:
        """Queue that the plan is dropped, if the request does that."""
        if isinstance(request, Rewind):
            self._plan = request.plan
            self.put({"t": "drop", "after": request.after, "at": seconds})

    def answered(self, reply: Reply, seconds: float) -> None:
        """Queue what is planned, or how surprising the performer's notes were."""
        if isinstance(reply, Planned) and reply.plan == self._plan and reply.events:
            if reply.units:
                self._tell_units(self._time.seconds(reply.events[0].seconds), reply.units, True)
            events = [delivered(event, self._time, self._balance) for event in reply.events]
            self.put(
                {
                    "t": "plan",
                    "events": [[e.number, e.seconds, e.message] for e in events],
                    "until": self._time.seconds(reply.seconds),
                }
            )
        elif isinstance(reply, Heard):
            if reply.units:
                self._tell_units(seconds, reply.units, False)
            if reply.surprises:
                notes = [[self._at(s.step), s.pitch, s.nats] for s in reply.surprises]
                self.put({"t": "surprise", "notes": notes})

    def _tell_units(self, at: float, values: Sequence[float], planned: bool) -> None:
        """Queue the values of the hidden units that follow a signal, from a time on."""
        self.put({"t": "units", "at": at, "values": values, "planned": planned})

    def _at(self, step: int) -> float:
        return self._time.seconds(self._start + step / self._steps_per_second)

    def tuned(self, delivery: Delivery, seconds: float) -> None:
        """Note the balance; the time map has the tempo."""
        self._balance = delivery.balance
