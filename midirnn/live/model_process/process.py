"""The model process, seen from the process that owns the ports."""

from __future__ import annotations

import contextlib
import io
import math
import os
import pickle
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import IO, Any, Self, cast

from midirnn.codecs import Codec, require_playable
from midirnn.errors import ModelLostError
from midirnn.head_start import command_of, end, start
from midirnn.live.base.messages import Failed, ModelSettings, Reply, Request
from midirnn.live.model_process.child import Answer, Protect
from midirnn.live.model_process.inbox import parcel
from midirnn.ports.base import OutputPort
from midirnn.ports.lasting import LastingOutput

COMMAND = command_of("midirnn.live.model_process.child")
"""The command that runs the model process."""

START_SECONDS = 60.0
"""A model that is not ready after this long counts as lost."""

END_SECONDS = 2.0

SPARE_AFTER_SECONDS = 1.0
"""How long a model has the processors to itself before a spare one is loaded."""

SEND_SECONDS = 0.2
"""How long sending may take if it does not fit into the pipe (a state with many presets)."""


class _Child:
    """One model process. Owns it, its pipes, and the thread that reads its answers."""

    def __init__(self, command: Sequence[str], settings: ModelSettings) -> None:
        self.ready = False
        self.lost: Exception | None = None
        self.replies: deque[Reply] = deque()
        self.asked: deque[float] = deque([time.monotonic()])
        """The times at which unanswered batches were sent; the first is the time of loading."""
        self.process = start(command)
        assert self.process.stdin is not None
        self._stdin = self.process.stdin
        self.send(settings)
        with contextlib.suppress(OSError, AttributeError):  # not on every system
            os.set_blocking(self._stdin.fileno(), False)

    def start_reading(self, on_reply: Callable[[], None]) -> None:
        """Start the thread that reads its answers and calls ``on_reply`` for each."""
        threading.Thread(
            target=self._read, args=(on_reply,), name="midirnn model", daemon=True
        ).start()

    def send(self, thing: object) -> None:
        """Send it an object. If it does not take that in, it counts as lost."""
        left, until = memoryview(parcel(thing)), time.monotonic() + SEND_SECONDS
        try:
            while left:
                written: int | None = self._stdin.write(left)  # None: the pipe is full
                if written is not None:
                    left = left[written:]
                elif not self._can_take_more(until - time.monotonic()):
                    self.lost = self.lost or ModelLostError("the model process takes no requests")
                    return
        except (OSError, ValueError):
            return  # it has died: the reading thread finds out why when it has read the rest

    def _can_take_more(self, seconds: float) -> bool:
        """Wait for room in the pipe, at most this long; return True if there is some."""
        return bool(select.select([], [self._stdin], [], max(seconds, 0.0))[1])

    def _read(self, on_reply: Callable[[], None]) -> None:
        with io.BufferedReader(cast(io.RawIOBase, self.process.stdout)) as reading:
            while self._take(reading):
                on_reply()
        on_reply()

    def _take(self, reading: IO[bytes]) -> bool:
        """Read another answer; return False, and count the process as lost, if there is none."""
        try:
            answer: Answer = pickle.load(reading)
        except Exception:
            self.lost = self.lost or ModelLostError("the model process has died")
            return False
        for reply in answer.replies:
            if isinstance(reply, Failed):
                self.lost = reply.error
            else:
                self.replies.append(reply)
        if answer.done:
            if self.asked:  # a failure between two batches answers none
                self.asked.popleft()
            self.ready = True
        return True

    def end(self, *, orderly: bool) -> None:
        """End the process: let it finish if ``orderly``, else kill it."""
        if orderly and self.ready and self.lost is None:
            self.send(None)
        else:
            self.process.kill()
        end(self.process, END_SECONDS)


class ModelProcess:
    """A model in a process of its own: an implementation of ``ModelLink``. Owns the process.

    Use it in a ``with`` statement. If it is killed or hangs, :meth:`restart` replaces it: at once
    if there is a ``spare``, a second process that has loaded the model and waits. If this process
    is killed, the model process ends what sounds on the output given to :meth:`protect`.
    """

    can_be_lost = True

    def __init__(
        self,
        settings: ModelSettings,
        codec: Codec[Any],
        *,
        command: Sequence[str] | None = None,
        spare: bool = False,
    ) -> None:
        self.settings: ModelSettings | None = settings
        self._settings = settings
        self.codec = require_playable(codec, "midirnn live")
        self.start_seconds = settings.start_seconds
        self.max_note_seconds = settings.sampling.max_note_seconds
        self._command = COMMAND if command is None else command
        self._on_reply: Callable[[], None] = lambda: None
        self._news = threading.Condition()
        self._protected: Protect | None = None
        self._sending = threading.Lock()  # the thread that watches ports also sends
        self._changing = threading.Lock()  # guards the choice of child and spare
        self._closed = threading.Event()
        self._wants_spare = spare
        self._spare: _Child | None = None
        self._child = self._start()
        self._keep_spare()

    def _start(self) -> _Child:
        child = _Child(self._command, self._settings)
        child.start_reading(self._tell)
        return child

    def _keep_spare(self) -> None:
        """Load a spare after a while, in a thread of its own, if one is wanted."""
        if self._wants_spare:
            threading.Thread(
                target=self._load_spare, args=(self._child,), name="midirnn spare", daemon=True
            ).start()

    def _load_spare(self, child: _Child) -> None:
        with self._news:
            self._news.wait_for(lambda: child.ready or child.lost)
        if self._closed.wait(SPARE_AFTER_SECONDS):
            return
        with self._changing:
            if child is self._child and not self._closed.is_set():
                self._spare = self._start()

    def _take_spare(self) -> _Child | None:
        """Hand over the spare; return None if there is none that works."""
        spare, self._spare = self._spare, None
        if spare is not None and spare.lost is not None:
            spare.end(orderly=False)
            return None
        return spare

    def _tell(self) -> None:
        with self._news:
            self._news.notify_all()
        self._on_reply()

    def connect(self, on_reply: Callable[[], None]) -> None:
        """Have ``on_reply`` called, in another thread, whenever there is a new reply."""
        self._on_reply = on_reply

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        """Wait until it can take requests. Raises the reason if it never can."""
        with self._news:
            self._news.wait_for(lambda: self.ready or self.lost, seconds)
        if self.lost is not None:
            raise self.lost
        if not self.ready:
            raise ModelLostError(f"the model process was not ready after {seconds:g} s")

    @property
    def process_id(self) -> int:
        """The id of the process."""
        return self._child.process.pid

    @property
    def ready(self) -> bool:
        """True once it can take requests."""
        return self._child.ready and self._child.lost is None

    @property
    def lost(self) -> Exception | None:
        """Why it no longer replies; None if it does."""
        return self._child.lost

    @property
    def waiting_since(self) -> float:
        """The time of the oldest request without a reply; infinite if there is none."""
        try:
            return self._child.asked[0]
        except IndexError:
            return math.inf

    def ask(self, requests: Sequence[Request]) -> None:
        """Send requests."""
        self._send(tuple(requests))

    def protect(self, output: OutputPort) -> None:
        """Have all notes on that output ended if this process is killed."""
        self._protect(output)
        if isinstance(output, LastingOutput):
            output.on_return = lambda: self._protect(output)

    def _protect(self, output: OutputPort) -> None:
        self._protected = Protect(output.name, getattr(output, "api", None))
        self._send(self._protected)

    def _send(self, thing: object) -> None:
        with self._sending:
            self._child.asked.append(time.monotonic())
            self._child.send(thing)

    @property
    def has_replies(self) -> bool:
        """True if there are replies to take."""
        return bool(self._child.replies)

    def take(self) -> list[Reply]:
        """Return the replies that have come since the last call, in order."""
        replies = self._child.replies
        return [replies.popleft() for _ in range(len(replies))]

    @property
    def has_spare(self) -> bool:
        """True while there is a spare that has loaded the model."""
        spare = self._spare
        return spare is not None and spare.ready and spare.lost is None

    def restart(self) -> None:
        """Kill the process and go on with the spare, or a new one, ready in about a second."""
        with self._changing:
            self._child.end(orderly=False)
            self._child = self._take_spare() or self._start()
        if self._protected is not None:
            self._send(self._protected)
        self._keep_spare()

    def close(self) -> None:
        """End the process, and the spare."""
        self._closed.set()
        with self._changing:
            children = [self._child, *filter(None, [self._spare])]
        for child in children:
            child.end(orderly=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
