"""Replay of a session from its event log: the same requests, the same notes, without hardware."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from midirnn.errors import RecordingError
from midirnn.live.base.channel_messages import is_note_on
from midirnn.live.base.messages import (
    Adopt,
    Fetched,
    Heard,
    ModelSettings,
    Planned,
    PlannedEvent,
    Reply,
    Request,
    Saved,
)
from midirnn.live.output.delivery import delivered
from midirnn.live.output.ledger import MODEL
from midirnn.live.recording.event_log import Record, SessionLog
from midirnn.live.timing.stretch import TimeMap
from midirnn.ports.base import Message

Answer = Callable[[Request], Iterable[Reply]]
"""A model as a function from a request to its replies, which depend on all requests so far."""

MakeModel = Callable[[ModelSettings], Answer]


@dataclass(frozen=True)
class Difference:
    """The first difference between a replay and its log: its time, and what each of them has."""

    seconds: float
    logged: str
    replayed: str

    def __str__(self) -> str:
        return f"at {self.seconds:.3f} s the log has {self.logged}, the replay {self.replayed}"


@dataclass
class Replay:
    """The result of a replay. ``difference`` is the first one, None if everything is the same.

    Of the notes sent, ``notes_as_planned`` were sent exactly as planned; the others at the tempo
    of a clock, or with another balance, as the log says.
    """

    requests: int = 0
    replies: int = 0
    events: int = 0
    notes_sent: int = 0
    notes_as_planned: int = 0
    restarts: int = 0
    difference: Difference | None = None


def _queues() -> defaultdict[int, deque[PlannedEvent]]:
    return defaultdict(deque)


@dataclass
class _Comparison:
    """Owns the replayed model, and those of its replies that have not come up in the log yet."""

    log: SessionLog
    make_model: MakeModel
    result: Replay = field(default_factory=Replay)
    model: Answer | None = None
    said: deque[Heard | Fetched | Saved] = field(default_factory=deque)
    plans: defaultdict[int, deque[PlannedEvent]] = field(default_factory=_queues)
    planned: set[tuple[float, Message]] = field(default_factory=set)
    due: set[tuple[float, Message]] = field(default_factory=set)
    time_map: TimeMap = field(default_factory=TimeMap)
    balance: float = 1.0
    states: dict[bytes, bytes] = field(default_factory=dict)

    def run(self) -> Replay:
        for record in self.log.records:
            step = _STEPS.get(record.kind)
            if step is not None and self.result.difference is None:
                step(self, record)
        return self.result

    def start(self, record: Record) -> None:
        self.result.restarts += self.model is not None
        self.model = self.make_model(record.value)
        self.said.clear()  # a process that died did not send its last replies
        self.plans.clear()

    def ask(self, record: Record) -> None:
        if self.model is None:
            raise RecordingError("the log asks a model that was not started")
        self.result.requests += 1
        for reply in self.model(self._with_state(record.value)):
            if isinstance(reply, Planned):
                self.plans[reply.plan] += reply.events
            elif isinstance(reply, Heard | Fetched | Saved):
                self.said.append(reply)

    def _with_state(self, request: Request) -> Request:
        """Return the request; an ``Adopt`` gets the state that was saved in the replay instead."""
        if not isinstance(request, Adopt):
            return request
        if request.state not in self.states:
            raise RecordingError("the log hands over a state that was not saved before")
        return Adopt(self.states[request.state])

    def answer(self, record: Record) -> None:
        """Compare a reply. Of an interrupted plan the log has fewer events."""
        reply = record.value
        self.result.replies += 1
        if isinstance(reply, Planned):
            for event in reply.events:
                queue = self.plans[reply.plan]
                self._compare(record, event, queue.popleft() if queue else None)
                self.result.events += 1
                played = delivered(event, self.time_map, self.balance)
                self.planned.add((event.seconds, event.message))
                self.due.add((played.seconds, played.message))
        elif isinstance(reply, Heard | Fetched):
            self._compare(record, reply, self.said.popleft() if self.said else None)
        elif isinstance(reply, Saved):
            said = self.said.popleft() if self.said else None
            if isinstance(said, Saved):
                self.states[reply.state] = said.state
            else:
                self._differ(record, "a state", said)

    def tune(self, record: Record) -> None:
        """Set the tempo and balance from here on."""
        self.time_map.set_rate(record.seconds, record.value.rate)
        self.balance = record.value.balance

    def out(self, record: Record) -> None:
        """Check that a note sent for the model was planned by it, at the time when it was due.

        Plans are compared at the clock's tempo and with the balance at the time of planning.
        """
        message, due_seconds, player = record.value
        if player != MODEL or not is_note_on(message):
            return
        self.result.notes_sent += 1
        self.result.notes_as_planned += (due_seconds, message) in self.planned
        if (due_seconds, message) not in self.due:
            self._differ(record, f"{message} sent, due at {due_seconds!r}", None)

    def _compare(self, record: Record, logged: object, said: object) -> None:
        if logged != said and self.result.difference is None:
            self._differ(record, logged, said)

    def _differ(self, record: Record, logged: object, said: object) -> None:
        seconds = record.seconds - self.log.settings.start_seconds
        replayed = "nothing" if said is None else str(said)
        self.result.difference = Difference(seconds, str(logged), replayed)


_STEPS: dict[str, Callable[[_Comparison, Record], None]] = {
    "start": _Comparison.start,
    "ask": _Comparison.ask,
    "answer": _Comparison.answer,
    "tune": _Comparison.tune,
    "out": _Comparison.out,
}


def serve(settings: ModelSettings) -> Answer:
    """Load the model of the settings into this process; return its request handler."""
    from midirnn.live.improviser.server import ModelServer

    return ModelServer.load(settings).handle


def replay(log: SessionLog, make_model: MakeModel = serve) -> Replay:
    """Send a model all requests of a log again, and compare its replies."""
    return _Comparison(log, make_model).run()
