"""Devices that vanish and return, under a changed number too: what is sent, and what is told."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

import pytest

from midirnn.errors import PortError
from midirnn.ports import MemoryInput, MemoryOutput, Message, PortListing, PortRow
from midirnn.ports.lasting import HeldDown, LastingInput, LastingOutput
from midirnn.ports.midi_clock import CLOCK, CONTINUE, START, STOP, song_position
from midirnn.ports.systems import SystemFailure
from midirnn.ports.watch import Lister, PortWatch, Sight
from tests.ports.fake_rtmidi import FakeRtMidi

LIMIT_SECONDS = 20.0
ENDINGS: list[Message] = [(0xB0, 64, 0), (0xB0, 123, 0)]
NO_SERVER = SystemFailure("jack", "no server is running")


class FakeOutput(MemoryOutput):
    """An output of a MIDI system, in memory."""

    def __init__(
        self, name: str, api: str = "alsa", clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(name=name, clock=clock)
        self.api = api
        self.abandoned = False

    def abandon(self) -> None:
        self.abandoned = True


class FakeInput(MemoryInput):
    """An input of a MIDI system, in memory."""

    def __init__(self, name: str, callback: Callable[[Message, float], None]) -> None:
        super().__init__(callback, name=name)
        self.api = "alsa"

    def abandon(self) -> None:
        raise AssertionError("an ALSA port can be closed")


class Machine:
    """Outputs that can be opened, and were; what was told about them."""

    def __init__(self, name: str = "Synth 20:0", api: str = "alsa", *, virtual: bool = False):
        self.opened = [FakeOutput(name, api)]
        self.asked: list[str] = []
        self.told: list[str] = []
        self.failure: PortError | None = None
        self.accepts_messages = True
        self.lasting = LastingOutput(
            self.opened[0], self.open, virtual=virtual, tell=self.told.append
        )

    def open(self, name: str, api: str) -> FakeOutput:
        self.asked.append(name)
        if self.failure:
            raise self.failure
        self.opened.append(FakeOutput(name, api))
        if not self.accepts_messages:
            self.opened[-1].fail()
        return self.opened[-1]

    def see(self, *names: str, api: str = "alsa", ours: tuple[str, ...] = ()) -> None:
        rows = [PortRow(api, "output", name) for name in names]
        rows += [PortRow(api, "input", name) for name in ours]
        self.lasting.look(Sight(time.monotonic(), PortListing(tuple(rows))))

    def see_no_server(self) -> None:
        self.lasting.look(Sight(time.monotonic(), PortListing(failures=(NO_SERVER,))))


def test_a_device_that_stays_is_left_alone() -> None:
    machine = Machine()
    machine.see("Synth 20:0", "Other 24:0")
    machine.lasting.send((0x90, 60, 64))
    assert machine.opened[0].messages == [(0x90, 60, 64)]
    assert machine.told == []


def test_a_device_that_returns_under_another_number_plays_on_without_the_notes_it_had() -> None:
    machine = Machine()
    for message in [(0x90, 60, 64), (0x90, 64, 64), (0x80, 64, 0), (0x90, 67, 64)]:
        machine.lasting.send(message)
    machine.see("Other 24:0")
    machine.lasting.send((0x90, 72, 64))
    assert machine.opened[0].closed
    machine.see("Synth 28:0")
    machine.lasting.send((0x90, 74, 64))
    assert machine.asked == ["Synth 28:0"]
    assert machine.opened[0].messages[-1] == (0x90, 67, 64)
    # The note-off of 64 may have been lost: it was sent just before the device was missed.
    released: list[Message] = [(0x80, 60, 0), (0x80, 67, 0), (0x80, 64, 0), *ENDINGS]
    assert machine.opened[1].messages == [*released, (0x90, 74, 64)]
    assert machine.told == [
        "output 'Synth 20:0' has vanished; waiting for it to return",
        "output 'Synth 28:0' is back",
    ]


def test_a_device_that_returns_has_the_program_that_it_was_told_last() -> None:
    machine = Machine()
    machine.lasting.send((0xC0, 5))
    machine.lasting.send((0xC1, 19))
    machine.see()
    machine.lasting.send((0xC0, 7))
    machine.see("Synth 20:0")
    assert machine.opened[1].messages == [(0xC0, 7), (0xC1, 19)]


def test_a_pedal_that_was_down_on_a_device_that_vanished_is_lifted_on_its_return() -> None:
    machine = Machine()
    machine.lasting.send((0xB0, 64, 127))
    machine.see()
    machine.see("Synth 28:0")
    assert machine.opened[1].messages == ENDINGS


@pytest.mark.parametrize("clocks_away", [0, 1, 5, 6, 1000])
def test_a_device_that_returns_goes_on_where_the_song_is(clocks_away: int) -> None:
    machine = Machine()
    for message in [(START,), *[(CLOCK,)] * 40]:
        machine.lasting.send(message)
    machine.see()
    for _ in range(clocks_away):
        machine.lasting.send((CLOCK,))
    machine.see("Synth 20:0")
    for _ in range(20):
        machine.lasting.send((CLOCK,))
    sent = machine.opened[1].messages
    begins = sent.index((CONTINUE,)) - 1
    assert sent[begins] == song_position((40 + clocks_away + begins) // 6)
    assert (40 + clocks_away + begins) % 6 == 0
    assert sent[:begins] == [(CLOCK,)] * begins
    assert sent[begins + 2 :] == [(CLOCK,)] * (20 - begins)


@pytest.mark.parametrize("meanwhile", [(), (STOP,)])
def test_a_device_that_returns_is_told_of_no_song_that_does_not_run(
    meanwhile: tuple[int, ...],
) -> None:
    machine = Machine()
    messages: list[Message] = [(START,), (CLOCK,)] if meanwhile else []
    for message in messages:
        machine.lasting.send(message)
    machine.see()
    for status in meanwhile:
        machine.lasting.send((status,))
    machine.see("Synth 20:0")
    later: list[Message] = [*[(CLOCK,)] * 12, song_position(300), (CONTINUE,), *[(CLOCK,)] * 7]
    for message in later:
        machine.lasting.send(message)
    # It may be told twice, which does no harm.
    sent = machine.opened[1].messages
    assert sent[:14] == later[:14]
    assert [message for message in sent[14:] if message == (CLOCK,)] == [(CLOCK,)] * 7
    assert set(sent[14:]) == {song_position(300), (CONTINUE,), (CLOCK,)}


def test_whoever_wants_to_know_learns_the_name_under_which_a_device_has_returned() -> None:
    machine = Machine()
    names: list[str] = []
    machine.lasting.on_return = lambda: names.append(machine.lasting.name)
    machine.see("Synth 20:0")
    machine.see()
    assert names == []
    machine.see("Synth 28:0")
    assert names == ["Synth 28:0"]


def test_a_twin_does_not_take_the_place_of_the_device_that_has_gone() -> None:
    machine = Machine()
    machine.see("Synth 20:0", "Synth 24:0")
    machine.see("Synth 24:0")
    assert machine.asked == []
    machine.see("Synth 24:0", "Synth 28:0")
    assert machine.asked == ["Synth 28:0"]


def test_a_device_that_was_plugged_in_again_between_two_looks_is_opened_again() -> None:
    machine = Machine()
    machine.see("Synth 24:0")
    assert machine.asked == ["Synth 24:0"]


def test_a_device_that_is_not_ready_yet_is_tried_again() -> None:
    machine = Machine()
    machine.see()
    machine.failure = PortError("not ready")
    machine.see("Synth 20:0")
    assert not machine.lasting.present
    machine.failure = None
    machine.see("Synth 20:0")
    assert machine.lasting.present
    assert len(machine.asked) == 2


def test_a_device_that_goes_again_while_its_notes_are_ended_is_closed_and_tried_again() -> None:
    machine = Machine()
    machine.lasting.send((0x90, 60, 64))
    machine.see()
    machine.accepts_messages = False
    machine.see("Synth 28:0")
    machine.see("Synth 28:0")
    assert [port.closed for port in machine.opened] == [True, True, True]
    assert not machine.lasting.present
    machine.accepts_messages = True
    machine.see("Synth 28:0")
    assert machine.opened[3].messages[0] == (0x80, 60, 0)
    assert machine.told[1:] == ["output 'Synth 28:0' is back"]
    machine.lasting.close()
    assert machine.opened[3].closed


def test_what_was_seen_before_a_port_was_opened_says_nothing_about_it() -> None:
    machine = Machine()
    machine.lasting.look(Sight(time.monotonic() - 10.0, PortListing()))
    assert machine.lasting.present


def test_ports_of_a_server_that_died_are_abandoned_and_opened_again_when_it_returns() -> None:
    machine = Machine("synth:in", "jack")
    machine.see("synth:in", api="jack", ours=("midirnn:output",))
    assert machine.lasting.present
    machine.see_no_server()
    assert machine.opened[0].abandoned
    assert not machine.opened[0].closed
    machine.see(api="jack")
    assert machine.asked == []  # the server is back, the synthesizer is not
    machine.see("synth:in", api="jack")
    assert machine.asked == ["synth:in"]
    assert machine.lasting.present


def test_a_server_that_was_started_anew_between_two_looks_is_noticed_by_our_missing_end() -> None:
    machine = Machine("synth:in", "jack")
    machine.see("synth:in", api="jack")
    assert machine.opened[0].abandoned
    assert machine.asked == ["synth:in"]


def test_a_jack_port_whose_device_alone_has_gone_is_closed() -> None:
    machine = Machine("synth:in", "jack")
    machine.see(api="jack", ours=("midirnn-01:output",))
    assert machine.opened[0].closed
    assert not machine.opened[0].abandoned


def test_a_port_of_our_own_is_made_again_with_its_server() -> None:
    machine = Machine("midirnn out", "jack", virtual=True)
    machine.see(api="jack", ours=("midirnn:midirnn out",))
    assert machine.lasting.present
    machine.see_no_server()
    assert not machine.lasting.present
    machine.see(api="jack")
    assert machine.asked == ["midirnn out"]


def test_an_output_that_fails_is_opened_again() -> None:
    machine = Machine()
    machine.opened[0].fail()
    machine.lasting.send((0x90, 60, 64))
    machine.see("Synth 20:0")
    machine.lasting.send((0x90, 62, 64))
    assert machine.opened[0].closed
    assert machine.opened[1].messages[-1] == (0x90, 62, 64)


def test_a_closed_port_is_not_opened_again() -> None:
    machine = Machine()
    machine.see()
    machine.lasting.close()
    machine.see("Synth 20:0")
    assert machine.asked == []


def test_keys_and_pedals_that_were_down_are_let_go_when_their_device_goes() -> None:
    heard: list[Message] = []
    held = HeldDown(lambda message, seconds: heard.append(message))
    port = FakeInput("Keys 20:0", held)
    lasting = LastingInput(port, lambda name, api: FakeInput(name, held), held)
    for message in [(0x90, 60, 64), (0x91, 62, 64), (0x90, 60, 0), (0xB1, 64, 127), (0xB0, 64, 0)]:
        port.feed(message)
    heard.clear()
    lasting.look(Sight(time.monotonic(), PortListing()))
    assert heard == [(0x81, 62, 0), (0xB1, 64, 0)]


# The watch itself.


class Sights:
    """What a watch told, and a way to wait for it."""

    def __init__(self) -> None:
        self.seen: list[Sight] = []
        self._more = threading.Condition()

    def look(self, sight: Sight) -> None:
        with self._more:
            self.seen.append(sight)
            self._more.notify_all()

    def wait_for(self, count: int) -> list[Sight]:
        with self._more:
            assert self._more.wait_for(lambda: len(self.seen) >= count, LIMIT_SECONDS)
            return list(self.seen)


SIGHT = Sight(3.5, PortListing((PortRow("alsa", "input", "Ünder\n20:0"),), (NO_SERVER,)))


def test_a_sight_survives_its_line() -> None:
    line = SIGHT.to_line()
    assert "\n" not in line
    assert Sight.from_line(line) == SIGHT


def test_a_child_that_dies_is_started_again_and_nonsense_is_passed_over() -> None:
    code = f"print({SIGHT.to_line()!r}); print('nonsense')"
    sights = Sights()
    with PortWatch([sights.look], command=[sys.executable, "-c", code]):
        assert sights.wait_for(2) == [SIGHT, SIGHT]


def test_a_child_that_is_stuck_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("midirnn.ports.watch.SILENT_SECONDS", 0.5)
    code = f"import time; print({SIGHT.to_line()!r}, flush=True); time.sleep(60)"
    sights = Sights()
    with PortWatch([sights.look], command=[sys.executable, "-c", code]):
        assert sights.wait_for(2) == [SIGHT, SIGHT]


def test_the_child_ends_with_the_watch() -> None:
    sights = Sights()
    with PortWatch([sights.look], api="jack", poll_seconds=0.05) as watch:
        sights.wait_for(2)
        child = watch._child
        assert child is not None
    assert child.returncode == 0


def test_alsa_is_listed_by_the_same_clients_and_jack_by_new_ones() -> None:
    rtmidi = FakeRtMidi({"API_LINUX_ALSA": ["Keys 20:0"], "API_UNIX_JACK": ["synth:in"]})
    lister = Lister(rtmidi)
    first = lister.listing()
    assert first is not None
    assert {(row.api, row.name) for row in first.ports} == {
        ("alsa", "Keys 20:0"),
        ("jack", "synth:in"),
    }
    made = len(rtmidi.clients)
    rtmidi.systems[2].append("Synth 24:0")  # type: ignore[union-attr]
    second = lister.listing()
    assert second is not None
    assert "Synth 24:0" in {row.name for row in second.ports}
    assert [client.api for client in rtmidi.clients[made:]] == [3, 3]


def test_a_system_that_does_not_answer_is_asked_again() -> None:
    rtmidi = FakeRtMidi({"API_LINUX_ALSA": OSError("no sequencer")})
    lister = Lister(rtmidi)
    first = lister.listing()
    assert first is not None
    assert [failure.api for failure in first.failures] == ["alsa"]
    rtmidi.systems[2] = ["Keys 20:0"]
    second = lister.listing()
    assert second is not None
    assert [row.name for row in second.ports] == ["Keys 20:0", "Keys 20:0"]


def test_a_server_that_is_too_busy_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("midirnn.ports.systems._PAUSE_SECONDS", 0.0)
    rtmidi = FakeRtMidi({"API_UNIX_JACK": ["synth:in"]})
    rtmidi.refusals = 8
    assert Lister(rtmidi).listing() is None
