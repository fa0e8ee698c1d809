"""The server's process: reads messages for pages from its input, and writes their requests.

Started by :class:`~midirnn.web.server_process.ServerProcess`. Input and output are lines of JSON.
The process ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import json
import os
import socket
import sys
import threading
from typing import IO, Any

import uvicorn

from midirnn.web.pages import Pages
from midirnn.web.protocol import MOST_BYTES, Message, line_of
from midirnn.web.server import make_app
from midirnn.web.silence import LOOK_SECONDS

LOOPBACK = "127.0.0.1"
LOOKS_A_WORD = 2
"""Number of looks at the pages between two messages that say that the server is alive."""


def main() -> None:
    """Serve pages until the input ends."""
    reading, writing = _own_pipes()
    first = reading.readline()
    if not first:  # the session ended before it began
        return
    settings = json.loads(first)[0]

    def ask(message: Message) -> None:
        with contextlib.suppress(OSError, ValueError):  # the end of the input ends the server
            writing.write(line_of(message))

    try:
        listening = listen(settings["port"], spare=settings["spare"])
    except OSError as error:
        why = f"the page cannot be served at port {settings['port']}: {error.strerror}. Choose "
        ask({"t": "failed", "why": f"{why}another with --port"})
        return
    with listening, contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(settings, listening, reading, ask))


def listen(port: int, *, spare: bool) -> socket.socket:
    """Return a socket listening on loopback; with ``spare``, on another port if this is taken."""
    # Name TCP explicitly: otherwise asyncio may delay small writes by up to 40 ms.
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":  # elsewhere it would let two servers share a port
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((LOOPBACK, port))
        found.listen(64)
    except OSError:
        found.close()
        if not spare:
            raise
        return listen(0, spare=False)
    return found


async def _serve(
    settings: dict[str, Any], listening: socket.socket, reading: IO[bytes], ask: Any
) -> None:
    port = listening.getsockname()[1]
    pages = Pages(ask, shared=settings["shared"])
    app = make_app(pages, ask, port=port, token=settings["token"])
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",
            access_log=False,
            lifespan="off",
            loop="asyncio",
            http="h11",
            ws="websockets-sansio",
            ws_max_size=MOST_BYTES * 4,
            ws_ping_interval=5.0,
            ws_ping_timeout=10.0,
            ws_per_message_deflate=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in reading:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(pages.tell, json.loads(line))
        server.should_exit = True

    threading.Thread(target=read, name="midirnn page pipe", daemon=True).start()
    watching = asyncio.create_task(_watch(pages, ask))
    ask({"t": "listening", "port": port})
    await server.serve(sockets=[listening])
    watching.cancel()


async def _watch(pages: Pages, ask: Any) -> None:
    for look in itertools.count():
        if look % LOOKS_A_WORD == 0:
            ask({"t": "alive"})
        pages.release_silent()
        await asyncio.sleep(LOOK_SECONDS)


def _own_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Take over standard input and output; what other code prints goes to standard error."""
    reading = io.BufferedReader(io.FileIO(os.dup(0), "rb"))
    writing = io.FileIO(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.stdin = io.StringIO()
    return reading, writing
