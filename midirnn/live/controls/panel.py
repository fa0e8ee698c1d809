"""The panel: the values of all knobs, and the model's settings that follow from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from midirnn.codecs.controls import Controls, parse_pitch_classes
from midirnn.codecs.style import PITCH_CLASSES, Style
from midirnn.live.base.messages import Pace
from midirnn.live.controls.knobs import KNOBS, Scale, Value, find_knob
from midirnn.live.controls.map import ControlChange
from midirnn.sampling.filters import SamplingConfig

MODEL_INPUTS = ("density", "loudness", "key", "follow")
"""Knobs that are inputs of the model. They need one that was trained with control inputs."""

ASKED_BY = (
    "temperature",
    "top_p",
    "density",
    "loudness",
    "key",
    "follow",
    "blend",
    "lowest_pitch",
    "highest_pitch",
)
"""Knobs that set how the model samples."""

SET_OCTAVES, FOLLOWED_OCTAVES = 0.15, 0.8
"""How much denser than asked the model may play, in octaves: for a density that is set, and for one
that is followed. A limit makes the rhythm even: with 0.3 octaves, answers to jazz are 1.6 times as
far from its rhythm as with 0.8. What is followed is also corrected
(:mod:`midirnn.sampling.keeping`)."""

BESIDE_OCTAVES = 0.1
"""How much less dense than the performer the model has to stay while both play, in octaves: what is
followed is a mean of the last seconds, and the performer may thin out."""

LEAST_DENSITY = 0.25
"""The lowest density that is followed, in notes per second."""

FADING_SECONDS = 10.0
"""What the performer played this long ago counts 1/e as much as what is played now."""


class Panel:
    """The values of all knobs. :meth:`turn` changes one."""

    def __init__(self, values: Mapping[str, Value] | None = None) -> None:
        self._values: dict[str, Value] = {name: knob.default for name, knob in KNOBS.items()}
        self._turned: set[str] = set()
        self.moved: set[str] = set()
        """The knobs that were last turned by something other than their controller."""
        self.turns = 0
        """How often a knob has been turned."""
        for name, value in (values or {}).items():
            self.place(name, value)

    def place(self, name: str, value: Value) -> None:
        """Set a knob's initial value, as if its controller stood there."""
        self.turn(ControlChange(name, value, by_controller=True))

    def __getitem__(self, name: str) -> Value:
        return self._values[find_knob(name).name]

    def number(self, name: str) -> float:
        """Return the value of a numeric knob."""
        value = self[name]
        assert isinstance(value, int | float)
        return float(value)

    def turn(self, change: ControlChange) -> bool:
        """Set a knob; return True if its value has changed."""
        knob = find_knob(change.name)
        value = knob.check(change.value)
        before, self._values[knob.name] = self._values[knob.name], value
        self._turned.add(knob.name)
        (self.moved.discard if change.by_controller else self.moved.add)(knob.name)
        self.turns += 1
        return value != before

    @property
    def values(self) -> dict[str, Value]:
        """A copy of all values, by name of the knob."""
        return dict(self._values)

    def pressed(self, name: str) -> bool:
        """Return True while a switch is pressed."""
        assert find_knob(name).scale is Scale.SWITCH
        return self[name] is True

    def sampling(self, base: SamplingConfig) -> SamplingConfig:
        """Return how to sample: like ``base``, except for the knobs that have been turned."""
        return replace(
            base,
            temperature=self._or("temperature", base.temperature),
            top_p=self._or("top_p", base.top_p),
        )

    def kept(self, names: Iterable[str], base: SamplingConfig) -> dict[str, Value]:
        """Return the values in effect of some knobs: if not turned, those of ``base``.

        Values that the knob itself could not be set to are left out.
        """
        sampling = self.sampling(base)
        sounding = {"temperature": sampling.temperature, "top_p": sampling.top_p}
        values = {name: sounding.get(name, self[name]) for name in names}
        return {name: value for name, value in values.items() if KNOBS[name].allows(value)}

    def _or(self, name: str, value: float) -> float:
        """Return the value of a knob if it has been turned, else ``value``."""
        return self.number(name) if name in self._turned else value

    @property
    def register(self) -> tuple[int, int]:
        """The lowest and the highest pitch that the model may play; the lower one first."""
        pitches = round(self.number("lowest_pitch")), round(self.number("highest_pitch"))
        return min(pitches), max(pitches)

    def controls(
        self, performer: PitchClasses, style: Style | None = None, share: float = 0.0
    ) -> Controls:
        """Return the control inputs for the model.

        ``performer`` holds the performer's recent pitch classes, for a key that follows them.
        ``style`` is followed where no knob is set, at this ``share`` of the knob ``follow``.
        """
        density, loudness, key = self["density"], self["loudness"], self["key"]
        assert not isinstance(density, str) and not isinstance(loudness, str)
        if key == "performer":
            classes = performer.shares()
        else:
            classes = None if key == "free" else parse_pitch_classes(str(key))
        follow = self.number("follow") * share
        if style is None or not follow:
            return Controls(density, loudness, classes)
        return Controls(density, loudness, classes, style=style, follow=follow)


def pace_of(controls: Controls, *, beside: bool) -> Pace:
    """Return the limits on notes per second for these controls.

    They are narrow around a density that is set. Around one that is followed they are wider, the
    more so the less closely it is followed. With ``beside`` the model plays at the same time as the
    performer, and a little less densely if it follows as closely as it can.
    """
    if controls.notes_per_second is not None:
        return Pace(controls.notes_per_second, controls.notes_per_second * 2.0**SET_OCTAVES)
    heard = controls.style.values.get("density") if controls.style else None
    if not isinstance(heard, float) or not controls.follow:
        return Pace()
    notes_per_second = max(2.0**heard - 1.0, LEAST_DENSITY)
    looser = 1.0 / controls.follow
    above = FOLLOWED_OCTAVES * looser
    if beside:
        above -= FOLLOWED_OCTAVES + BESIDE_OCTAVES
    return Pace(notes_per_second * 2.0**-looser, notes_per_second * 2.0**above)


class PitchClasses:
    """The pitch classes that were played recently. Owns a count of each, which decays."""

    def __init__(self, fading_seconds: float = FADING_SECONDS) -> None:
        self._fading = fading_seconds
        self._counts = [0.0] * PITCH_CLASSES
        self._seconds = -math.inf

    def hear(self, pitch: int, seconds: float) -> None:
        """Count a note that was struck. Times must not decrease."""
        left = math.exp(min(self._seconds - seconds, 0.0) / self._fading)
        self._counts = [left * count for count in self._counts]
        self._seconds = max(seconds, self._seconds)
        self._counts[pitch % PITCH_CLASSES] += 1.0

    def shares(self) -> tuple[float, ...] | None:
        """Return the share of each pitch class, C first (the sum is 1); None before any note."""
        total = sum(self._counts)
        return tuple(count / total for count in self._counts) if total else None
