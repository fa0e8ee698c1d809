"""A stand-in for python-rtmidi, for the systems and faults that no test machine has."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

CONSTANTS = {
    "API_MACOSX_CORE": 1,
    "API_LINUX_ALSA": 2,
    "API_UNIX_JACK": 3,
    "API_WINDOWS_MM": 4,
}


class FakeRtMidi(ModuleType):
    """The module: ``systems`` maps each API to its port names, or to the error it dies with."""

    def __init__(self, systems: dict[str, list[str] | Exception]) -> None:
        super().__init__("rtmidi")
        self.systems = {CONSTANTS[name]: ports for name, ports in systems.items()}
        self.clients: list[FakeClient] = []
        self.sending: Callable[[], None] = lambda: None
        self.opening: Callable[[], None] = lambda: None
        self.refusals = 0
        for name, number in CONSTANTS.items():
            setattr(self, name, number)

    def get_compiled_api(self) -> list[int]:
        return list(self.systems)

    def MidiIn(self, api: int, name: str) -> FakeClient:  # noqa: N802
        return FakeClient(self, api, name)

    def MidiOut(self, api: int, name: str) -> FakeClient:  # noqa: N802
        return FakeClient(self, api, name)


class FakeClient:
    """A MidiIn or MidiOut that notes what is done to it, and refuses to be used when deleted."""

    def __init__(self, module: FakeRtMidi, api: int, name: str) -> None:
        ports = module.systems[api]
        if module.refusals:
            module.refusals -= 1
            os.write(2, b"Cannot open midirnn client\n")
            raise OSError("MidiInJack::initialize: JACK server not running?")
        if isinstance(ports, Exception):
            raise ports
        self.module = module
        self.api = api
        self.name = name
        self.ports = ports
        self.done: list[str] = []
        self.opened: list[int] = []
        self.sent: list[tuple[int, ...]] = []
        self.ignored: tuple[bool, bool, bool] | None = None
        self.callback: Callable[[Any, Any], None] | None = None
        module.clients.append(self)

    def _do(self, what: str) -> None:
        assert "delete" not in self.done, "python-rtmidi would crash here"
        self.done.append(what)

    def get_ports(self) -> list[str]:
        return self.ports

    def open_port(self, index: int, name: str) -> None:
        self.module.opening()
        self.opened.append(index)
        self._do(f"open {self.ports[index]}")

    def open_virtual_port(self, name: str) -> None:
        self.module.opening()
        self._do(f"open virtual {name}")

    def ignore_types(self, sysex: bool, timing: bool, active_sense: bool) -> None:
        self.ignored = (sysex, timing, active_sense)

    def set_callback(self, callback: Callable[[Any, Any], None]) -> None:
        self.callback = callback

    def cancel_callback(self) -> None:
        self._do("cancel_callback")

    def close_port(self) -> None:
        self._do("close_port")

    def delete(self) -> None:
        self._do("delete")

    def send_message(self, message: Iterable[int]) -> None:
        self.module.sending()
        self._do("send")
        self.sent.append(tuple(message))

    def arrive(self, message: Iterable[int]) -> None:
        assert self.callback is not None
        self.callback((list(message), 0.25), None)
