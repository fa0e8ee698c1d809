"""Soft takeover: a controller moves a knob only after reaching the knob's value."""

from __future__ import annotations

from midirnn.live.controls.knobs import KNOBS, Scale
from midirnn.live.controls.map import ControlChange
from midirnn.live.controls.panel import Panel

NEAR = 2
"""Positions this close, of 127, count as the same."""


class Takeover:
    """Decides which controller movements count. Owns the last position of each controller.

    A knob turned by a preset, a page, OSC or a program is not where its controller stands, and
    would jump when the controller moves. It stays put until the controller has reached or passed
    its value.
    """

    def __init__(self, panel: Panel, *, on: bool = True) -> None:
        self._panel = panel
        self._on = on
        self._seen: dict[str, int] = {}

    def admits(self, change: ControlChange) -> bool:
        """Return True if a movement of a controller turns its knob."""
        knob = KNOBS[change.name]
        if knob.scale is Scale.SWITCH or not self._on:
            return True
        before, here = self._seen.get(knob.name), knob.midi(change.value)
        self._seen[knob.name] = here
        if knob.name not in self._panel.moved:
            return True
        goal = knob.midi(self._panel[knob.name])
        has_passed = before is not None and min(before, here) <= goal <= max(before, here)
        return has_passed or abs(here - goal) <= NEAR
