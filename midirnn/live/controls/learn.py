"""Learning: binds the next controller that is moved to a knob."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from midirnn.errors import OptionError
from midirnn.live.controls.knobs import PRESSED, Scale, find_knob
from midirnn.live.controls.map import FIRST_MODE_MESSAGE, Binding, ControlMap, default_path
from midirnn.midievents import CONTROL_CHANGE, NOTE_ON, SUSTAIN
from midirnn.ports.base import InputCallback, InputPort, Message


class Learner:
    """Waits for the controller to bind to a knob. Owns the first value seen of each controller.

    A controller counts as moved once it has sent two different values, so that one which only
    reports its position is not taken. For a switch, the first press counts, and may be a note. The
    sustain pedal is never taken, because the model hears it.
    """

    def __init__(self, name: str) -> None:
        self.knob = find_knob(name)
        self._seen: dict[tuple[int, int], int] = {}

    def feed(self, message: Sequence[int]) -> Binding | None:
        """Return the binding of the controller that was moved, or None if none was yet."""
        if len(message) != 3:
            return None
        kind, channel = message[0] & 0xF0, (message[0] & 0x0F) + 1
        if kind == NOTE_ON and message[2] and self.knob.scale is Scale.SWITCH:
            return Binding(note=message[1], channel=channel)
        if kind != CONTROL_CHANGE or message[1] == SUSTAIN or message[1] >= FIRST_MODE_MESSAGE:
            return None
        if not self._moved((channel, message[1]), message[2]):
            return None
        return Binding(cc=message[1], channel=channel)

    def _moved(self, controller: tuple[int, int], value: int) -> bool:
        if self.knob.scale is Scale.SWITCH:
            return value >= PRESSED
        return self._seen.setdefault(controller, value) != value


def learn(
    knob: str,
    open_input: Callable[[InputCallback], InputPort],
    tell: Callable[[str], None],
    *,
    path: Path | None = None,
    seconds: float = math.inf,
) -> None:
    """Wait for the next controller that is moved, and bind it to the knob in the control map.

    ``path`` is the control map's file, by default the user's own. Raises :class:`OptionError` if
    nothing is moved within ``seconds``.
    """
    learner = Learner(knob)
    file = path or default_path()
    known = ControlMap.read(file) if file.exists() else ControlMap()
    moved = threading.Event()
    found: list[Binding] = []

    def hear(message: Message, at: float) -> None:
        binding = learner.feed(message)
        if binding is not None:
            found.append(binding)
            moved.set()

    heard = open_input(hear)
    tell(f"move the controller for {learner.knob.name}, on {heard.name}")
    if not moved.wait(min(seconds, threading.TIMEOUT_MAX)):
        raise OptionError(f"nothing was moved on {heard.name!r} for {seconds:g} s")
    learned = known.bind(learner.knob.name, found[0])
    learned.write(file)
    tell(f"{found[0]} moves {learner.knob.name} (written to {file})")
    for name in sorted(set(known.bindings) - set(learned.bindings)):
        tell(f"nothing moves {name} any more")
