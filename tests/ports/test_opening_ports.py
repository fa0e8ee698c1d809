from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from midirnn.errors import OptionError, PortError
from midirnn.ports import (
    Ignored,
    Message,
    PortRow,
    list_ports,
    open_input,
    open_output,
    systems,
)
from tests.ports.fake_rtmidi import FakeClient, FakeRtMidi

NO_SEQUENCER = OSError("MidiInAlsa::initialize: error creating ALSA sequencer client object.")
NO_SERVER = OSError("MidiInJack::initialize: JACK server not running?")
NOTE_ON = (0x90, 60, 64)

Use = Callable[[dict[str, list[str] | Exception]], FakeRtMidi]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    def install(systems: dict[str, list[str] | Exception]) -> FakeRtMidi:
        module = FakeRtMidi(systems)
        monkeypatch.setitem(sys.modules, "rtmidi", module)
        return module

    return install


def never(message: Message, seconds: float) -> None:
    raise AssertionError("nothing was to arrive")


def last_client(module: FakeRtMidi) -> FakeClient:
    return module.clients[-1]


def test_ports_are_listed_by_system_and_a_dead_system_says_why(use: Use) -> None:
    use({"API_LINUX_ALSA": NO_SEQUENCER, "API_UNIX_JACK": ["synth:in"]})
    listing = list_ports()
    assert listing.ports == (
        PortRow("jack", "input", "synth:in"),
        PortRow("jack", "output", "synth:in"),
    )
    assert listing.why == "alsa: no sequencer on this machine"
    assert [failure.hint for failure in listing.failures] == [
        "load the ALSA sequencer with: sudo modprobe snd-seq"
    ]


def test_an_unknown_failure_of_a_system_is_passed_on_in_one_line(use: Use) -> None:
    use({"API_UNIX_JACK": OSError("two\nlines")})
    assert list_ports().why == "jack: two lines"


def test_a_server_that_refuses_a_client_is_asked_again(
    use: Use, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(systems, "_PAUSE_SECONDS", 0.0)
    module = use({"API_UNIX_JACK": ["synth:in"]})
    module.refusals = 3
    with open_output("synth") as port:
        assert port.name == "synth:in"
    module.refusals = 100
    with pytest.raises(PortError, match="jack: the server is running but takes no client"):
        open_output("synth")
    assert capfd.readouterr().err == ""


def test_clients_that_only_listed_are_gone_afterwards(use: Use) -> None:
    module = use({"API_LINUX_ALSA": ["Keys 20:0"]})
    list_ports()
    assert [client.done for client in module.clients] == [["delete"], ["delete"]]


def test_a_port_opens_in_the_first_system_that_has_it(use: Use) -> None:
    module = use({"API_LINUX_ALSA": ["Keys 20:0"], "API_UNIX_JACK": ["keys:out", "synth:in"]})
    with open_output("keys") as keys, open_output("SYNTH") as synth:
        assert (keys.api, keys.name) == ("alsa", "Keys 20:0")
        assert (synth.api, synth.name) == ("jack", "synth:in")
    assert last_client(module).done == ["open synth:in", "close_port", "delete"]


def test_a_dead_system_does_not_keep_the_next_one_from_being_used(use: Use) -> None:
    use({"API_LINUX_ALSA": NO_SEQUENCER, "API_UNIX_JACK": ["synth:in"]})
    with open_output("synth") as by_name, open_output(None, virtual=True) as own:
        assert (by_name.api, own.api) == ("jack", "jack")


def test_only_the_system_that_is_asked_for_is_used(use: Use) -> None:
    use({"API_LINUX_ALSA": ["Keys 20:0"], "API_UNIX_JACK": ["keys:out"]})
    with open_output("keys", api="JACK") as port:
        assert port.name == "keys:out"


def test_an_unknown_system_is_refused_with_those_there_are(use: Use) -> None:
    use({"API_LINUX_ALSA": []})
    with pytest.raises(OptionError, match=r"^unknown MIDI system 'oss'\. Known: .*alsa, jack$"):
        list_ports("oss")
    with pytest.raises(PortError, match=r"no MIDI system 'winmm'\. It has: alsa$"):
        open_output(None, virtual=True, api="winmm")


def test_windows_says_that_it_has_no_virtual_ports(use: Use) -> None:
    use({"API_WINDOWS_MM": ["Microsoft GS Wavetable Synth 0"]})
    with pytest.raises(PortError) as caught:
        open_output("midirnn", virtual=True)
    assert str(caught.value) == (
        "cannot open a virtual MIDI output 'midirnn' (winmm: Windows has no virtual ports). "
        "To have one, install a loopback driver such as loopMIDI and open its port by name"
    )


def test_a_virtual_port_has_a_name_of_its_own(use: Use) -> None:
    module = use({"API_MACOSX_CORE": []})
    with open_input(None, never, virtual=True) as default, open_output("x", virtual=True) as named:
        assert (default.name, named.name) == ("midirnn in", "x")
    assert last_client(module).done[0] == "open virtual x"


def test_long_names_are_cut_to_what_every_system_takes(use: Use) -> None:
    module = use({"API_UNIX_JACK": []})
    with open_output("é" * 300, virtual=True, client_name="ü" * 300) as port:
        assert port.name == "é" * 28
    assert last_client(module).name == "ü" * 28


def test_messages_are_stamped_with_the_clock_that_was_passed_in(use: Use) -> None:
    heard: list[tuple[Message, float]] = []
    module = use({"API_LINUX_ALSA": ["Keys 20:0"]})
    with open_input("keys", lambda *event: heard.append(event), clock=lambda: 12.5):
        last_client(module).arrive(NOTE_ON)
    last_client(module).arrive(NOTE_ON)
    assert heard == [(NOTE_ON, 12.5)]


def test_what_an_input_ignores_is_told_to_the_library(use: Use) -> None:
    module = use({"API_LINUX_ALSA": ["Keys 20:0"]})
    with open_input("keys", never):
        assert last_client(module).ignored == (True, True, True)
    with open_input("keys", never, ignored=Ignored(clock=False)):
        assert last_client(module).ignored == (True, False, True)


def test_what_a_callback_raises_is_kept_and_logged_once(
    use: Use, caplog: pytest.LogCaptureFixture
) -> None:
    module = use({"API_LINUX_ALSA": ["Keys 20:0"]})
    with open_input("keys", never) as port:
        last_client(module).arrive(NOTE_ON)
        last_client(module).arrive(NOTE_ON)
        assert isinstance(port.callback_error, AssertionError)
    assert [
        record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR
    ] == ["the callback of MIDI input 'Keys 20:0' raised; further exceptions are not logged"]


def test_an_input_lets_go_of_its_callback_before_it_is_closed(use: Use) -> None:
    module = use({"API_LINUX_ALSA": ["Keys 20:0"]})
    port = open_input("keys", never)
    port.close()
    port.close()
    assert port.closed
    assert last_client(module).done[1:] == ["cancel_callback", "close_port", "delete"]


def test_a_fork_does_not_close_the_port_of_its_parent(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = use({"API_LINUX_ALSA": ["Synth 20:0"]})
    with open_output("synth"):
        monkeypatch.setattr(os, "getpid", lambda: -1)
    assert last_client(module).done == ["open Synth 20:0"]


def test_an_output_sends_until_it_is_closed(use: Use) -> None:
    module = use({"API_LINUX_ALSA": ["Synth 20:0"]})
    port = open_output("synth")
    port.send(bytes(NOTE_ON))
    with pytest.raises(PortError, match="not a MIDI message"):
        port.send([1, 2, 3])
    port.close()
    with pytest.raises(PortError, match="MIDI output 'Synth 20:0' is closed"):
        port.send(NOTE_ON)
    assert last_client(module).sent == [NOTE_ON]


def test_a_send_that_the_library_refuses_is_a_port_error(use: Use) -> None:
    def refuse() -> None:
        raise OSError("error sending MIDI message to port.")

    module = use({"API_LINUX_ALSA": ["Synth 20:0"]})
    module.sending = refuse
    with (
        open_output("synth") as port,
        pytest.raises(PortError, match=r"^cannot send to MIDI output 'Synth 20:0': error sending"),
    ):
        port.send(NOTE_ON)


def test_a_port_that_does_not_open_says_so_and_leaves_no_client(use: Use) -> None:
    def refuse() -> None:
        raise OSError("Device or resource busy")

    module = use({"API_LINUX_ALSA": ["Keys 20:0"]})
    module.opening = refuse
    with pytest.raises(PortError, match="cannot open MIDI input 'Keys 20:0': Device or resource"):
        open_input("keys", never)
    assert last_client(module).done == ["delete"]


def test_a_port_that_vanishes_between_listing_and_opening_says_so(use: Use) -> None:
    class Vanishing(list[str]):
        looks = 0

        def __iter__(self):  # type: ignore[no-untyped-def]
            self.looks += 1
            return super().__iter__() if self.looks <= 1 else iter(())

    use({"API_LINUX_ALSA": Vanishing(["Keys 20:0"])})
    with pytest.raises(PortError, match="cannot open MIDI input 'Keys 20:0': it has just vanished"):
        open_input("keys", never)


class BrokenImport:
    """An import hook under which python-rtmidi fails as told."""

    def __init__(self, error: ImportError) -> None:
        self.error = error

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == "rtmidi":
            raise self.error
        return None


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ImportError("libasound.so.2: cannot open shared object file: No such file"),
            "MIDI ports need libasound.so.2, which is not installed. Install it with: "
            "apt-get install libasound2 (libasound2t64 from Debian 13 and Ubuntu 24.04)",
        ),
        (
            ImportError("libgone.so.7: cannot open shared object file: No such file"),
            "MIDI ports need libgone.so.7, which is not installed. Install it with: "
            "the package of your system that has libgone.so.7",
        ),
        (
            ModuleNotFoundError("No module named 'rtmidi'"),
            "MIDI ports need python-rtmidi, which is not installed. "
            "Install it with: pip install python-rtmidi",
        ),
        (ImportError("wrong\nELF class"), "python-rtmidi does not load: wrong ELF class"),
    ],
)
def test_a_library_that_does_not_load_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, error: ImportError, message: str
) -> None:
    monkeypatch.delitem(sys.modules, "rtmidi", raising=False)
    monkeypatch.setattr(sys, "meta_path", [BrokenImport(error), *sys.meta_path])
    with pytest.raises(PortError) as caught:
        open_input("keys", never)
    assert str(caught.value) == message
    assert [failure.reason for failure in list_ports().failures] == [message]


def test_another_package_named_rtmidi_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rtmidi", ModuleType("rtmidi"))
    with pytest.raises(PortError, match="another package named rtmidi is installed"):
        open_output("synth")


def test_importing_the_ports_does_not_load_rtmidi() -> None:
    code = "import sys, midirnn.ports; sys.exit('rtmidi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0


def test_of_two_ports_with_one_name_either_is_opened_by_its_number(use: Use) -> None:
    module = use({"API_LINUX_ALSA": ["Keys", "Synth", "Keys"]})
    opened = []
    for number in ("1", "3"):
        with open_output(number) as port:
            assert port.name == "Keys"
            opened.append(last_client(module).opened)
    assert opened == [[0], [2]]
    assert [row.twin for row in list_ports().ports] == [0, 0, 1, 0, 0, 1]
