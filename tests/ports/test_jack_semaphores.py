"""Clients that a JACK server cannot reach are recognised, and made again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from midirnn.ports import open_input, systems
from midirnn.ports.base import Message
from midirnn.ports.jack_semaphores import Semaphores, is_reachable, mapped_semaphores
from tests.jack_fixture import jack_fixture
from tests.ports.fake_rtmidi import FakeRtMidi

jack_server = jack_fixture()

MAPS = """\
7f1c00000000-7f1c00021000 rw-p 00000000 00:00 0
7f1c79b00000-7f1c79b28000 r--p 00000000 08:01 3931 /usr/lib/x86_64-linux-gnu/libc.so.6
7f1c79c00000-7f1c79c01000 rw-s 00000000 00:19 12 /dev/shm/jack_sem.0_default_midirnn
7f1c79d00000-7f1c79d01000 rw-s 00000000 00:19 13 /dev/shm/jack_sem.0_default_lsp (deleted)
7f1c79e00000-7f1c79e01000 rw-s 00000000 00:19 14 /dev/shm/jack_sem.0_default_midirnn watch
"""
FIRST = ("12", "/dev/shm/jack_sem.0_default_midirnn")
SECOND = ("15", "/dev/shm/jack_sem.0_default_midirnn-01")
OTHER = ("13", "/dev/shm/jack_sem.0_default_lsp (deleted)")

OPENS_TWO = """
from midirnn.ports import open_input, open_output
from midirnn.ports.jack_semaphores import is_reachable, mapped_semaphores
none = mapped_semaphores()
with open_output("out", virtual=True, api="jack"):
    one = mapped_semaphores()
    with open_input("in", print, virtual=True, api="jack"):
        two = mapped_semaphores()
        print(len(none), is_reachable("midirnn", none, one), is_reachable("midirnn", one, two))
        print(is_reachable("midirnn", one, one), is_reachable("nobody", one, two))
"""


def test_a_process_knows_its_semaphores(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text(MAPS, encoding="utf-8")
    watch = ("14", "/dev/shm/jack_sem.0_default_midirnn watch")
    assert mapped_semaphores(maps) == {FIRST, OTHER, watch}
    assert mapped_semaphores(tmp_path / "there is none") == frozenset()


@pytest.mark.parametrize(
    ("before", "after", "reachable"),
    [
        ((), (FIRST,), True),
        ((), (), True),  # PipeWire's library has no such semaphores
        ((FIRST,), (FIRST, SECOND), True),
        ((FIRST,), (FIRST, ("15", FIRST[1])), True),  # the name was free again
        ((FIRST, OTHER), (FIRST, OTHER), False),
        ((FIRST,), (FIRST, OTHER), False),
        ((FIRST,), (FIRST, ("16", "/dev/shm/jack_sem.0_default_midirnn watch")), False),
    ],
)
def test_a_client_is_reachable_if_it_brought_a_semaphore(
    before: tuple[tuple[str, str], ...], after: tuple[tuple[str, str], ...], reachable: bool
) -> None:
    assert is_reachable("midirnn", frozenset(before), frozenset(after)) is reachable


def test_names_may_have_any_characters() -> None:
    own = ("17", "/dev/shm/jack_sem.0_default_my_(keys)+")
    assert is_reachable("my/(keys)+", frozenset({FIRST}), frozenset({FIRST, own}))


def never(message: Message, seconds: float) -> None:
    raise AssertionError("nothing was to arrive")


@pytest.mark.parametrize("failures", [0, 1, 3])
def test_a_client_that_is_not_reachable_is_made_again(
    failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = iter_semaphores(failures)
    monkeypatch.setattr(systems, "mapped_semaphores", lambda: next(seen))
    monkeypatch.setattr(systems, "_PAUSE_SECONDS", 0.0)
    module = FakeRtMidi({"API_UNIX_JACK": []})
    monkeypatch.setitem(sys.modules, "rtmidi", module)
    open_input("in", never, virtual=True, api="jack").close()
    # The fourth is kept in any case: better a doubtful port than none.
    assert len(module.clients) == failures + 1
    assert all(client.done == ["delete"] for client in module.clients[:-1])


def iter_semaphores(failures: int) -> Iterator[Semaphores]:
    """Those before and after each client, the first ``failures`` of which bring none."""
    for _ in range(failures):
        yield frozenset({FIRST, OTHER})
        yield frozenset({FIRST, OTHER})
    yield frozenset({FIRST})
    yield frozenset({FIRST, SECOND})


@pytest.mark.skipif(sys.platform != "linux", reason="the semaphores are files on Linux only")
def test_both_clients_of_a_process_have_one_with_a_real_server(jack_server: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OPENS_TWO], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == ["0 True True", "False False"], done.stderr
