"""Messages that were sent."""

from __future__ import annotations

from dataclasses import dataclass

from midirnn.ports.base import Message


@dataclass(frozen=True)
class SentEvent:
    """A message that was sent: when, and when it was due.

    Or the end of a note or pedal of the model that the performer holds as well: it is reported like
    the others, but nothing is sent.
    """

    seconds: float
    due_seconds: float
    message: Message
    owner: str
