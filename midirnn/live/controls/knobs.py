"""The knobs of a live session: a table of them, and the conversion of MIDI values to theirs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from midirnn.errors import OptionError
from midirnn.live.modes import MODES
from midirnn.pitch_names import PITCH_CLASS_NAMES

MOST = 127
"""The highest value of a MIDI controller."""

PRESSED = 64
"""A switch is pressed at this value and above."""

NUM_PRESETS = 8
"""How many states of the model can be stored on pads."""

MOST_PRESETS = 128
"""How many presets a set list may have: as many as there are MIDI programs."""

PRESETS = {f"preset_{number}": number for number in range(1, NUM_PRESETS + 1)}
"""The number of each preset by the knob that loads it."""

OLD_NAMES = {f"mood_{number}": name for name, number in PRESETS.items()}
"""Former names of knobs, which control maps and ``--learn`` still accept."""

KEYS = (
    "free",
    "performer",
    *(f"{name} {kind}" for kind in ("major", "minor") for name in PITCH_CLASS_NAMES),
)
"""The choices of the knob ``key``: free (the model's own), the performer's, or a fixed key."""

Value: TypeAlias = float | str | bool | None
"""The value of a knob: a number, one of its choices, or pressed or not; None leaves it free."""


class Scale(StrEnum):
    """How the 128 values of a controller map to a knob's range."""

    LINEAR = "linear"
    LOG = "log"
    CHOICE = "choice"
    SWITCH = "switch"


@dataclass(frozen=True)
class Knob:
    """Something that a controller sets: its range, unit, scale, default and controller number.

    With ``free``, a controller at 0 means None: the model chooses. ``pad`` is the note on channel
    10 that presses a knob without a controller.
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
        """Return the knob's value for a controller at ``midi``, 0 to 127."""
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

    def midi(self, value: Value) -> int:
        """Return the controller's position for a value: the inverse of :meth:`value`."""
        if isinstance(value, bool) or value is None:
            return MOST if value else 0
        if isinstance(value, str):
            return -(-self.choices.index(value) * (MOST + 1) // len(self.choices))
        log = self.scale is Scale.LOG
        low, high, at = (
            map(math.log, (self.low, self.high, value)) if log else (self.low, self.high, value)
        )
        share = min(max((at - low) / (high - low), 0.0), 1.0)
        return round(self.free + share * (MOST - self.free))

    def check(self, value: Value) -> Value:
        """Return the value, with numbers as float. Raises :class:`OptionError` if not allowed."""
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
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    def allows(self, value: Value) -> bool:
        """Return True if the knob may have that value."""
        try:
            self.check(value)
        except OptionError:
            return False
        return True

    @property
    def allowed(self) -> str:
        """A description of the allowed values."""
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
        "crossfade between the states of presets 1 and 2",
        Scale.LINEAR,
        0.0,
        1.0,
        default=0.0,
        cc=1,
    ),
    Knob(
        "temperature",
        "sampling temperature: above 1 more random, below 1 more conservative",
        Scale.LOG,
        0.25,
        4.0,
        default=1.0,
        cc=20,
    ),
    Knob(
        "top_p",
        "sample from the most likely tokens that together have this probability",
        Scale.LINEAR,
        0.05,
        1.0,
        default=0.95,
        cc=21,
    ),
    Knob(
        "density",
        "how many notes per second the model plays",
        Scale.LOG,
        0.5,
        32.0,
        "notes per second",
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
        "the key that the model prefers",
        Scale.CHOICE,
        default="free",
        cc=24,
        choices=KEYS,
    ),
    Knob(
        "follow",
        "how closely the model keeps to the style of what you played last",
        Scale.LINEAR,
        0.0,
        1.0,
        default=1.0,
        cc=30,
    ),
    Knob(
        "blend",
        "share of the tuned model; the rest is the model it was tuned from",
        Scale.LINEAR,
        0.0,
        1.0,
        default=1.0,
        cc=31,
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
        "factor on the model's velocities",
        Scale.LOG,
        0.25,
        4.0,
        "times",
        default=1.0,
        cc=27,
    ),
    Knob(
        "answer_seconds",
        "length of an answer; when free, as long as the phrase",
        Scale.LOG,
        1.0,
        60.0,
        "seconds",
        cc=28,
        free=True,
    ),
    Knob(
        "mode",
        "how performer and model take turns",
        Scale.CHOICE,
        default="call_and_response",
        cc=29,
        choices=tuple(MODES),
    ),
    _switch("your_turn", "your turn: the model plays now", cc=66),
    _switch("my_turn", "my turn: the model stops and listens", cc=67),
    _switch("switch", "one foot switch for both: answer now, or stop answering", cc=107),
    _switch("freeze", "while pressed, the model does not hear you and plays on", cc=102),
    _switch("reset", "the model forgets everything it has heard and played", cc=103),
    _switch(
        "panic", "end every note; the model is silent until you play or give it the turn", cc=104
    ),
    _switch("undo", "undo the last preset, crossfade or reset", cc=105),
    _switch("untune", "go back to the model as it was before it was last tuned", cc=108),
    _switch(
        "store", "while pressed, a preset's pad stores the state instead of loading it", cc=106
    ),
    *(
        _switch(name, f"load the state stored as preset {number}", pad=35 + number)
        for name, number in PRESETS.items()
    ),
)

KNOBS: dict[str, Knob] = {knob.name: knob for knob in _ALL}
"""Every knob by its name."""


def find_knob(name: str) -> Knob:
    """Return the knob with that name or former name. Raises :class:`OptionError` for others."""
    known = OLD_NAMES.get(name, name)
    if known not in KNOBS:
        raise OptionError(f"there is no knob {name!r}; known are {', '.join(KNOBS)}")
    return KNOBS[known]
