"""The open pages: their pending messages, which of them plays, and which are gone."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from midirnn.web.holding import Held, movement
from midirnn.web.protocol import Message
from midirnn.web.silence import Silence

MOST_WAITING = 400
"""A page with this many batches to read is too slow: it is closed, and may reconnect."""

MOST_PAGES = 16

HISTORY_SECONDS = 12.0
"""How many seconds of the past a page receives when it is opened."""

REQUESTS_PER_SECOND, BURST = 400.0, 800.0
"""Rate limit for the requests of a page: far more than ten fingers can play."""

STANDING = ("about", "state", "takes")
"""Messages that stay valid until the next one of their kind; new pages get the last of each."""


@dataclass(eq=False)
class Page:
    """An open page: its name, its pending messages, and the keys, pads and pedals that it holds."""

    name: str
    waiting: deque[str] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    heard_at: float = field(default_factory=time.monotonic)
    holding: set[Held] = field(default_factory=set)
    silence: Silence = field(default_factory=Silence)
    too_slow: bool = False
    _allowance: float = BURST

    def tell(self, text: str) -> None:
        """Queue a message."""
        if len(self.waiting) >= MOST_WAITING:
            self.too_slow = True
        else:
            self.waiting.append(text)
        self.news.set()

    def may_ask(self) -> bool:
        """Count a request; return False if there were too many."""
        now = time.monotonic()
        self._allowance += (now - self.heard_at) * REQUESTS_PER_SECOND
        self._allowance = min(self._allowance, BURST) - 1.0
        self.heard_at = now
        self.silence.hear()
        return self._allowance >= 0.0

    def plays(self, message: list[int]) -> None:
        """Update what the page holds after a message that it played."""
        if moved := movement(message):
            held, is_down = moved
            (self.holding.add if is_down else self.holding.discard)(held)


class Pages:
    """The open pages. Owns their messages, and which of them plays.

    ``ask`` passes a request on to the session.
    """

    def __init__(self, ask: Callable[[Message], None], *, shared: bool) -> None:
        self.shared = shared
        self.standing: dict[str, Message] = {}
        self.takes: dict[int, Message] = {}
        """The takes by number, with their logs, which pages are not told."""
        self._ask = ask
        self._numbers = itertools.count(1)
        self._open: list[Page] = []
        self._player: Page | None = None
        self._history: deque[tuple[float, Message]] = deque(maxlen=4000)

    def enter(self) -> Page | None:
        """Open a page; None if there are too many. The first one plays."""
        if len(self._open) >= MOST_PAGES:
            return None
        page = Page(f"page {next(self._numbers)}")
        self._open.append(page)
        if self._player is None:
            self._player = page
        recent = [m for at, m in self._history if at > time.monotonic() - HISTORY_SECONDS]
        standing = [self.standing[name] for name in STANDING if name in self.standing]
        page.tell(json.dumps([self._role(page), *standing, *recent]))
        self._tell_roles()
        return page

    def leave(self, page: Page) -> None:
        """Close a page: its keys are released, and another page may play."""
        if page not in self._open:
            return
        self._open.remove(page)
        self._release(page)
        if self._player is page:
            self._player = self._open[0] if self._open else None
            self._tell_roles()

    def play_here(self, page: Page) -> None:
        """Make this page the one that plays."""
        if self._player is not None and self._player is not page and not self.shared:
            self._release(self._player)
        self._player = page
        self._tell_roles()

    def may_play(self, page: Page) -> bool:
        """Return True if this page is allowed to play."""
        return self.shared or page is self._player

    def tell(self, messages: Iterable[Message]) -> None:
        """Queue messages for all pages."""
        now, told = time.monotonic(), [self._public(message) for message in messages]
        for message in told:
            if message["t"] in STANDING:
                self.standing[message["t"]] = message
            else:
                self._history.append((now, message))
        text = json.dumps(told, separators=(",", ":"))
        for page in self._open:
            page.tell(text)

    def _public(self, message: Message) -> Message:
        """Return a message without what only the server needs."""
        if message["t"] != "takes":
            return message
        self.takes = {take["number"]: take for take in message["takes"]}
        hidden = ("log", "offset")
        shown = [{k: v for k, v in take.items() if k not in hidden} for take in message["takes"]]
        return {**message, "takes": shown}

    def release_silent(self) -> None:
        """Release the keys of pages that have gone silent: they send ten messages a second."""
        for page in self._open:
            if page.silence.look() and page.holding:
                self._release(page)
                page.tell(json.dumps([{"t": "released"}]))

    def _release(self, page: Page) -> None:
        page.holding.clear()
        self._ask({"t": "gone", "page": page.name})

    def _tell_roles(self) -> None:
        for page in self._open:
            page.tell(json.dumps([self._role(page)]))

    def _role(self, page: Page) -> Message:
        return {
            "t": "role",
            "page": page.name,
            "plays": self.may_play(page),
            "shared": self.shared,
            "pages": len(self._open),
        }
