"""Access control: only requests from this machine, to this address, with the token."""

from __future__ import annotations

import secrets
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost", "[::1]")
"""Names of this machine. Any other host in a request is the sign of DNS rebinding."""

OPEN_FOLDER = "/page/"
"""Needs no token: scripts, styles and sounds, which are the same for everybody."""

NO_TOKEN = (
    "This page needs the address that midirnn jam printed, with its token. It is another one after "
    "each start.\n"
)


def policy(port: int) -> str:
    """Return the Content-Security-Policy: only files of this server, no inline scripts."""
    sockets = " ".join(f"ws://{host}:{port}" for host in HOSTS if not host.startswith("["))
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self' {sockets}; worker-src 'self'; manifest-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class Guard:
    """Refuses requests from elsewhere or without the token, and adds headers to responses.

    Host and Origin must be this server's own, so that a site that is open in the same browser can
    neither read from it nor talk to it.
    """

    def __init__(self, app: ASGIApp, port: int, token: str) -> None:
        self._app = app
        self._hosts = {f"{host}:{port}" for host in HOSTS}
        self._origins = {f"http://{host}" for host in self._hosts}
        self._token = token.encode()
        self._headers = {
            "content-security-policy": policy(port),
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cross-origin-resource-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
            "permissions-policy": "midi=(self), autoplay=(self), camera=(), microphone=()",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        status, why = self._refusal(scope)
        if not status:
            await self._app(scope, receive, self._with_headers(scope, send))
        elif scope["type"] == "http":
            answer = PlainTextResponse(why, status_code=status)
            await answer(scope, receive, self._with_headers(scope, send))
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": ""})

    def _refusal(self, scope: Scope) -> tuple[int, str]:
        """Return the status and the reason of a refusal; 0 to let the request pass."""
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if headers.get("host", "") not in self._hosts:
            return 421, "This is not the host that the page is served by.\n"
        if origin is not None and origin not in self._origins:
            return 403, "Another site may not ask this one.\n"
        if scope["type"] == "websocket" and origin is None:
            return 403, "Only a page of this site may play.\n"
        is_open = scope["type"] == "http" and scope["path"].startswith(OPEN_FOLDER)
        return (0, "") if is_open or self._has_token(scope) else (403, NO_TOKEN)

    def _has_token(self, scope: Scope) -> bool:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        given = query.get("token", [""])[0]
        return secrets.compare_digest(given.encode(), self._token)

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        if scope["type"] != "http":
            return send

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.encode(), value.encode())
                        for name, value in self._headers.items()
                        if name.encode() not in known
                    ),
                ]
            await send(message)

        return send_with_headers
