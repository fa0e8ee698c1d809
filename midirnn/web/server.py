"""The server: the page, its sounds, takes to download, and a WebSocket for each open page."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from midirnn.errors import MidirnnError
from midirnn.web.guard import Guard
from midirnn.web.pages import Page, Pages
from midirnn.web.protocol import MOST_BYTES, Message, RequestError, read_request

FOLDER = Path(__file__).parent / "page"

MOST_REFUSED = 20
"""A page that sends this many invalid requests is closed."""

REFUSED, TOO_SLOW, TOO_MANY = 1008, 1013, 1013
"""Status codes for closing a socket (RFC 6455, 7.4.1): policy violation; try again later."""


def make_app(pages: Pages, ask: Callable[[Message], None], *, port: int, token: str) -> Starlette:
    """Return the application. ``ask`` passes requests of pages on to the session."""

    async def page(request: Request) -> Response:
        return FileResponse(FOLDER / "index.html", headers={"cache-control": "no-store"})

    async def take(request: Request) -> Response:
        number, kind = request.path_params["number"], request.path_params["kind"]
        found = pages.takes.get(number)
        if found is None or kind not in _TAKE_KINDS:
            return PlainTextResponse("There is no such take.\n", status_code=404)
        try:
            return await run_in_threadpool(_TAKE_KINDS[kind], found)
        except (MidirnnError, OSError) as error:
            return PlainTextResponse(f"{error}\n", status_code=500)

    async def socket(websocket: WebSocket) -> None:
        await _serve(websocket, pages, ask)

    return Starlette(
        routes=[
            Route("/", page),
            Route("/takes/{number:int}.{kind}", take),
            WebSocketRoute("/socket", socket),
            Mount("/page", StaticFiles(directory=FOLDER), name="page"),
        ],
        middleware=[Middleware(Guard, port=port, token=token)],
    )


# A page's socket.


async def _serve(websocket: WebSocket, pages: Pages, ask: Callable[[Message], None]) -> None:
    """Talk to a page until it disconnects."""
    page = pages.enter()
    await websocket.accept()
    if page is None:
        await websocket.close(TOO_MANY, "too many pages are open")
        return
    telling = asyncio.create_task(_tell(websocket, page))
    try:
        await _listen(websocket, page, pages, ask)
    except (WebSocketDisconnect, RuntimeError):
        pass
    finally:
        pages.leave(page)
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
            await telling


async def _tell(websocket: WebSocket, page: Page) -> None:
    """Send a page its messages."""
    while True:
        await page.news.wait()
        page.news.clear()
        if page.too_slow:
            await websocket.close(TOO_SLOW, "the page reads too slowly")
            return
        while page.waiting:
            await websocket.send_text(page.waiting.popleft())


async def _listen(
    websocket: WebSocket, page: Page, pages: Pages, ask: Callable[[Message], None]
) -> None:
    """Handle a page's requests, until it disconnects or has sent too many invalid ones."""
    refused = 0
    while refused < MOST_REFUSED:
        received = await websocket.receive()
        if received["type"] != "websocket.receive":
            return
        arrived, text = time.monotonic(), received.get("text")
        try:
            if not page.may_ask():
                raise RequestError("too many messages")
            if text is None or len(text) > MOST_BYTES:
                raise RequestError("a message is too long, or no text")
            _obey(read_request(text), page, pages, ask, arrived)
        except RequestError:
            refused += 1
    if websocket.application_state is WebSocketState.CONNECTED:
        await websocket.close(REFUSED, "too many messages that are no requests")


def _obey(
    request: Message, page: Page, pages: Pages, ask: Callable[[Message], None], arrived: float
) -> None:
    kind = request["t"]
    if kind == "ping":
        pong = {"t": "pong", "c": request["c"], "s": arrived, "held": bool(page.holding)}
        page.tell(json.dumps([pong]))
    elif kind == "play_here":
        pages.play_here(page)
    elif kind == "midi":
        if pages.may_play(page):
            page.plays(request["m"])
            ask({**request, "page": page.name})
    else:
        ask({**request, "page": page.name})


# Takes.


def _take_of(found: Message) -> Any:
    from midirnn.web.takes import Take

    return Take(found["number"], Path(found["log"]), found["start"], found["end"], found["offset"])


def _midi(found: Message) -> Response:
    from midirnn.midifile import write_midi
    from midirnn.web.takes import read_take

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "take.mid"
        write_midi(read_take(_take_of(found)), path)
        return _download(path.read_bytes(), f"take-{found['number']}.mid", "audio/midi")


def _log(found: Message) -> Response:
    from midirnn.web.takes import read_log_of

    text = read_log_of(_take_of(found)).encode()
    return _download(text, f"take-{found['number']}.jsonl", "application/jsonl")


def _notes(found: Message) -> Response:
    from midirnn.web.takes import notes_of_take

    return JSONResponse(notes_of_take(_take_of(found)), headers={"cache-control": "no-store"})


_TAKE_KINDS: dict[str, Callable[[Message], Response]] = {
    "mid": _midi,
    "jsonl": _log,
    "json": _notes,
}


def _download(data: bytes, name: str, media_type: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(data, media_type=media_type, headers=headers)
