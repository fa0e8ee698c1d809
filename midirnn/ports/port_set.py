"""The ports of a session: opened by name, reopened when their devices return, closed together."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self, TypeVar

from midirnn.ports.base import Ignored, InputCallback, InputPort, OutputPort, Port
from midirnn.ports.lasting import HeldDown, LastingInput, LastingOutput
from midirnn.ports.rtmidi_ports import RtMidiInput, RtMidiOutput, open_input, open_output
from midirnn.ports.watch import PortWatch

P = TypeVar("P", bound=Port)

WORDS = {"input": "in", "output": "out"}


class PortSet:
    """Opens ports and owns them. Use it in a ``with`` statement, which closes them.

    Once :meth:`watch` was called, ports of the machine are reopened when their devices return;
    ``tell`` is called with a line about each that vanishes or returns.
    """

    def __init__(
        self,
        *,
        virtual: bool = False,
        api: str | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._stack = ExitStack()
        self._virtual = virtual
        self._api = api
        self._tell = tell
        self._lasting: list[LastingInput | LastingOutput] = []
        self._others: list[tuple[str, str, bool]] = []

    def open_output(self, name: str | None) -> OutputPort:
        """Open the MIDI output of that name (see :func:`midirnn.ports.open_output`)."""
        port: OutputPort = open_output(name, virtual=self._virtual, api=self._api)
        if not isinstance(port, RtMidiOutput):
            return self.keep("out", port)

        def reopen(name: str, api: str) -> RtMidiOutput:
            return open_output(name, virtual=self._virtual, api=api)

        lasting = LastingOutput(port, reopen, virtual=self._virtual, tell=self._tell)
        self._lasting.append(lasting)
        return self._stack.enter_context(lasting)

    def open_input(
        self, name: str | None, callback: InputCallback, *, clock: bool = False
    ) -> InputPort:
        """Open the MIDI input of that name; with ``clock``, the callback also gets MIDI clock."""
        held = HeldDown(callback)
        ignored = Ignored(clock=not clock)
        port: InputPort = open_input(
            name, held, virtual=self._virtual, api=self._api, ignored=ignored
        )
        if not isinstance(port, RtMidiInput):
            return self.keep("in", port)

        def reopen(name: str, api: str) -> RtMidiInput:
            return open_input(name, held, virtual=self._virtual, api=api, ignored=ignored)

        lasting = LastingInput(port, reopen, held, virtual=self._virtual, tell=self._tell)
        self._lasting.append(lasting)
        return self._stack.enter_context(lasting)

    def keep(self, what: str, port: P) -> P:
        """Take ownership of a port that cannot vanish, ``"in"`` or ``"out"``, and return it."""
        self._others.append((what, port.name, True))
        self._stack.enter_context(port)
        return port

    def watch(self) -> None:
        """Start watching for ports that vanish or return."""
        systems = {port.api for port in self._lasting}
        if systems:
            api = systems.pop() if len(systems) == 1 else None
            self._stack.enter_context(PortWatch([port.look for port in self._lasting], api=api))

    def seen(self) -> tuple[tuple[str, str, bool], ...]:
        """Return ("in" or "out", name, whether it is present) of each port."""
        lasting = [(WORDS[port.direction], port.name, port.present) for port in self._lasting]
        return (*self._others, *lasting)

    def close(self) -> None:
        """Close all ports, the last opened first."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)
