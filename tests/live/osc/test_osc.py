"""Other programs play, steer and watch a session over OSC, and cannot harm it."""

from __future__ import annotations

import itertools
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pythonosc.osc_message_builder import build_msg
from pythonosc.osc_packet import OscPacket

from midirnn.cli.main import main
from midirnn.errors import OptionError, PortError
from midirnn.live import LiveConfig
from midirnn.live.controls.knobs import KNOBS, PRESETS
from midirnn.live.osc.addresses import ADDRESSES, ROOT, TOLD
from midirnn.live.osc.port import OscPort, address_of
from midirnn.live.osc.teller import Teller
from midirnn.live.output import scheduler
from midirnn.live.rig import Rig
from midirnn.ports import MemoryOutput
from tests.live.osc.sessions import free_ports, served, until
from tests.live.stage import is_note_on, write_tiny_model

FUZZ_PACKETS = 3_000


class Patch:
    """Another program: it sends to a session, and keeps what it is told."""

    def __init__(self, port: int, to: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", to))
        self.socket.settimeout(0.05)
        self.port = port
        self.told: list[tuple[str, tuple[Any, ...]]] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()

    def _listen(self) -> None:
        while not self.over.is_set():
            try:
                data = self.socket.recv(65_536)
            except (TimeoutError, ConnectionError):
                continue
            (timed,) = OscPacket(data).messages
            self.told.append((timed.message.address, tuple(timed.message.params)))

    def send_bytes(self, data: bytes) -> None:
        self.socket.sendto(data, ("127.0.0.1", self.port))

    def send(self, path: str, *arguments: Any) -> None:
        self.send_bytes(build_msg(f"{ROOT}/{path}", list(arguments)).dgram)

    def last(self, path: str) -> tuple[Any, ...] | None:
        found = [arguments for told, arguments in list(self.told) if told == f"{ROOT}/{path}"]
        return found[-1] if found else None

    def until_told(self, path: str, *arguments: Any) -> None:
        until(lambda: (f"{ROOT}/{path}", arguments) in list(self.told), f"{path} {arguments}")

    def close(self) -> None:
        self.over.set()
        self.thread.join()
        self.socket.close()


@contextmanager
def running(model: str, **options: Any) -> Iterator[tuple[Rig, MemoryOutput, Patch]]:
    """A session that runs in a thread, and a patch that talks to it."""
    port, to = free_ports()
    patch = Patch(port, to)
    try:
        with served(model, port, to, **options) as (rig, output):
            yield rig, output, patch
    finally:
        patch.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(autouse=True)
def no_realtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "go_first", lambda: None)  # not permitted everywhere


@pytest.fixture(scope="module")
def stage(model: str) -> Iterator[tuple[Rig, MemoryOutput, Patch]]:
    with running(model, silence_seconds=0.3) as found:
        yield found


Stage = tuple[Rig, MemoryOutput, Patch]


def test_a_phrase_over_osc_is_heard_and_answered(stage: Stage) -> None:
    _, output, patch = stage
    for pitch in (60, 64, 67):
        patch.send("note", pitch, 80)
        patch.send("note", float(pitch), 0.0)
    patch.until_told("heard", 60, 80)
    patch.until_told("heard", 67, 0)
    until(lambda: any(map(is_note_on, list(output.messages))), "an answer")
    until(lambda: patch.last("plan"), "a plan")
    until(lambda: patch.last("played"), "notes that were played")
    assert patch.last("surprise") is not None
    pitch, velocity, seconds = patch.last("plan") or (-1, -1, -1.0)
    assert 0 <= pitch <= 127
    assert 0 <= velocity <= 127
    assert seconds >= 0.0


def test_a_knob_is_turned_and_told_whoever_turned_it(stage: Stage) -> None:
    rig, _, patch = stage
    patch.send("knob/temperature", 0.5)
    patch.until_told("knob/temperature", 0.5)
    patch.send("fader/balance", 1.0)
    patch.until_told("knob/balance", 4.0)
    rig.session.turn("density", 8.0)
    patch.until_told("knob/density", 8.0)
    patch.send("knob/density", "free")
    patch.until_told("knob/density", "free")
    patch.send("knob/key", "A minor")
    patch.until_told("knob/key", "A minor")
    patch.send("knob/freeze", 1)
    patch.until_told("state/doing", "frozen")
    patch.send("knob/freeze", 0)
    until(lambda: rig.session.view().knobs["freeze"] is False, "thawed")
    assert rig.session.view().knobs["temperature"] == 0.5


def test_a_mode_and_switches_and_presets(stage: Stage) -> None:
    rig, _, patch = stage
    patch.send("preset/store", 3)
    patch.until_told("state/presets", 3)
    patch.send("preset/load", 3)
    patch.send("knob/mode", "autopilot")
    patch.until_told("state/doing", "playing")
    patch.send("press/panic", 0)  # a button that comes up presses nothing
    patch.send("knob/top_p", 0.75)
    patch.until_told("knob/top_p", 0.75)
    assert rig.session.view().plays
    patch.send("press/panic", 1)
    until(lambda: not rig.session.view().plays, "panic")
    patch.send("knob/mode", "call_and_response")
    patch.until_told("knob/mode", "call_and_response")


def test_the_whole_state_is_told_when_it_is_asked_for(stage: Stage) -> None:
    _, _, patch = stage
    patch.told.clear()
    patch.send("tell")
    named = {name for name in KNOBS if f"{ROOT}/knob/{name}" in ADDRESSES}
    until(
        lambda: named <= {path.rpartition("/")[2] for path, _ in list(patch.told)},
        "the value of every knob",
    )
    patch.until_told("state/bpm", 0.0)


def test_a_request_for_the_state_while_it_is_gathered_is_not_lost(stage: Stage) -> None:
    rig, _, _ = stage
    teller, view = Teller(), rig.session.view()

    class Gathered:
        """A view during whose reading the whole state is asked for."""

        def __getattr__(self, name: str) -> Any:
            teller.forget()
            return getattr(view, name)

    gathered: Any = Gathered()
    counts = []
    for each in (gathered, view, view):
        teller.tell_state(each, 0.0)
        counts.append(len(teller.take(0.0)))
    assert counts == [counts[0], counts[0], 0]


@pytest.mark.parametrize(
    ("path", "arguments", "why"),
    [
        ("knobs", (), "there is no address '/midirnn/knobs'"),
        ("knob/temperature", (9.0,), "allowed are 0.25 to 4"),
        ("knob/temperature", (), "it takes 1 argument, not 0"),
        ("knob/temperature", ("free",), "allowed are 0.25 to 4"),
        ("knob/mode", (1,), "allowed are call_and_response"),
        ("fader/balance", (1.5,), "a fader is at 1.5; allowed are 0 to 1"),
        ("note", (60,), "it takes 2 arguments, not 1"),
        ("note", (200, 80), "allowed are 0 to 127"),
        ("note", (60.5, 80), "60.5 is no whole number"),
        ("note", ("C4", 80), "'C4' is no number"),
        ("midi", (144, 60), "has 3 bytes, not 2"),
        ("preset/store", (129,), "allowed are 1 to 128"),
    ],
)
def test_what_means_nothing_is_refused_in_a_line(
    stage: Stage, path: str, arguments: tuple[Any, ...], why: str
) -> None:
    _, _, patch = stage
    patch.told.clear()
    patch.send(path, *arguments)
    (line,) = until(lambda: patch.last("error"), "a refusal")
    assert line.startswith(f"{ROOT}/{path}: ")
    assert why in line


def test_thousands_of_broken_packets_do_no_harm(stage: Stage, capfd: Any) -> None:
    rig, _, patch = stage
    chance = random.Random(1)
    good = build_msg(f"{ROOT}/knob/temperature", [0.5]).dgram
    nested = b"#bundle\0" + bytes(8)
    deep = b""
    for _ in range(400):
        deep = nested + len(deep).to_bytes(4, "big") + deep if deep else nested
    patch.send_bytes(deep)
    refused = rig._osc.refused if rig._osc else 0
    for _ in range(FUZZ_PACKETS):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 9)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        patch.send_bytes(bytes(data[: chance.randrange(len(data) + 1)]))

    values = itertools.cycle((0.625, 0.75))

    def is_turned() -> bool:
        # In a flood a packet may be lost, and what it changed is told only once.
        patch.send("knob/temperature", next(values))
        return patch.last("knob/temperature") in ((0.625,), (0.75,))

    until(is_turned, "a knob after the flood")
    assert rig._osc is not None
    assert rig._osc.refused > refused
    assert "Traceback" not in capfd.readouterr().err


def test_a_port_that_is_taken_is_told_in_a_line(model: str, capsys: Any) -> None:
    port, _ = free_ports()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port))
        with pytest.raises(PortError, match="Address already in use"):
            OscPort(port)
        flags = ["--mode", "autopilot", "--virtual", "--osc", str(port)]
        assert main(["live", "--model", model, *flags]) != 0
    assert capsys.readouterr().err.count("\n") == 1


def test_addresses_to_send_to_are_checked() -> None:
    assert address_of("127.0.0.1:57120") == ("127.0.0.1", 57120)
    for wrong in ("9001", "here:", "127.0.0.1:0", "127.0.0.1:70000", ":9001"):
        with pytest.raises(OptionError, match="is no address such as"):
            address_of(wrong)
    with pytest.raises(OptionError, match="osc-to"):
        LiveConfig(osc_to="127.0.0.1:9001")


def test_it_listens_on_loopback_unless_told(model: str) -> None:
    port, _ = free_ports()
    with OscPort(port) as osc:
        assert str(osc) == f"127.0.0.1:{port}, sends to 127.0.0.1:{port + 1}"


def test_what_the_end_of_a_session_ends_is_told(model: str) -> None:
    port, to = free_ports()
    patch = Patch(port, to)
    try:
        with served(model, port, to, mode="autopilot") as (rig, _):
            until(lambda: rig.session.scheduler.sounding, "a note")
        until(lambda: patch.told and patch.told[-1] == (f"{ROOT}/drop", ()), "the plan is dropped")
        played = [arguments for path, arguments in patch.told if path == f"{ROOT}/played"]
        assert not [pitch for pitch, velocity in dict(played).items() if velocity]
    finally:
        patch.close()


def test_the_documentation_has_every_address() -> None:
    text = (Path(__file__).parents[3] / "docs" / "osc.md").read_text(encoding="utf-8")
    rows = [row.strip("| ").split(" | ") for row in text.splitlines() if row.startswith("| `/")]
    told = {path.strip("`"): (arguments, summary) for path, arguments, summary in rows}
    known = {path: (a.arguments, a.summary) for path, a in ADDRESSES.items()} | TOLD
    assert told == known


def test_every_knob_has_an_address() -> None:
    named = {path.rpartition("/")[2] for path in ADDRESSES}
    assert set(KNOBS) - set(PRESETS) - {"store"} <= named
