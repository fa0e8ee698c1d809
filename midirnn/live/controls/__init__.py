"""Controls of a session: knobs, the map of controllers to them, and their values."""

from __future__ import annotations

from midirnn.live.controls.knobs import KNOBS, Knob, Scale, Value, find_knob
from midirnn.live.controls.learn import Learner
from midirnn.live.controls.map import Binding, ControlChange, ControlMap, default_path
from midirnn.live.controls.panel import Panel, PitchClasses

__all__ = [
    "KNOBS",
    "Binding",
    "ControlChange",
    "ControlMap",
    "Knob",
    "Learner",
    "Panel",
    "PitchClasses",
    "Scale",
    "Value",
    "default_path",
    "find_knob",
]
