"""Commands given to a session from outside, and their effects on it, as plain data.

Commands come from a MIDI controller, a pad, the session's own methods or its user interface. The
console turns them into effects, which the interplay carries out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from midirnn.errors import OptionError
from midirnn.live.base.config import LiveConfig
from midirnn.live.base.messages import Request
from midirnn.live.base.playing import Gesture
from midirnn.live.controls.knobs import MOST_PRESETS, Scale, find_knob
from midirnn.live.controls.map import ControlChange

TURNS = {
    "switch": Gesture.SWITCH,
    "your_turn": Gesture.YOUR_TURN,
    "my_turn": Gesture.MY_TURN,
}
"""The gestures of the switches that set whose turn it is."""


@dataclass(frozen=True)
class Press:
    """Press and release a switch. Raises :class:`OptionError` for knobs of other kinds."""

    name: str

    def __post_init__(self) -> None:
        if find_knob(self.name).scale is not Scale.SWITCH:
            raise OptionError(f"{self.name} is no switch: turn it to a value")


@dataclass(frozen=True)
class _OfPreset:
    preset: int | str
    """Its number, or its name in the set list."""

    def __post_init__(self) -> None:
        if isinstance(self.preset, str):
            if not self.preset.strip():
                raise OptionError("the preset has no name")
        elif not (type(self.preset) is int and 1 <= self.preset <= MOST_PRESETS):
            raise OptionError(f"the preset is {self.preset!r}; allowed are 1 to {MOST_PRESETS}")


@dataclass(frozen=True)
class StorePreset(_OfPreset):
    """Store the model's state as a preset."""


@dataclass(frozen=True)
class LoadPreset(_OfPreset):
    """Load the model's state from a preset, if it holds one."""


@dataclass(frozen=True)
class TakeUpTuned:
    """Go on with the tuned model in a folder; ``told`` is the text to show."""

    folder: str
    told: str


Command: TypeAlias = ControlChange | Press | StorePreset | LoadPreset | TakeUpTuned


@dataclass(frozen=True)
class ChangeModel:
    """Send these requests to the model, after rewinding it to what has sounded."""

    requests: tuple[Request, ...]


@dataclass(frozen=True)
class ChangeMode:
    """Change to the mode of that name."""

    name: str


@dataclass(frozen=True)
class ChangeConfig:
    """Go on with another configuration."""

    config: LiveConfig


@dataclass(frozen=True)
class MakeGesture:
    """Tell the mode that the performer made a gesture."""

    gesture: Gesture


@dataclass(frozen=True)
class Replan:
    """Drop the plan and plan again."""


@dataclass(frozen=True)
class Panic:
    """End every note. The model rests until a key is pressed."""


@dataclass(frozen=True)
class Hold:
    """Let the model rest until a key is pressed or, with ``on`` False, play on."""

    on: bool


@dataclass(frozen=True)
class Say:
    """Warn the performer that something is not as they expect."""

    text: str


@dataclass(frozen=True)
class Tell:
    """Show what a control has done."""

    text: str


@dataclass(frozen=True)
class Note:
    """Write a line to the recording."""

    text: str


Effect: TypeAlias = (
    ChangeModel
    | ChangeMode
    | ChangeConfig
    | MakeGesture
    | Replan
    | Panic
    | Hold
    | Say
    | Tell
    | Note
)
