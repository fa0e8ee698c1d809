"""What a user asks for: the constraints on a piece."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from midirnn.codecs import NoteStream
from midirnn.codecs.controls import Controls
from midirnn.errors import OptionError
from midirnn.performance import NUM_PITCHES
from midirnn.sampling.constraints.chart import ChordChart, pitch_classes_of
from midirnn.sampling.constraints.curves import Curve
from midirnn.sampling.constraints.harmony import PitchClasses, parse_scale

ALL_CLASSES = frozenset(range(12))

PASSING_SECONDS = 0.25
"""The longest that a note of the key outside the chord may last."""

LOUDNESS_TOLERANCE = 12.0
"""Velocities are within this of the loudness curve, or the nearest that the codec has."""

EXACT_REST_SECONDS = 1.0
"""The rest at the end of a piece of exact length."""


class Taken(NamedTuple):
    """A note that is there already; its start is negative if it began before the new music."""

    pitch: int
    start: float
    end: float


def _as_key(given: Any) -> PitchClasses | None:
    """Return the pitch classes of a key, which may be given by its name."""
    if given is None:
        return None
    key = parse_scale(given) if isinstance(given, str) else frozenset(given)
    if not key <= ALL_CLASSES:
        raise OptionError(f"the key is {set(key)}; allowed are pitch classes, 0 to 11")
    return key


@dataclass(frozen=True)
class Constraints:
    """Constraints that every new note of a piece keeps to. Times are seconds of new music.

    ``key`` holds the pitch classes that may be used (text such as "D minor" is accepted, too);
    ``chords`` says which may be used when. With both, notes of the key that are not in the chord
    may be used too, as passing notes of a quarter of a second. Notes that do not belong to the next
    chord end where it begins. ``lowest`` and ``highest`` limit pitches, and ``polyphony`` how many
    notes sound at once. No more notes begin than ``notes_per_second``, except in bursts of a
    second's worth, and no fewer than ``least_notes_per_second``: time does not go on past a note
    that is due. Velocities are within 12 of ``loudness``. These three also set the model's
    controls. In ``silences``, (start, end), nothing sounds. ``exact_seconds`` is the length of the
    piece: its last second is a rest.
    """

    key: PitchClasses | None = None
    lowest: int = 0
    highest: int = NUM_PITCHES - 1
    polyphony: int | None = None
    chords: ChordChart | None = None
    notes_per_second: Curve | None = None
    loudness: Curve | None = None
    silences: tuple[tuple[float, float], ...] = ()
    exact_seconds: float | None = None
    least_notes_per_second: Curve | None = None
    taken: tuple[Taken, ...] = ()
    """Notes of other players: while one sounds, none may begin at its pitch."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", _as_key(self.key))
        if not 0 <= self.lowest <= self.highest < NUM_PITCHES:
            raise OptionError(
                f"the range of pitches is {self.lowest} to {self.highest}; allowed are 0 to "
                f"{NUM_PITCHES - 1}, the lowest first"
            )
        if self.polyphony is not None and not 1 <= self.polyphony <= NUM_PITCHES:
            raise OptionError(f"polyphony is {self.polyphony}; allowed are 1 to {NUM_PITCHES}")
        self._check_densities()
        for start, end in self.silences:
            if not 0.0 <= start < end:
                raise OptionError(f"a silence lasts from {start:g} to {end:g} s; it must end later")
        least = EXACT_REST_SECONDS
        if self.exact_seconds is not None and not least < self.exact_seconds < math.inf:
            raise OptionError(
                f"the exact length is {self.exact_seconds:g} s; it must be over {least:g}, the "
                "rest at the end"
            )

    def _check_densities(self) -> None:
        """Raise :class:`OptionError` where the least density is above the greatest."""
        least, most = self.least_notes_per_second, self.notes_per_second
        if least is None or most is None:
            return
        for seconds in sorted(time for curve in (least, most) for time, _ in curve.points):
            low, high = float(least.at(seconds)), float(most.at(seconds))
            if low > high:
                raise OptionError(
                    f"at {seconds:g} s at least {low:g} notes per second are asked for, and at "
                    f"most {high:g}"
                )

    def check(self, codec: object) -> None:
        """Raise :class:`OptionError` for a codec without notes in time."""
        if self != Constraints() and not isinstance(codec, NoteStream):
            raise OptionError("constraints are for music: this model's codec has no notes in time")

    def rests(self) -> list[tuple[float, float]]:
        """Return when nothing may sound, the end of an exact length included."""
        ends = [] if self.exact_seconds is None else [self.exact_seconds - EXACT_REST_SECONDS]
        return sorted([*self.silences, *((end, math.inf) for end in ends)])

    def names_of_rests(self) -> list[str]:
        """Return what calls for each of the rests, for an error."""
        names = [f"the silence from {start:g} to {end:g} s" for start, end in self.silences]
        exact = f"the rest of {EXACT_REST_SECONDS:g} s at the exact end"
        return names if self.exact_seconds is None else [*names, exact]

    @property
    def are_told(self) -> bool:
        """Whether any constraint can also be set as a control of the model."""
        curves = (self.notes_per_second, self.least_notes_per_second, self.loudness)
        told = (self.key, self.chords, *curves)
        return any(part is not None for part in told)

    def controls_at(self, seconds: float, controls: Controls | None) -> Controls:
        """Return the controls at a time, those not set taken from the constraints."""
        told: dict[str, float | Sequence[float]] = {}
        if self.notes_per_second is not None:
            told["notes_per_second"] = float(self.notes_per_second.at(seconds))
        elif self.least_notes_per_second is not None:
            told["notes_per_second"] = float(self.least_notes_per_second.at(seconds))
        if self.loudness is not None:
            told["loudness"] = float(self.loudness.at(seconds))
        weights = self._weights_at(seconds)
        if weights is not None:
            told["pitch_classes"] = weights
        base = controls or Controls()
        free = {k: v for k, v in told.items() if getattr(base, k) is None}
        return replace(base, **free)  # type: ignore[arg-type]

    def _weights_at(self, seconds: float) -> list[float] | None:
        """Return the weights of pitch classes at a time; those of the chord weigh more."""
        chord = None
        if self.chords is not None:
            name = self.chords.until(seconds + 1e-6)[-1][1]
            chord = pitch_classes_of(name)
        if chord is None and self.key is None:
            return None
        key = self.key or frozenset()
        return [2.0 * (p in (chord or ())) + (p in key) for p in range(12)]
