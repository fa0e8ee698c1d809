"""The model process: reads requests from its standard input, writes replies to its output.

Started by :class:`~midirnn.live.model_process.process.ModelProcess`. An
:class:`~midirnn.live.model_process.inbox.Inbox` reads what comes in: first the
:class:`ModelSettings`, then batches of requests, :class:`Protect`, and None at an orderly end.
Pickled :class:`Answer` objects go back.

If its input ends without None, the process that owns the ports has died: then this one opens the
output named by :class:`Protect`, and ends all that may sound there.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import pickle
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from midirnn.errors import MidirnnError
from midirnn.live.base.channel_messages import endings
from midirnn.live.base.messages import Failed, ModelSettings, Plan, Planned, Reply, Rewind
from midirnn.live.improviser.server import ModelServer
from midirnn.live.model_process.inbox import Inbox
from midirnn.live.model_process.warmth import Warmth
from midirnn.live.output.ledger import Key
from midirnn.live.output.realtime import step_back
from midirnn.midievents import NOTE_OFF, NOTE_ON
from midirnn.ports.base import OutputPort

OPEN_ATTEMPTS = 5
OPEN_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Protect:
    """End what sounds on this output if the port process dies."""

    name: str
    api: str | None


@dataclass(frozen=True)
class Answer:
    """Replies; with ``done`` a batch of requests is complete."""

    replies: tuple[Reply, ...]
    done: bool


class Aftermath:
    """Ends notes if the port process dies. Owns the keys that may sound."""

    def __init__(self) -> None:
        self.output: Protect | None = None
        self._begun: dict[Key, None] = {}

    def note(self, reply: Reply) -> None:
        """Remember the notes that a plan begins. (It is not known whether note-offs were sent.)"""
        if isinstance(reply, Planned):
            for event in reply.events:
                if event.message[0] & 0xF0 == NOTE_ON:
                    self._begun[event.message[0] & 0x0F, event.message[1]] = None

    def end_all(self, output: OutputPort) -> None:
        """End everything that may sound, the performer's notes included."""
        for channel, pitch in self._begun:
            output.send((NOTE_OFF | channel, pitch, 0))
        for message in endings():
            output.send(message)

    def rescue(self) -> None:
        """Open the output and end everything there, if possible."""
        if self.output is None:
            return
        from midirnn.ports import open_output

        for _ in range(OPEN_ATTEMPTS):
            with contextlib.suppress(MidirnnError):
                with open_output(self.output.name, api=self.output.api) as output:
                    self.end_all(output)
                return
            time.sleep(OPEN_PAUSE_SECONDS)


def serve(
    inbox: Inbox,
    server: ModelServer,
    send: Callable[[Answer], None],
    aftermath: Aftermath,
    warmth: Warmth,
) -> None:
    """Answer batches of requests until the end."""
    while (batch := inbox.take(warmth.keep)) is not None:
        if isinstance(batch, Protect):
            aftermath.output = batch
            send(Answer((), done=True))
            continue
        warmth.renew(batch)
        replies: list[Reply] = []
        for request in batch:
            for reply in server.handle(request):
                aftermath.note(reply)
                if isinstance(reply, Planned) and not reply.done:
                    if reply.events:
                        send(Answer((*replies, reply), done=False))
                        replies.clear()
                else:
                    replies.append(reply)
                if isinstance(request, Plan) and is_taken_back(inbox):
                    break
        send(Answer(tuple(replies), done=True))


def is_taken_back(inbox: Inbox) -> bool:
    """Return True if a waiting request makes the present plan useless."""
    waiting = [thing for thing in inbox.look() if not isinstance(thing, Protect)]
    return inbox.ended or any(isinstance(request, Rewind) for b in waiting for request in b)


def main() -> None:
    """Run the model process until its input ends."""
    reading, writing = _own_pipes()
    step_back()

    def send(answer: Answer) -> None:
        with contextlib.suppress(BrokenPipeError):  # then the inbox is orphaned
            writing.write(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))

    aftermath, inbox = Aftermath(), Inbox(reading)
    try:
        settings: ModelSettings | None = inbox.take()
        if settings is None:
            return
        server = ModelServer.load(settings)
        gc.freeze()  # imported objects are never scanned again for garbage
        send(Answer((), done=True))
        warmth = Warmth(lambda: server.warm_up(time.monotonic()), wanted=settings.keep_warm)
        serve(inbox, server, send, aftermath, warmth)
        if inbox.orphaned:
            aftermath.rescue()
    except Exception as error:
        send(Answer((Failed(portable(error)),), done=True))
        sys.exit(1)


def portable(error: Exception) -> Exception:
    """Return the error, or one with its text if it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _own_pipes() -> tuple[int, IO[bytes]]:
    """Reserve standard input and output for our own use; what is printed goes to standard error."""
    reading = os.dup(0)
    writing = io.FileIO(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return reading, writing
