"""Feedback to controllers: motor faders, ring lights and pads show the values of the knobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Set
from types import TracebackType
from typing import Self

from midirnn.errors import MidirnnError
from midirnn.live.base.observers import Observer
from midirnn.live.controls.knobs import KNOBS, MOST, PRESETS, Value
from midirnn.live.controls.map import Binding, ControlMap
from midirnn.midievents import CONTROL_CHANGE, NOTE_ON
from midirnn.ports.base import Message, OutputPort

ROUND_SECONDS = 1 / 30
END_SECONDS = 1.0


class ControlsOut(Observer):
    """Sends the knobs' values to a controller. Owns the sending thread, and what it has sent.

    ``values`` and ``kept`` return the values of the knobs and the presets that hold a state. A
    value is not sent back to the controller that has just set it. A binding without a channel is
    sent on the channel it was last heard on, or else on channel 1. When the port's device returns,
    everything is sent again. An observer of the session, which must call :meth:`heard`.
    """

    def __init__(
        self,
        port: OutputPort,
        control_map: ControlMap,
        values: Callable[[], Mapping[str, Value]],
        kept: Callable[[], Set[int]],
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._port = port
        self._bindings = control_map.bindings
        self._values = values
        self._kept = kept
        self._warn = warn
        self._shown: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self._was_present = True
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="midirnn controls out", daemon=True)

    def heard(self, message: Message, seconds: float) -> None:
        """Take note of a controller's position. Thread-safe."""
        for name, binding in self._bindings.items():
            if (midi := binding.midi_value(message)) is not None and name not in PRESETS:
                self._shown[name] = midi
                self._channels[name] = message[0] & 0x0F

    def tell(self) -> None:
        """Send the values that have changed."""
        present = self._port.present
        if present and not self._was_present:
            self._shown.clear()
        self._was_present = present
        values, kept = self._values(), self._kept()
        for name, binding in self._bindings.items():
            knob = KNOBS[name]
            value = PRESETS[name] in kept if name in PRESETS else values[name]
            shown, midi = self._shown.get(name), knob.midi(value)
            if shown != midi and (shown is None or knob.value(shown) != value):
                self._shown[name] = midi
                self._port.send(self._message(name, binding, midi))

    def _message(self, name: str, binding: Binding, midi: int) -> Message:
        channel = self._channels.get(name, 0) if binding.channel is None else binding.channel - 1
        if binding.cc is not None:
            return (CONTROL_CHANGE | channel, binding.cc, midi)
        assert binding.note is not None
        return (NOTE_ON | channel, binding.note, MOST if midi else 0)

    def _run(self) -> None:
        try:
            while not self._closing.wait(ROUND_SECONDS):
                self.tell()
        except MidirnnError as error:
            self._warn(f"the controller is not told any more where the knobs stand: {error}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._thread.join(END_SECONDS)
