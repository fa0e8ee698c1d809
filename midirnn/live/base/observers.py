"""Observers of a session, which are told everything that happens, to record or show it."""

from __future__ import annotations

from collections.abc import Iterable

from midirnn.live.base.messages import Delivery, ModelSettings, Reply, Request
from midirnn.ports.base import Message


class Observer:
    """Told everything that happens and when, from several threads. It does nothing with it.

    The methods of subclasses must be quick.
    """

    def heard(self, message: Message, seconds: float) -> None:
        """Take note of a message of the performer, be it music or a controller."""

    def performed(self, message: Message, seconds: float) -> None:
        """Take note of music of the performer, on a channel that is listened to.

        Neither drums nor what moves a knob is music here. Channel mode messages are translated:
        "all notes off" into note-offs, and so on.
        """

    def sent(self, message: Message, seconds: float, due_seconds: float, player: str) -> None:
        """Take note of a message that was sent, for the model or the performer."""

    def started(self, settings: ModelSettings, seconds: float) -> None:
        """Take note that a model starts from these settings."""

    def asked(self, request: Request, seconds: float) -> None:
        """Take note of a request to the model."""

    def answered(self, reply: Reply, seconds: float) -> None:
        """Take note of a reply of the model."""

    def tuned(self, delivery: Delivery, seconds: float) -> None:
        """Take note of how the plan is played from now on. (At first it is played unchanged.)"""

    def noted(self, text: str, seconds: float) -> None:
        """Take note of something else that is worth knowing."""


class Observers(Observer):
    """An observer that passes everything on to others."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = tuple(observers)

    def heard(self, message: Message, seconds: float) -> None:
        """Take note of a message of the performer."""
        for observer in self._observers:
            observer.heard(message, seconds)

    def performed(self, message: Message, seconds: float) -> None:
        """Take note of music of the performer."""
        for observer in self._observers:
            observer.performed(message, seconds)

    def sent(self, message: Message, seconds: float, due_seconds: float, player: str) -> None:
        """Take note of a message that was sent, for the model or the performer."""
        for observer in self._observers:
            observer.sent(message, seconds, due_seconds, player)

    def started(self, settings: ModelSettings, seconds: float) -> None:
        """Take note that a model starts from these settings."""
        for observer in self._observers:
            observer.started(settings, seconds)

    def asked(self, request: Request, seconds: float) -> None:
        """Take note of a request to the model."""
        for observer in self._observers:
            observer.asked(request, seconds)

    def answered(self, reply: Reply, seconds: float) -> None:
        """Take note of a reply of the model."""
        for observer in self._observers:
            observer.answered(reply, seconds)

    def tuned(self, delivery: Delivery, seconds: float) -> None:
        """Take note of how the plan is played from now on."""
        for observer in self._observers:
            observer.tuned(delivery, seconds)

    def noted(self, text: str, seconds: float) -> None:
        """Take note of something else that is worth knowing."""
        for observer in self._observers:
            observer.noted(text, seconds)
