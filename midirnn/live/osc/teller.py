"""What OSC sends about a session: notes as they happen, and the state when it changes."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, TypeAlias

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
from midirnn.live.osc.addresses import ROOT, told, turned
from midirnn.live.output.delivery import delivered
from midirnn.live.output.ledger import MODEL
from midirnn.live.timing.stretch import TimeMap
from midirnn.live.view.monitor import doing
from midirnn.live.view.session_view import SessionView
from midirnn.midievents import NOTE_OFF, NOTE_ON
from midirnn.ports.base import Message

Told: TypeAlias = tuple[str, tuple[Any, ...]]
"""A message: its address and arguments."""

MOST_WAITING = 5_000
"""The most messages that wait to be sent. Beyond that the oldest are dropped."""


class Teller(Observer):
    """An observer of a session that queues messages for OSC. Owns the queue.

    Adding takes microseconds. :meth:`take` is for the sending thread.
    """

    def __init__(self) -> None:
        self._waiting: deque[Told] = deque(maxlen=MOST_WAITING)
        self._news = threading.Event()
        self._plan = 0
        self._balance = 1.0
        self._time = TimeMap()
        self._known: dict[str, tuple[Any, ...]] = {}
        self._tells_all = False

    def follow(self, time_map: TimeMap) -> None:
        """Convert the times of plans with this map."""
        self._time = time_map

    def put(self, path: str, *arguments: Any) -> None:
        """Queue a message. Thread-safe."""
        self._waiting.append((f"{ROOT}/{path}", arguments))
        self._news.set()

    def take(self, seconds: float) -> list[Told]:
        """Return the waiting messages, after waiting for one for at most that many seconds."""
        self._news.wait(seconds)
        self._news.clear()
        return [self._waiting.popleft() for _ in range(len(self._waiting))]

    def forget(self) -> None:
        """Send the whole state again. Thread-safe."""
        self._tells_all = True

    def tell_state(self, view: SessionView, now: float) -> None:
        """Queue the parts of the state that have changed since the last call."""
        if self._tells_all:
            self._tells_all, self._known = False, {}
        known, self._known = self._known, state_of(view, now)
        for path, arguments in self._known.items():
            if known.get(path) != arguments:
                self.put(path, *arguments)

    # As an observer.

    def performed(self, message: Message, seconds: float) -> None:
        """Queue a note of the performer."""
        self._note("heard", message)

    def sent(self, message: Message, seconds: float, due_seconds: float, player: str) -> None:
        """Queue a note that was sent for the model."""
        if player == MODEL:
            self._note("played", message)

    def started(self, settings: ModelSettings, seconds: float) -> None:
        """Take note that a model starts: nothing is planned."""
        self._plan = 0
        self.put("drop")

    def asked(self, request: Request, seconds: float) -> None:
        """Queue that the plan is dropped, if the request is for that."""
        if isinstance(request, Rewind):
            self._plan = request.plan
            self.put("drop")

    def answered(self, reply: Reply, seconds: float) -> None:
        """Queue planned notes, and how surprising the performer's notes were."""
        if isinstance(reply, Planned) and reply.plan == self._plan:
            for event in reply.events:
                planned = delivered(event, self._time, self._balance)
                self._note("plan", planned.message, max(0.0, planned.seconds - seconds))
        elif isinstance(reply, Heard):
            for surprise in reply.surprises:
                self.put("surprise", surprise.pitch, surprise.nats)

    def tuned(self, delivery: Delivery, seconds: float) -> None:
        """Take note of the balance; the time map knows the tempo."""
        self._balance = delivery.balance

    def noted(self, text: str, seconds: float) -> None:
        """Queue a line of text."""
        self.put("line", text)

    def _note(self, path: str, message: Message, *more: float) -> None:
        kind = message[0] & 0xF0
        if kind in (NOTE_ON, NOTE_OFF):
            self.put(path, message[1], message[2] if kind == NOTE_ON else 0, *more)


def state_of(view: SessionView, now: float) -> dict[str, tuple[Any, ...]]:
    """Return the state as messages: arguments by address, without the root."""
    ahead = max(0.0, view.planned_until - now) if view.plays else 0.0
    state: dict[str, tuple[Any, ...]] = {
        "state/doing": (doing(view),),
        "state/ahead": (round(ahead, 1),),
        "state/bpm": (round(view.bpm or 0.0, 1),),
        "state/presets": tuple(sorted(view.presets)),
    }
    knobs = ((knob.name, view.knobs[knob.name]) for knob in turned())
    return state | {f"knob/{name}": (told(value),) for name, value in knobs}
