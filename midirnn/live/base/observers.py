"""Observers of a session: told all that happens, to record it or to show it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from midirnn.live.base.messages import Delivery, ModelSettings, Reply, Request
from midirnn.ports.base import Message


class Observer(Protocol):
    """Told all that happens, in several threads, with the second of each thing. To be quick."""

    def heard(self, message: Message, seconds: float) -> None:
        """Nothing; the performer played that."""
        ...

    def sent(self, message: Message, seconds: float, due_seconds: float, player: str) -> None:
        """Nothing; that was sent, for the model or for the performer."""
        ...

    def started(self, settings: ModelSettings, seconds: float) -> None:
        """Nothing; a model starts from these settings."""
        ...

    def asked(self, request: Request, seconds: float) -> None:
        """Nothing; that was asked of the model."""
        ...

    def answered(self, reply: Reply, seconds: float) -> None:
        """Nothing; the model answered that."""
        ...

    def tuned(self, delivery: Delivery, seconds: float) -> None:
        """Nothing; what is planned is played like this from now on. At first it is as planned."""
        ...

    def noted(self, text: str, seconds: float) -> None:
        """Nothing; something else happened that is worth knowing."""
        ...


class Observers:
    """An observer that tells others, in turn; without others, nobody."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = tuple(observers)

    def heard(self, message: Message, seconds: float) -> None:
        """Nothing; the performer played that."""
        for observer in self._observers:
            observer.heard(message, seconds)

    def sent(self, message: Message, seconds: float, due_seconds: float, player: str) -> None:
        """Nothing; that was sent, for the model or for the performer."""
        for observer in self._observers:
            observer.sent(message, seconds, due_seconds, player)

    def started(self, settings: ModelSettings, seconds: float) -> None:
        """Nothing; a model starts from these settings."""
        for observer in self._observers:
            observer.started(settings, seconds)

    def asked(self, request: Request, seconds: float) -> None:
        """Nothing; that was asked of the model."""
        for observer in self._observers:
            observer.asked(request, seconds)

    def answered(self, reply: Reply, seconds: float) -> None:
        """Nothing; the model answered that."""
        for observer in self._observers:
            observer.answered(reply, seconds)

    def tuned(self, delivery: Delivery, seconds: float) -> None:
        """Nothing; what is planned is played like this from now on."""
        for observer in self._observers:
            observer.tuned(delivery, seconds)

    def noted(self, text: str, seconds: float) -> None:
        """Nothing; something else happened that is worth knowing."""
        for observer in self._observers:
            observer.noted(text, seconds)
