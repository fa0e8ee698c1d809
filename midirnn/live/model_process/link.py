"""The link from a session to its model, in this process or in another."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from midirnn.codecs import PerformanceCodec
from midirnn.live.base.messages import ModelSettings, Reply, Request
from midirnn.live.improviser.server import ModelServer
from midirnn.sampling import Sampler


class ModelLink(Protocol):
    """A model that takes requests and replies to them later. Steps count from ``start_seconds``.

    ``can_be_lost`` is True if it may cease to reply. Then ``lost`` holds the reason, and
    :meth:`restart` starts a new one, which knows nothing of the old one's requests.
    """

    codec: PerformanceCodec
    start_seconds: float
    max_note_seconds: float
    can_be_lost: bool
    settings: ModelSettings | None
    """The settings it was started with, if known."""

    def connect(self, on_reply: Callable[[], None]) -> None:
        """Have ``on_reply`` called, in any thread, whenever there is a new reply."""
        ...

    @property
    def ready(self) -> bool:
        """True once it can take requests."""
        ...

    @property
    def lost(self) -> Exception | None:
        """Why it no longer replies; None if it does."""
        ...

    @property
    def waiting_since(self) -> float:
        """The time of the oldest request without a reply; infinite if there is none."""
        ...

    def ask(self, requests: Sequence[Request]) -> None:
        """Send requests, which are handled in order."""
        ...

    @property
    def has_replies(self) -> bool:
        """True if there are replies to take."""
        ...

    def take(self) -> list[Reply]:
        """Return the replies that have come since the last call, in order."""
        ...

    def restart(self) -> None:
        """Start a new model, to be ready soon."""
        ...


class LocalModel:
    """A model in this process: an implementation of :class:`ModelLink` that replies at once.

    :meth:`ask` raises whatever the model raises.
    """

    can_be_lost = False
    settings: ModelSettings | None = None
    ready = True
    lost: Exception | None = None
    waiting_since = math.inf

    def __init__(
        self, sampler: Sampler[PerformanceCodec], start_seconds: float, channel: int
    ) -> None:
        self.codec = sampler.codec
        self.start_seconds = start_seconds
        self.max_note_seconds = sampler.config.max_note_seconds
        self.server = ModelServer(sampler, start_seconds=start_seconds, channel=channel)
        self._replies: deque[Reply] = deque()

    def connect(self, on_reply: Callable[[], None]) -> None:
        """Do nothing: replies are there as soon as :meth:`ask` returns."""

    def ask(self, requests: Sequence[Request]) -> None:
        """Handle requests at once."""
        for request in requests:
            self._replies.extend(self.server.handle(request))

    @property
    def has_replies(self) -> bool:
        """True if there are replies to take."""
        return bool(self._replies)

    def take(self) -> list[Reply]:
        """Return the replies that have come since the last call, in order."""
        replies = list(self._replies)
        self._replies.clear()
        return replies

    def restart(self) -> None:
        """Do nothing: this model is never lost."""
