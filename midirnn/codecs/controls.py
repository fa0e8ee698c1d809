"""Controls: the conditioning inputs of a model. Density, loudness and pitch classes.

Density and pitch classes are the conditioning of Performance RNN's variants (I. Simon and S. Oore,
"Performance RNN", 2017). In training the controls are measured over the next seconds of the piece
(:class:`~midirnn.codecs.base.Steerable`); when generating, the user sets them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from midirnn.arrays import Float32Array
from midirnn.codecs.style import (
    ENDING,
    NUM_STYLE_INPUTS,
    PITCH_CLASSES,
    SLICES,
    TRAITS,
    Style,
    style_inputs,
)
from midirnn.errors import OptionError

DEFAULT_STRENGTH = 2.0
"""The strength at which the weights `piano` follow the controls most closely."""

MAX_STRENGTH = 10.0

NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS = {"#": 1, "b": -1}
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
"""Semitones above the root; minor is natural minor."""

_HOW_TO_NAME = "write pitch classes, 'C Eb F#', or a key, 'A minor'"

MAX_VELOCITY = 127
TRAIT = {trait.name: trait for trait in TRAITS}

DENSITY = SLICES["density"]
LOUDNESS = SLICES["loudness"]
HISTOGRAM = SLICES["pitch_classes"]
CONTROLS = (DENSITY, LOUDNESS, HISTOGRAM)
"""The slice of each control in the input vector."""

NUM_CONTROL_INPUTS = HISTOGRAM.stop


@dataclass(frozen=True)
class Controls:
    """The controls of what is generated next; None leaves one to the model.

    ``loudness`` is a mean velocity, 0 to 127. ``pitch_classes`` are twelve weights from C on, of
    which only the proportions count, or their names or a key as text ("C Eb G", "A minor").
    ``strength`` multiplies the inputs: it is 1 in training, and with higher values the model
    follows the controls more closely. ``style`` is followed where no other control is set, as
    closely as ``follow`` says, 0 to 1. ``ending_seconds`` is the time left to the end of the piece
    or of an answer: update it as the end approaches. From 10 on it means that the end is not near.
    Models without style inputs ignore it.
    """

    notes_per_second: float | None = None
    loudness: float | None = None
    pitch_classes: Sequence[float] | str | None = None
    strength: float = DEFAULT_STRENGTH
    style: Style | None = None
    follow: float = 1.0
    ending_seconds: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.pitch_classes, str):
            object.__setattr__(self, "pitch_classes", parse_pitch_classes(self.pitch_classes))
        if self.notes_per_second is not None and not 0.0 <= self.notes_per_second <= 127.0:
            raise OptionError(
                f"notes_per_second is {self.notes_per_second:g}; allowed are 0 to 127"
            )
        if self.loudness is not None and not 0.0 <= self.loudness <= MAX_VELOCITY:
            raise OptionError(f"loudness is {self.loudness:g}; allowed are 0 to {MAX_VELOCITY}")
        if self.ending_seconds is not None and not self.ending_seconds >= 0.0:
            raise OptionError(f"ending_seconds is {self.ending_seconds:g}; it must be 0 or more")
        if not 0.0 <= self.strength <= MAX_STRENGTH:
            raise OptionError(f"strength is {self.strength:g}; allowed are 0 to {MAX_STRENGTH:g}")
        if not 0.0 <= self.follow <= 1.0:
            raise OptionError(f"follow is {self.follow:g}; allowed are 0 to 1")
        if self.pitch_classes is not None:
            weights = np.asarray(self.pitch_classes, np.float64)
            if weights.shape != (PITCH_CLASSES,) or not (weights >= 0).all() or not weights.any():
                raise OptionError(
                    f"pitch_classes are {list(self.pitch_classes)}; allowed are twelve weights, "
                    "none below 0 and not all 0"
                )

    @property
    def weights(self) -> tuple[float, ...] | None:
        """The twelve weights of the pitch classes, if they are set."""
        if self.pitch_classes is None or isinstance(self.pitch_classes, str):
            return None
        return tuple(self.pitch_classes)

    def vector(self) -> Float32Array:
        """Return the inputs of a model; shape ``(NUM_STYLE_INPUTS,)``.

        Controls that are neither set nor part of ``style`` are all 0. Values are clipped to the
        range found in piano music, so that asking for more never gives less.
        """
        row = np.zeros(NUM_STYLE_INPUTS, np.float32)
        if self.style is not None:
            row += self.style.vector() * np.float32(self.follow)
        asked: dict[str, npt.NDArray[np.float64]] = {}
        if self.notes_per_second is not None:
            asked["density"] = np.log2(1.0 + np.array([self.notes_per_second]))
        if self.loudness is not None:
            asked["loudness"] = np.array([self.loudness], np.float64)
        if self.pitch_classes is not None:
            weights = np.asarray([self.pitch_classes], np.float64)
            asked["pitch_classes"] = weights / weights.sum()
        if self.ending_seconds is not None:
            asked[ENDING] = np.array([self.ending_seconds])
        if not asked:
            return row
        set_rows = style_inputs(asked, 1)[0] * np.float32(self.strength)
        for name in asked:
            row[SLICES[name]] = set_rows[SLICES[name]]
        return row


def parse_pitch_classes(text: str) -> tuple[float, ...]:
    """Return twelve weights for pitch classes ("C E G", "Eb F#") or a key ("A minor").

    Raises :class:`OptionError` for anything else.
    """
    words = text.replace(",", " ").split()
    if len(words) == 2 and words[1].lower() in SCALES:
        root = _pitch_class(words[0], text)
        named = {(root + interval) % PITCH_CLASSES for interval in SCALES[words[1].lower()]}
    else:
        named = {_pitch_class(word, text) for word in words}
    if not named:
        raise OptionError(f"{text!r} names no pitch class; {_HOW_TO_NAME}")
    return tuple(float(pitch_class in named) for pitch_class in range(PITCH_CLASSES))


def _pitch_class(name: str, text: str) -> int:
    letter, accidentals = name[:1].upper(), name[1:]
    if letter not in NATURALS or set(accidentals) - set(ACCIDENTALS):
        raise OptionError(f"{name!r} in {text!r} is not a pitch class; {_HOW_TO_NAME}")
    return (NATURALS[letter] + sum(ACCIDENTALS[a] for a in accidentals)) % PITCH_CLASSES


def density_inputs(notes_per_second: npt.NDArray[np.float64]) -> Float32Array:
    """Return the inputs for each density; shape ``(N, 8)``."""
    return TRAIT["density"].inputs(np.log2(1.0 + notes_per_second))


def loudness_inputs(loudness: npt.NDArray[np.float64]) -> Float32Array:
    """Return the inputs for each mean velocity; shape ``(N, 8)``."""
    return TRAIT["loudness"].inputs(loudness)
