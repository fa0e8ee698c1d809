"""Learning: the next controller that is moved is the one that turns a knob."""

from __future__ import annotations

from collections.abc import Sequence

from midirnn.live.controls.knobs import PRESSED, Scale, find_knob
from midirnn.live.controls.map import FIRST_MODE_MESSAGE, Binding
from midirnn.midievents import CONTROL_CHANGE, NOTE_ON, SUSTAIN


class Learner:
    """Waits for the controller of a knob. Owns what each controller was last seen at.

    What turns has moved once it has been seen at two values, so that one which only reports where
    it stands is not taken. What is pressed counts at once, and may be the key of a note. The
    sustain pedal is never taken: the model hears it.
    """

    def __init__(self, name: str) -> None:
        self.knob = find_knob(name)
        self._seen: dict[tuple[int, int], int] = {}

    def feed(self, message: Sequence[int]) -> Binding | None:
        """What was moved, or None while that is not known."""
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
