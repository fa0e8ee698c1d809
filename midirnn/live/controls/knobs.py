"""The knobs of playing live: a table of what can be turned, and from MIDI values to theirs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from midirnn.errors import OptionError
from midirnn.live.modes import MODES

MOST = 127
"""The highest value of a MIDI controller."""

PRESSED = 64
"""From this value on a switch is pressed."""

NUM_MOODS = 8
"""How many states can be kept on pads."""

NOTE_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
KEYS = (
    "free",
    "performer",
    *(f"{name} {kind}" for kind in ("major", "minor") for name in NOTE_NAMES),
)
"""What the key may be: left to the model, that of what the performer plays, or one that is set."""

Value: TypeAlias = float | str | bool | None
"""What a knob stands at: a number, one of its choices, pressed or not; None leaves it free."""


class Scale(StrEnum):
    """How a controller's 128 values spread over a knob's range."""

    LINEAR = "linear"
    LOG = "log"
    CHOICE = "choice"
    SWITCH = "switch"


@dataclass(frozen=True)
class Knob:
    """Something that a controller sets: its range, unit, scale, default and controller number.

    With ``free`` a controller at 0 stands for None: the model is left alone. ``pad`` is the note
    on channel 10 that presses it, for those that have no controller.
    """

    name: str
    summary: str
    scale: Scale
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    default: Value = None
    cc: int | None = None
    pad: int | None = None
    choices: tuple[str, ...] = ()
    free: bool = False

    def value(self, midi: int) -> Value:
        """What the knob stands at when its controller is at ``midi``, 0 to 127."""
        if self.scale is Scale.SWITCH:
            return midi >= PRESSED
        if self.scale is Scale.CHOICE:
            return self.choices[midi * len(self.choices) // (MOST + 1)]
        if self.free and midi == 0:
            return None
        share = (midi - self.free) / (MOST - self.free)
        if self.scale is Scale.LOG:
            return float(self.low * (self.high / self.low) ** share)
        return self.low + (self.high - self.low) * share

    def check(self, value: Value) -> Value:
        """The value; :class:`OptionError` if the knob cannot stand at it."""
        if value is None and self.free:
            return None
        if self.scale is Scale.SWITCH:
            fits = isinstance(value, bool)
        elif self.scale is Scale.CHOICE:
            fits = value in self.choices
        else:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            fits = is_number and math.isfinite(value) and self.low <= value <= self.high  # type: ignore[arg-type, operator]
        if not fits:
            raise OptionError(f"{self.name} is {value!r}; allowed are {self.allowed}")
        return value

    @property
    def allowed(self) -> str:
        """The values that the knob takes, in words."""
        if self.scale is Scale.SWITCH:
            return "true and false"
        if self.scale is Scale.CHOICE:
            return ", ".join(self.choices)
        return f"{self.low:g} to {self.high:g}" + (f" {self.unit}" if self.unit else "")


def _switch(name: str, summary: str, *, cc: int | None = None, pad: int | None = None) -> Knob:
    return Knob(name, summary, Scale.SWITCH, default=False, cc=cc, pad=pad)


_ALL = (
    Knob(
        "crossfade",
        "from mood 1 to mood 2, as a weighted sum of both states",
        Scale.LINEAR,
        0.0,
        1.0,
        default=0.0,
        cc=1,
    ),
    Knob(
        "temperature",
        "how daring the model draws",
        Scale.LOG,
        0.25,
        4.0,
        default=1.0,
        cc=20,
    ),
    Knob(
        "top_p",
        "the share of probability that the model draws from",
        Scale.LINEAR,
        0.05,
        1.0,
        default=0.95,
        cc=21,
    ),
    Knob(
        "density",
        "how many notes the model plays",
        Scale.LOG,
        0.5,
        32.0,
        "notes a second",
        cc=22,
        free=True,
    ),
    Knob(
        "loudness",
        "how loud the model plays",
        Scale.LINEAR,
        1.0,
        127.0,
        "velocity",
        cc=23,
        free=True,
    ),
    Knob(
        "key",
        "the pitch classes that the model prefers",
        Scale.CHOICE,
        default="free",
        cc=24,
        choices=KEYS,
    ),
    Knob(
        "lowest_pitch",
        "the lowest pitch that the model plays",
        Scale.LINEAR,
        0.0,
        127.0,
        "pitch",
        default=0.0,
        cc=25,
    ),
    Knob(
        "highest_pitch",
        "the highest pitch that the model plays",
        Scale.LINEAR,
        0.0,
        127.0,
        "pitch",
        default=127.0,
        cc=26,
    ),
    Knob(
        "balance",
        "the model's velocities, times this",
        Scale.LOG,
        0.25,
        4.0,
        "times",
        default=1.0,
        cc=27,
    ),
    Knob(
        "answer_seconds",
        "how long an answer lasts; free, as long as the phrase",
        Scale.LOG,
        1.0,
        60.0,
        "seconds",
        cc=28,
        free=True,
    ),
    Knob(
        "mode",
        "what the model does",
        Scale.CHOICE,
        default="call_and_response",
        cc=29,
        choices=tuple(MODES),
    ),
    _switch("switch", "the foot switch: answer now, or stop answering", cc=66),
    _switch("freeze", "while pressed the model does not hear you and plays on", cc=102),
    _switch("reset", "the model forgets all that it heard and played", cc=103),
    _switch("panic", "every note ends, and the model with them until you play", cc=104),
    _switch("undo", "back to before the last mood, crossfade or reset", cc=105),
    _switch("store", "while pressed, a mood's pad keeps the state instead of recalling it", cc=106),
    *(
        _switch(f"mood_{slot}", f"recall the state that is kept as mood {slot}", pad=35 + slot)
        for slot in range(1, NUM_MOODS + 1)
    ),
)

KNOBS: dict[str, Knob] = {knob.name: knob for knob in _ALL}
"""Every knob by its name."""


def find_knob(name: str) -> Knob:
    """The knob of that name. Raises :class:`OptionError` if there is none."""
    if name not in KNOBS:
        raise OptionError(f"there is no knob {name!r}; known are {', '.join(KNOBS)}")
    return KNOBS[name]
