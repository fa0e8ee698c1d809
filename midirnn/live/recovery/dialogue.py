"""The dialogue with the model: requests waiting to be sent, and replies as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from midirnn.live.base.clock import Clock
from midirnn.live.base.messages import (
    Fetched,
    Heard,
    HeardStep,
    Knobs,
    Planned,
    Request,
    Saved,
)
from midirnn.live.base.observers import Observer
from midirnn.live.input.hearing import Hearing
from midirnn.live.model_process.link import ModelLink
from midirnn.live.recovery.supervisor import Supervisor


class Dialogue:
    """Sends requests to the model and takes its replies.

    Owns the queued requests, the steps not heard yet, and the supervisor. ``fetched`` is called
    with the states that were requested. While the model is lost nothing is sent; :meth:`restart`
    and :meth:`reconnect` replace it.
    """

    def __init__(
        self,
        model: ModelLink,
        clock: Clock,
        observer: Observer,
        fetched: Callable[[Fetched], None] = lambda reply: None,
    ) -> None:
        self.supervisor = Supervisor(model, clock)
        self.hearing = Hearing()
        self._model = model
        self._clock = clock
        self._observer = observer
        self._fetched = fetched
        self._requests: list[Request] = []

    @property
    def has_replies(self) -> bool:
        """True if there is a reply to take."""
        return self._model.has_replies

    def ask(self, *requests: Request) -> None:
        """Queue requests for the next :meth:`send`."""
        for request in requests:
            if isinstance(request, Knobs):
                self.supervisor.knobs = request
        if self.supervisor.connected:
            self._requests += requests

    def send(self) -> None:
        """Send the queued requests."""
        if self.supervisor.save_is_due():
            self._requests.append(self.supervisor.save())
        requests, self._requests = self._requests, []
        if not requests:
            return
        for request in requests:
            self._observer.asked(request, self._clock.now())
        self.hearing.sent(requests)
        self._model.ask(requests)

    def replies(self, now: float) -> Iterator[Planned | Heard]:
        """Yield the replies that have come, except those that are handled here."""
        for reply in self._model.take():
            self._observer.answered(reply, now)
            if isinstance(reply, Saved):
                self.supervisor.saved(reply)
            elif isinstance(reply, Fetched):
                self._fetched(reply)
            elif isinstance(reply, Planned | Heard):
                if isinstance(reply, Heard):
                    self.hearing.answered()
                yield reply

    def hear(self, steps: Sequence[HeardStep]) -> bool:
        """Queue steps for the model to hear; return False if it knows them already."""
        new = self.hearing.add(steps)
        if new:
            self.supervisor.heard(new)
        return bool(new)

    def forget(self) -> None:
        """Forget what the model has heard, since the model will forget it too."""
        self.hearing.forget_told()
        self.supervisor.forget_heard()

    def restart(self, now: float, reason: Exception) -> str:
        """Start another model process, now or later; return the message about it."""
        self.hearing.drop()
        self._requests = []
        return self.supervisor.restart(now, reason)

    def reconnect(self, plan: int, last_sent: int, step: int) -> None:
        """Queue the requests that give a new model what the last one knew."""
        self._requests = self.supervisor.reconnect(plan, last_sent, step)
