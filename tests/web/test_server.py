"""The server lets in only its own pages, survives what they send, and says when they have gone."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from midirnn.errors import PortError
from midirnn.web import server_process
from midirnn.web.pages import MOST_PAGES, MOST_WAITING
from midirnn.web.protocol import Message, line_of
from midirnn.web.server import MOST_REFUSED
from midirnn.web.server_process import ServerProcess
from tests.web.jams import until

TOKEN = "a-token"
FUZZ_MESSAGES = 10_000


class Server:
    """A server in its process, and what it has passed on."""

    def __init__(self, *, shared: bool = False, port: int = 0) -> None:
        self.asked: list[Message] = []
        self.starts = 0
        self.lost: list[str] = []
        self.process = ServerProcess(
            {"port": port, "spare": False, "token": TOKEN, "shared": shared},
            on_message=self.asked.append,
            on_start=self._start,
            on_lost=self.lost.append,
        )

    def _start(self) -> None:
        number = self.starts + 1
        self.process.send([{"t": "about", "n": number}, {"t": "state", "n": number}])
        self.starts = number

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.process.port}"

    def kinds(self) -> list[str]:
        return [message["t"] for message in list(self.asked)]

    def get(self, path: str, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.process.port, timeout=20)
        connection.request("GET", path, headers={"Host": self.host, **headers})
        response = connection.getresponse()
        response.body = response.read()  # type: ignore[attr-defined]
        connection.close()
        return response

    @contextmanager
    def page(self, *, origin: str | None = None, token: str = TOKEN) -> Iterator[ClientConnection]:
        with connect(
            f"ws://{self.host}/socket?token={token}",
            origin=origin or f"http://{self.host}",  # type: ignore[arg-type]
            open_timeout=20,
            close_timeout=2,
        ) as socket_:
            yield socket_


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = Server()
    with running.process:
        running.process.wait_until_listening()
        yield running


@pytest.fixture
def own_server() -> Iterator[Server]:
    running = Server()
    with running.process:
        running.process.wait_until_listening()
        yield running


def told(page: ClientConnection, kind: str) -> Message:
    """The next message of that kind."""
    while True:
        for message in json.loads(page.recv(timeout=20)):
            if message["t"] == kind:
                found: Message = message
                return found


def say(page: ClientConnection, **request: Any) -> None:
    page.send(json.dumps(request))


def note(page: ClientConnection, pitch: int = 60) -> None:
    say(page, t="midi", m=[144, pitch, 80], at=1.0)


# Who is let in.


def test_the_page_needs_the_token(server: Server) -> None:
    assert server.get(f"/?token={TOKEN}").status == 200
    for path in ("/", "/?token=", "/?token=b", f"/?token={TOKEN}x", "/takes/1.mid"):
        assert server.get(path).status == 403, path


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example"]
)
def test_a_request_to_another_host_is_refused(server: Server, host: str) -> None:
    assert server.get(f"/?token={TOKEN}", Host=host).status == 421
    assert server.get("/page/app.js", Host=host).status == 421


def test_localhost_is_this_host(server: Server) -> None:
    assert server.get(f"/?token={TOKEN}", Host=f"localhost:{server.process.port}").status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1"])
def test_a_request_from_another_origin_is_refused(server: Server, origin: str) -> None:
    assert server.get(f"/?token={TOKEN}", Origin=origin).status == 403
    with pytest.raises(InvalidStatus), server.page(origin=origin):
        pass


def test_a_socket_needs_the_token(server: Server) -> None:
    with pytest.raises(InvalidStatus), server.page(token="b"):
        pass


def test_no_inline_script_and_no_other_site_is_allowed(server: Server) -> None:
    response = server.get(f"/?token={TOKEN}")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "server" not in response.headers
    body = response.body.decode()  # type: ignore[attr-defined]
    assert "http://" not in body
    assert "https://" not in body


def test_nothing_outside_the_folder_of_the_page_is_served(server: Server) -> None:
    for path in ("/page/../server.py", "/page/%2e%2e/server.py", "/page//etc/passwd"):
        assert server.get(path).status == 404, path


def test_it_listens_on_loopback_alone(server: Server) -> None:
    other = socket.socket()
    other.bind(("127.0.0.2", server.process.port))  # free, since it does not listen on all
    other.close()


def test_a_port_that_is_taken_is_told_in_a_line(server: Server) -> None:
    second = Server(port=server.process.port)
    with second.process, pytest.raises(PortError, match=r"another with --port"):
        second.process.wait_until_listening()


# What pages play.


def test_what_a_page_plays_is_passed_on_and_released_when_it_closes(own_server: Server) -> None:
    with own_server.page() as page:
        name = told(page, "role")["page"]
        note(page)
        until(lambda: "midi" in own_server.kinds())
        closed = time.monotonic()
    until(lambda: {"t": "gone", "page": name} in own_server.asked)
    assert time.monotonic() - closed < 5.0


def test_a_page_that_falls_silent_with_a_key_down_is_released(own_server: Server) -> None:
    with own_server.page() as page:
        note(page)
        assert told(page, "released")
        until(lambda: own_server.kinds()[-1] == "gone")


def test_a_socket_that_vanishes_without_a_word_is_released(own_server: Server) -> None:
    with own_server.page() as page:
        note(page)
        until(lambda: "midi" in own_server.kinds())
        os.close(os.dup(page.socket.fileno()))
        page.socket.shutdown(socket.SHUT_RDWR)
        until(lambda: "gone" in own_server.kinds())


def test_a_second_page_watches_until_it_is_told_to_play(own_server: Server) -> None:
    with own_server.page() as first, own_server.page() as second:
        assert told(first, "role")["plays"]
        assert not told(second, "role")["plays"]
        note(second, 61)
        note(first, 62)
        until(lambda: "midi" in own_server.kinds())
        assert [m["m"][1] for m in own_server.asked if m["t"] == "midi"] == [62]
        say(second, t="play_here")
        until(lambda: "gone" in own_server.kinds())  # what the first held is released
        note(second, 63)
        until(lambda: own_server.kinds().count("midi") == 2)


def test_the_page_that_is_left_may_play(own_server: Server) -> None:
    with own_server.page() as first, own_server.page() as second:
        assert told(first, "role")["plays"]
        first.close()
        while not told(second, "role")["plays"]:
            pass


def test_with_shared_all_pages_play() -> None:
    running = Server(shared=True)
    with running.process:
        running.process.wait_until_listening()
        with running.page() as first, running.page() as second:
            note(first, 60)
            note(second, 61)
            until(lambda: running.kinds().count("midi") == 2)
            assert len({m["page"] for m in running.asked if m["t"] == "midi"}) == 2


def test_a_new_page_is_told_what_stands_and_what_happened_last(own_server: Server) -> None:
    own_server.process.send([{"t": "heard", "at": 1.0, "m": [144, 60, 80], "page": None}])
    own_server.process.send([{"t": "state", "n": 7}])

    def first_told() -> list[Message]:
        with own_server.page() as page:
            first: list[Message] = json.loads(page.recv(timeout=20))
            return first if {"t": "state", "n": 7} in first else []

    told_first = until(first_told)
    assert [message["t"] for message in told_first] == ["role", "about", "state", "heard"]


def test_a_ping_is_answered_with_the_time(own_server: Server) -> None:
    with own_server.page() as page:
        before = time.monotonic()
        say(page, t="ping", c=3.5)
        pong = told(page, "pong")
        assert pong["c"] == 3.5
        assert before <= pong["s"] <= time.monotonic()


# What it survives.


def random_message(rng: random.Random) -> str | bytes:
    """Something that a broken or hostile page might send."""
    kinds = ["midi", "turn", "press", "store", "load", "model", "record", "ping", "x", None, 3]
    values = [None, True, -1, 1e308, [144, 60, 80], [1] * 50, "\u202e\x00", "a" * 3000, {}, "panic"]
    names = ["m", "at", "knob", "value", "name", "preset", "on", "c", "__proto__"]
    choice = rng.randrange(4)
    if choice == 0:
        return rng.randbytes(rng.randrange(64))
    if choice == 1:
        return "".join(chr(rng.randrange(1, 0xD800)) for _ in range(rng.randrange(40)))
    fields = {rng.choice(names): rng.choice(values) for _ in range(rng.randrange(4))}
    text = json.dumps({"t": rng.choice(kinds), **fields})
    return text if choice == 2 else text[: rng.randrange(len(text))]


def test_ten_thousand_messages_that_mean_nothing_do_no_harm(
    own_server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    rng, sent = random.Random(1), 0
    while sent < FUZZ_MESSAGES:
        try:
            with own_server.page() as page:
                for _ in range(FUZZ_MESSAGES - sent):
                    page.send(random_message(rng))
                    sent += 1
        except ConnectionClosed:
            continue  # it was refused often enough
    with own_server.page() as page:
        say(page, t="ping", c=1.0)
        assert told(page, "pong")
    allowed = {"midi", "turn", "press", "store", "load", "model", "record", "gone"}
    assert set(own_server.kinds()) <= allowed
    assert own_server.starts == 1
    assert capfd.readouterr().err == ""


def test_a_page_that_sends_nonsense_is_closed(own_server: Server) -> None:
    with own_server.page() as page, pytest.raises(ConnectionClosed) as closed:
        for _ in range(MOST_REFUSED):
            page.send("nonsense")
        while True:
            page.recv(timeout=20)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


def test_a_huge_message_closes_its_page_alone(own_server: Server) -> None:
    with own_server.page() as other:
        with own_server.page() as page, pytest.raises(ConnectionClosed):
            page.send("x" * 1_000_000)
            while True:
                page.recv(timeout=20)
        say(other, t="ping", c=1.0)
        assert told(other, "pong")


def test_a_flood_of_requests_is_cut_off(own_server: Server) -> None:
    with own_server.page() as page, pytest.raises(ConnectionClosed):
        for number in range(5000):
            say(page, t="turn", knob="density", value=float(number))
        while True:
            page.recv(timeout=20)
    assert own_server.kinds().count("turn") < 3000


def test_a_page_that_reads_nothing_holds_nobody_up(own_server: Server) -> None:
    padding = "x" * 100_000
    with own_server.page() as slow, own_server.page() as quick:
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        for number in range(MOST_WAITING + 100):
            own_server.process.send([{"t": "line", "text": padding, "n": number}])
            told(quick, "line")
        say(quick, t="ping", c=1.0)
        assert told(quick, "pong")


def test_there_are_only_so_many_pages(own_server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(MOST_PAGES):
            told(stack.enter_context(own_server.page()), "role")
        with own_server.page() as another, pytest.raises(ConnectionClosed):
            another.recv(timeout=20)


def test_a_server_that_is_killed_comes_back_at_the_same_address(own_server: Server) -> None:
    port, first = own_server.process.port, own_server.process.process_id
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: own_server.starts == 2)
    assert own_server.process.port == port
    assert own_server.process.process_id != first
    assert own_server.lost == ["the page's server has died: it is started again"]
    with own_server.page() as page:
        assert told(page, "about")["n"] == 2


LISTENS_ONCE = """
import json, os, sys
sys.stdin.buffer.readline()
if not os.path.exists(sys.argv[1]):
    open(sys.argv[1], "w").close()
    print(json.dumps({"t": "listening", "port": 8642}))
else:
    print(json.dumps({"t": "failed", "why": "port 8642 is taken"}))
"""


def test_a_server_that_cannot_listen_again_is_told(tmp_path: Path) -> None:
    lost: list[str] = []
    process = ServerProcess(
        {"port": 8642, "spare": False},
        on_message=lambda message: None,
        on_start=lambda: None,
        on_lost=lost.append,
        command=[sys.executable, "-c", LISTENS_ONCE, str(tmp_path / "listened")],
    )
    with process:
        until(lambda: len(lost) == 2)
    assert lost == [
        "the page's server has died: it is started again",
        "port 8642 is taken. The page stays away, and the music goes on",
    ]


def test_a_server_that_dies_while_it_is_closed_is_not_started_again() -> None:
    process = ServerProcess(
        {"port": 8642, "spare": False},
        on_message=lambda message: None,
        on_start=lambda: None,
        on_lost=lambda text: process.close(),  # just before it would be started again
        command=[sys.executable, "-c", "import sys; sys.stdin.buffer.readline()"],
    )
    process.start()
    first, reading = process.process_id, process._thread
    assert reading is not None
    reading.join(20)
    assert process.process_id == first
    assert process._thread is reading


def test_nothing_that_pages_are_told_comes_before_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow_line_of(messages: Sequence[Message]) -> bytes:
        time.sleep(0.3 if messages[0]["t"] == "settings" else 0.01)
        return line_of(messages)

    monkeypatch.setattr(server_process, "line_of", slow_line_of)
    starting, over = Server(), threading.Event()

    def tell() -> None:
        while not over.is_set():
            starting.process.send([{"t": "state"}])

    telling = threading.Thread(target=tell)
    telling.start()
    try:
        with starting.process:
            starting.process.wait_until_listening()
    finally:
        over.set()
        telling.join()
    assert starting.lost == []


def test_a_server_that_hangs_is_noticed(own_server: Server) -> None:
    process = own_server.process
    assert process.process_id is not None
    os.kill(process.process_id, signal.SIGSTOP)
    until(lambda: process.silent_seconds > 0.4)
    os.kill(process.process_id, signal.SIGCONT)
    until(lambda: process.silent_seconds < 0.3)
