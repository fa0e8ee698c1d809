"""What can be asked of a model: how dense, how loud and in which pitch classes to play.

The three measures are those that Performance RNN's conditioned variants were steered by (density
and pitch classes; I. Simon and S. Oore, "Performance RNN", 2017), and loudness beside them. In
training they are measured over the next seconds of the piece; when playing, someone asks for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from midirnn.codecs.performance import PerformanceCodec
from midirnn.codecs.vocabulary import Tokens, TokenType
from midirnn.errors import OptionError

FloatArray = npt.NDArray[np.float32]

DEFAULT_STRENGTH = 2.0
"""Makes the weights `piano` follow closest; see tests/sampling/test_steering.py."""

MAX_STRENGTH = 10.0

HORIZON_SECONDS = 4.0
"""How far ahead is looked when a piece is measured."""

NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS = {"#": 1, "b": -1}
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
"""Semitones from the root on; minor is natural minor."""

_HOW_TO_NAME = "name some as in 'C Eb F#', or a key as in 'A minor'"

MAX_VELOCITY = 127
PITCH_CLASSES = 12

DENSITY_KNOTS = np.arange(8.0)
"""Of log2(1 + notes per second): 0, 1, 3, 7, 15, 31, 63 and 127 notes per second."""

LOUDNESS_KNOTS = np.linspace(0.0, MAX_VELOCITY, 8)

DENSITY = slice(0, len(DENSITY_KNOTS))
LOUDNESS = slice(DENSITY.stop, DENSITY.stop + len(LOUDNESS_KNOTS))
HISTOGRAM = slice(LOUDNESS.stop, LOUDNESS.stop + PITCH_CLASSES)
CONTROLS = (DENSITY, LOUDNESS, HISTOGRAM)
"""Where each control stands in a vector."""

NUM_CONTROL_INPUTS = HISTOGRAM.stop


@dataclass(frozen=True)
class Controls:
    """What is asked for over the next seconds; None leaves it to the model.

    ``loudness`` is a mean velocity, 0 to 127. ``pitch_classes`` are twelve weights from C on, of
    which only the proportions count. ``strength`` is how urgently all of it is asked: in training
    it is 1, and what the model has just played then weighs as much.
    """

    notes_per_second: float | None = None
    loudness: float | None = None
    pitch_classes: Sequence[float] | None = None
    strength: float = DEFAULT_STRENGTH

    def __post_init__(self) -> None:
        if self.notes_per_second is not None and not 0.0 <= self.notes_per_second <= 127.0:
            raise OptionError(
                f"notes_per_second is {self.notes_per_second:g}; allowed are 0 to 127"
            )
        if self.loudness is not None and not 0.0 <= self.loudness <= MAX_VELOCITY:
            raise OptionError(f"loudness is {self.loudness:g}; allowed are 0 to {MAX_VELOCITY}")
        if not 0.0 <= self.strength <= MAX_STRENGTH:
            raise OptionError(f"strength is {self.strength:g}; allowed are 0 to {MAX_STRENGTH:g}")
        if self.pitch_classes is not None:
            weights = np.asarray(self.pitch_classes, np.float64)
            if weights.shape != (PITCH_CLASSES,) or not (weights >= 0).all() or not weights.any():
                raise OptionError(
                    f"pitch_classes are {list(self.pitch_classes)}; allowed are twelve weights, "
                    "none below 0 and not all 0"
                )

    def vector(self) -> FloatArray:
        """The inputs of a model; shape ``(28,)``. What is not asked for is all 0."""
        row = np.zeros(NUM_CONTROL_INPUTS, np.float32)
        if self.notes_per_second is not None:
            row[DENSITY] = _density_inputs(np.array([self.notes_per_second]))[0]
        if self.loudness is not None:
            row[LOUDNESS] = _interpolated(np.array([self.loudness]), LOUDNESS_KNOTS)[0]
        if self.pitch_classes is not None:
            weights = np.asarray(self.pitch_classes, np.float64)
            row[HISTOGRAM] = weights / weights.sum()
        return row * np.float32(self.strength)


def parse_pitch_classes(text: str) -> tuple[float, ...]:
    """Twelve weights of what is named: pitch classes ("C E G", "Eb F#") or a key ("A minor").

    Raises :class:`OptionError` for anything else.
    """
    words = text.replace(",", " ").split()
    if len(words) == 2 and words[1].lower() in SCALES:
        root = _pitch_class(words[0], text)
        named = {(root + interval) % PITCH_CLASSES for interval in SCALES[words[1].lower()]}
    else:
        named = {_pitch_class(word, text) for word in words}
    if not named:
        raise OptionError(f"no pitch class is named in {text!r}; {_HOW_TO_NAME}")
    return tuple(float(pitch_class in named) for pitch_class in range(PITCH_CLASSES))


def _pitch_class(name: str, text: str) -> int:
    letter, accidentals = name[:1].upper(), name[1:]
    if letter not in NATURALS or set(accidentals) - set(ACCIDENTALS):
        raise OptionError(f"{name!r} in {text!r} is no pitch class; {_HOW_TO_NAME}")
    return (NATURALS[letter] + sum(ACCIDENTALS[a] for a in accidentals)) % PITCH_CLASSES


def measured_controls(tokens: Tokens, codec: PerformanceCodec, begin: int, stop: int) -> FloatArray:
    """What a piece does in the seconds from each of its tokens ``begin`` to ``stop - 1`` on.

    Shape ``(stop - begin, 28)``. Notes are counted from the token itself on, for
    :data:`HORIZON_SECONDS`. Where no note begins, loudness and pitch classes are all 0.
    """
    kinds, values = codec.vocabulary.type_index, codec.vocabulary.values
    order = [token_range.type for token_range in codec.vocabulary.ranges]
    horizon = round(HORIZON_SECONDS * codec.steps_per_second)
    first = _last_velocity(tokens, codec, begin)
    tokens = tokens[begin:]
    kind, value = kinds[tokens], values[tokens]
    step = np.cumsum(np.where(kind == order.index(TokenType.TIME_SHIFT), value, 0))
    ons = np.flatnonzero(kind == order.index(TokenType.NOTE_ON))
    pitch = value[ons]
    velocities = _velocities(kind == order.index(TokenType.VELOCITY), value, first)[ons]
    loudness = np.concatenate([[0.0], np.cumsum(codec.bin_velocity(velocities))])
    classes = np.zeros((len(ons) + 1, PITCH_CLASSES))
    classes[np.arange(1, len(ons) + 1), pitch % PITCH_CLASSES] = 1.0
    classes = classes.cumsum(axis=0)

    count = stop - begin
    at = np.arange(count)
    low = np.searchsorted(ons, at)
    begun = np.concatenate([[0], step])[at]  # where the token's time begins: before its own shift
    high = np.searchsorted(step[ons], begun + horizon)
    high = np.maximum(high, low)
    notes = (high - low).astype(np.float64)
    rows = np.zeros((count, NUM_CONTROL_INPUTS), np.float32)
    rows[:, DENSITY] = _density_inputs(notes / HORIZON_SECONDS)
    some = notes > 0
    mean = (loudness[high] - loudness[low])[some] / notes[some]
    rows[some, LOUDNESS] = _interpolated(mean, LOUDNESS_KNOTS)
    rows[some, HISTOGRAM] = (classes[high] - classes[low])[some] / notes[some, None]
    return rows


def _last_velocity(tokens: Tokens, codec: PerformanceCodec, position: int) -> int:
    """The velocity bin in force before that position."""
    ids = codec.vocabulary.slice_of(TokenType.VELOCITY)
    before = tokens[:position]
    set_at = np.flatnonzero((before >= ids.start) & (before < ids.stop))
    if not len(set_at):
        return int(codec.default_bin)
    return int(codec.vocabulary.values[before[set_at[-1]]])


def _velocities(
    is_velocity: npt.NDArray[np.bool_], value: npt.NDArray[np.int64], first: int
) -> npt.NDArray[np.int64]:
    """The velocity bin in force at each token."""
    last = np.maximum.accumulate(np.where(is_velocity, np.arange(len(value)), -1))
    return np.where(last >= 0, value[last], first)


def _density_inputs(notes_per_second: npt.NDArray[np.float64]) -> FloatArray:
    return _interpolated(np.log2(1.0 + notes_per_second), DENSITY_KNOTS)


def _interpolated(values: npt.NDArray[np.float64], knots: npt.NDArray[np.float64]) -> FloatArray:
    """Each value as weights of the two knots beside it, which sum to 1; shape ``(N, knots)``."""
    values = np.clip(values, knots[0], knots[-1])
    left = np.clip(np.searchsorted(knots, values, side="right") - 1, 0, len(knots) - 2)
    share = (values - knots[left]) / (knots[left + 1] - knots[left])
    rows = np.zeros((len(values), len(knots)), np.float32)
    at = np.arange(len(values))
    rows[at, left] = 1.0 - share
    rows[at, left + 1] = share
    return rows
