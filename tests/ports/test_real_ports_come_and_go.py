"""Devices and servers that vanish and return, for real: over JACK, watched by another process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from midirnn.ports import Message, open_input, open_output
from midirnn.ports.lasting import HeldDown, LastingInput, LastingOutput
from midirnn.ports.watch import PortWatch
from tests.jack import JackServer
from tests.jack_fixture import jack_fixture

LIMIT_SECONDS = 60.0
NOTICED_SECONDS = 15.0

LISTENER = """
import sys
from midirnn.ports import open_input
def show(message, seconds):
    print(*message, flush=True)
with open_input("Stage Piano", show, virtual=True, api="jack"):
    print("ready", flush=True)
    sys.stdin.read()
"""


jack_server = jack_fixture()


@contextmanager
def synthesizer() -> Iterator[subprocess.Popen[str]]:
    """A process with a MIDI input, as soon as it is ready; it prints what it hears."""
    with subprocess.Popen(
        [sys.executable, "-c", LISTENER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        limit = threading.Timer(LIMIT_SECONDS, process.kill)
        limit.start()
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            limit.cancel()
            process.kill()


def next_heard(process: subprocess.Popen[str]) -> tuple[int, ...]:
    assert process.stdout is not None
    return tuple(map(int, process.stdout.readline().split()))


def wait_until(true: Callable[[], bool], seconds: float = LIMIT_SECONDS) -> float:
    """How long it took to become true."""
    start = time.monotonic()
    while not true() and time.monotonic() < start + seconds:
        time.sleep(0.01)
    assert true()
    return time.monotonic() - start


def opened_output(name: str, api: str) -> LastingOutput:
    port = open_output(name, api=api)
    return LastingOutput(port, lambda name, api: open_output(name, api=api))


def test_a_synthesizer_that_leaves_and_returns_is_played_on(jack_server: JackServer) -> None:
    with synthesizer() as first:
        output = opened_output("stage piano", "jack")
        with PortWatch([output.look], api="jack"), output:
            output.send((0x90, 60, 64))
            assert next_heard(first) == (0x90, 60, 64)
            time.sleep(1.0)
            assert output.present
            first.kill()
            assert wait_until(lambda: not output.present) < NOTICED_SECONDS
            output.send((0x90, 62, 64))
            with synthesizer() as second:
                wait_until(lambda: output.present)
                output.send((0x90, 64, 64))
                heard = [next_heard(second) for _ in range(4)]
    assert heard == [(0x80, 60, 0), (0xB0, 64, 0), (0xB0, 123, 0), (0x90, 64, 64)]


def test_a_server_that_dies_and_returns_finds_us_again(jack_server: JackServer) -> None:
    heard: list[Message] = []
    held = HeldDown(lambda message, seconds: heard.append(message))
    told: list[str] = []

    output = LastingOutput(
        open_output("voice", virtual=True, api="jack"),
        lambda name, api: open_output(name, virtual=True, api=api),
        virtual=True,
        tell=told.append,
    )
    ear = LastingInput(
        open_input("ear", held, virtual=True, api="jack"),
        lambda name, api: open_input(name, held, virtual=True, api=api),
        held,
        virtual=True,
        tell=told.append,
    )
    with PortWatch([output.look, ear.look], api="jack"), output, ear:
        with open_output("ear", api="jack") as keys:
            keys.send((0x90, 50, 64))
            wait_until(lambda: heard == [(0x90, 50, 64)])
        time.sleep(1.0)
        assert told == []
        held_up = longest_pause()
        jack_server.kill()
        assert wait_until(lambda: not (output.present or ear.present)) < NOTICED_SECONDS
        assert heard[-1] == (0x80, 50, 0)
        output.send((0x90, 60, 64))
        jack_server.start()
        wait_until(lambda: output.present and ear.present)
        # No thread waited for the dead server. A busy machine takes tenths of a second, too.
        assert held_up() < 0.6
        listened: list[Message] = []
        with (
            open_output("ear", api="jack") as keys,
            open_input("voice", lambda message, seconds: listened.append(message), api="jack"),
        ):
            keys.send((0x90, 52, 64))
            wait_until(lambda: heard[-1] == (0x90, 52, 64))
            output.send((0x90, 67, 64))
            wait_until(lambda: (0x90, 67, 64) in listened)
    assert sorted(told) == [
        "input 'ear' has vanished; waiting for it to return",
        "input 'ear' is back",
        "output 'voice' has vanished; waiting for it to return",
        "output 'voice' is back",
    ]


def longest_pause() -> Callable[[], float]:
    """A function that ends a measurement: the longest time for which no thread could run."""
    longest, measuring = [0.0], [True]

    def measure() -> None:
        last = time.monotonic()
        while measuring[0]:
            time.sleep(0.005)
            now = time.monotonic()
            longest[0] = max(longest[0], now - last)
            last = now

    thread = threading.Thread(target=measure, daemon=True)
    thread.start()

    def end() -> float:
        measuring[0] = False
        thread.join()
        return longest[0]

    return end


def test_a_server_that_stands_still_is_not_taken_for_dead(jack_server: JackServer) -> None:
    with synthesizer():
        output = opened_output("stage piano", "jack")
        with PortWatch([output.look], api="jack") as watch, output:
            wait_until(lambda: watch._child is not None)
            time.sleep(1.0)
            jack_server.freeze()
            time.sleep(2.0)
            assert output.present
            jack_server.thaw()
            time.sleep(1.0)
            assert output.present


def test_a_watch_that_is_killed_starts_again_and_goes_on(jack_server: JackServer) -> None:
    with synthesizer() as first:
        output = opened_output("stage piano", "jack")
        with PortWatch([output.look], api="jack") as watch, output:
            wait_until(lambda: watch._child is not None)
            child = watch._child
            assert child is not None
            child.kill()
            wait_until(lambda: watch._child not in (None, child))
            first.kill()
            wait_until(lambda: not output.present)
