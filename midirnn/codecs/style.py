"""The style of a passage in numbers: its density, loudness, register, articulation and rhythm.

In training the model gets the style of the next seconds along with the tokens, measured now and
then, and so learns to play in a given style; when playing, it gets the style of what was just
heard. Density and pitch classes are the conditioning of Performance RNN (I. Simon and S. Oore,
2017).

Each *trait* is a histogram, or a number spread over a few inputs by linear interpolation between
knots. A trait that is not given is all zeros.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from midirnn.arrays import Float32Array, Float64Array, IntArray

HORIZON_SECONDS = 4.0
"""The length of the passage that is measured at each place."""

PITCH_CLASSES = 12

RHYTHM_EDGES = (-9.0, -5.2, -4.2, -3.4, -2.7, -2.0, -1.3, -0.5, 9.0)
"""The edges of the bins of inter-onset times, in log2 of seconds."""


@dataclass(frozen=True)
class Trait:
    """A number, or a histogram, of a passage."""

    name: str
    unit: str
    knots: tuple[float, ...] = ()
    """The value that each input stands for. Empty for a histogram."""
    bins: int = 0
    """The number of bins of a histogram."""
    low: float = 0.0
    high: float = 0.0
    """The range found in piano music, except at one place in a thousand. Values are clipped to it,
    so that a knob turned all the way never asks for what no model has learned."""

    @property
    def width(self) -> int:
        """The number of inputs."""
        return self.bins or len(self.knots)

    def inputs(self, values: Float64Array) -> Float32Array:
        """Return the inputs (N, width) of values (N,), or of histograms (N, bins)."""
        if self.bins:
            return values.astype(np.float32)
        return interpolated(np.clip(values, self.low, self.high), self.knots)

    def place(self, value: float) -> tuple[int, float]:
        """Return the index of the knot below a value, and how far it is to the next, 0 to 1."""
        value = min(max(value, self.low, self.knots[0]), self.high, self.knots[-1])
        left = min(max(bisect_right(self.knots, value) - 1, 0), len(self.knots) - 2)
        low, high = self.knots[left], self.knots[left + 1]
        return left, (value - low) / (high - low)


TRAITS = (
    Trait("density", "log2(1 + notes per second)", tuple(map(float, range(8))), 0, 0.0, 5.3),
    Trait("loudness", "mean velocity", tuple(127 / 7 * k for k in range(8)), 0, 21.0, 95.0),
    Trait("pitch_classes", "share of notes", bins=PITCH_CLASSES),
    Trait("loudness_spread", "deviation of velocity", (0, 4, 8, 13, 19, 27), 0, 2.0, 27.0),
    Trait("register", "mean pitch", (28, 40, 52, 64, 76, 88, 100), 0, 32.0, 94.0),
    Trait("register_spread", "deviation of pitch", (0, 4, 8, 12, 16, 22), 0, 1.0, 22.0),
    Trait("polyphony", "log2(1 + notes at once)", tuple(2 / 3 * k for k in range(7)), 0, 0.2, 4.0),
    Trait(
        "articulation",
        "mean log2(duration / time to the next onset)",
        tuple(map(float, range(-2, 6))),
        0,
        -1.9,
        5.0,
    ),
    Trait("rhythm", "share of inter-onset times", bins=len(RHYTHM_EDGES) - 1),
    Trait("ending", "seconds to the end", (0, 1, 2, 5, 10), 0, 0.0, 10.0),
)
"""In the order of a model's inputs; the first three are the controls."""

ENDING = "ending"
"""The trait that describes a place, not a passage."""


def trait_slices() -> dict[str, slice]:
    """Return the slice of each trait's inputs."""
    slices, first = {}, 0
    for trait in TRAITS:
        slices[trait.name] = slice(first, first + trait.width)
        first += trait.width
    return slices


SLICES = trait_slices()
NUM_STYLE_INPUTS = SLICES[TRAITS[-1].name].stop


def interpolated(values: Float64Array, knots: tuple[float, ...]) -> Float32Array:
    """Return each value as weights of the two nearest knots, which sum to 1; (N, knots)."""
    places = np.array(knots, np.float64)
    values = np.clip(values, places[0], places[-1])
    left = np.clip(np.searchsorted(places, values, side="right") - 1, 0, len(places) - 2)
    share = (values - places[left]) / (places[left + 1] - places[left])
    rows = np.zeros((len(values), len(places)), np.float32)
    at = np.arange(len(values))
    rows[at, left] = 1.0 - share
    rows[at, left + 1] = share
    return rows


@dataclass(frozen=True)
class Style:
    """The style of a passage: a value for each known trait, by name.

    Values are in the traits' units; histograms are tuples of shares.
    """

    values: Mapping[str, float | tuple[float, ...]]

    @classmethod
    def of(cls, values: Mapping[str, Float64Array]) -> Style:
        """Return the style of the first of N measured places, without the trait ``ending``."""
        known: dict[str, float | tuple[float, ...]] = {}
        for trait in TRAITS:
            value = np.asarray(values[trait.name])[0]
            if trait.bins:
                if value.any():
                    known[trait.name] = tuple(value.tolist())
            elif trait.name != ENDING and not np.isnan(value):
                known[trait.name] = float(value)
        return cls(known)

    def number(self, name: str) -> float:
        """Return the value of a trait that is a number."""
        value = self.values[name]
        assert not isinstance(value, tuple)
        return float(value)

    def histogram(self, name: str) -> Float64Array:
        """Return the shares of a trait that is a histogram."""
        return np.array(self.values[name], np.float64)

    def vector(self) -> Float32Array:
        """Return a model's inputs; shape ``(NUM_STYLE_INPUTS,)``.

        The same as :func:`style_inputs`, but faster: styles are set while a model plays.
        """
        row = np.zeros(NUM_STYLE_INPUTS, np.float32)
        for trait in TRAITS:
            first = SLICES[trait.name].start
            if trait.name not in self.values:
                continue
            if trait.bins:
                row[SLICES[trait.name]] = self.values[trait.name]
            elif not math.isnan(number := self.number(trait.name)):
                place, share = trait.place(number)
                row[first + place : first + place + 2] = 1.0 - share, share
        return row


@dataclass(frozen=True)
class Notes:
    """The notes of a stream: sorted onsets and durations in steps, pitches, MIDI velocities."""

    onset: IntArray
    duration: IntArray
    pitch: IntArray
    velocity: IntArray
    end: int
    """When the stream ends, in steps."""
    steps_per_second: int

    @cached_property
    def sounding_time(self) -> IntArray:
        """The summed duration of all notes before each step, up to the end of the last note."""
        ends = np.minimum(self.onset + self.duration, self.end)
        size = int(ends.max(initial=0)) + 2
        change = np.bincount(np.minimum(self.onset, self.end), minlength=size)
        change -= np.bincount(ends, minlength=size)
        return np.concatenate([[0], np.cumsum(np.cumsum(change))[:-1]])

    @cached_property
    def chord(self) -> IntArray:
        """The index of each note's onset among the distinct onsets."""
        return np.cumsum(np.diff(self.onset, prepend=self.onset[:1]) > 0)

    @cached_property
    def interonset(self) -> IntArray:
        """The time from each distinct onset to the next; one fewer than there are onsets."""
        apart = self.onset[1:] - self.onset[:-1]
        return apart[apart > 0]


def measured(
    notes: Notes, first: IntArray, begin: IntArray, seconds: float = HORIZON_SECONDS
) -> dict[str, Float64Array]:
    """Return each trait's values over the ``seconds`` that follow each of N places.

    A place is given by the index of the ``first`` note yet to come and by its time, ``begin``, in
    steps. Where there are too few notes, a number is NaN and a histogram all zeros.
    """
    steps = round(seconds * notes.steps_per_second)
    last = np.maximum(np.searchsorted(notes.onset, begin + steps), first)
    count = (last - first).astype(np.float64)

    low, high = (int(first.min()), int(last.max())) if len(first) else (0, 0)

    def total(values: npt.NDArray[np.generic]) -> Float64Array:
        sums = np.zeros((high - low + 1, *values.shape[1:]))
        np.cumsum(values[low:high], axis=0, out=sums[1:])
        return np.asarray(sums[last - low] - sums[first - low], np.float64)

    def mean(values: npt.NDArray[np.generic]) -> Float64Array:
        return total(values) / np.where(count > 0, count, np.nan)

    def spread(values: IntArray) -> Float64Array:
        values = values.astype(np.int64)
        variance = mean(values * values) - mean(values) ** 2
        return np.where(count > 1, np.sqrt(np.maximum(variance, 0.0)), np.nan)

    classes = notes.pitch[:, None] % PITCH_CLASSES == np.arange(PITCH_CLASSES)
    connected, known = _connected(notes)
    sounding = notes.sounding_time
    window = np.minimum(np.stack([begin, begin + steps]), len(sounding) - 1)
    at_once = (sounding[window[1]] - sounding[window[0]]) / steps
    with np.errstate(invalid="ignore", divide="ignore"):
        articulation = total(connected) / total(known)
    return {
        "density": np.log2(1.0 + count / seconds),
        "loudness": mean(notes.velocity),
        "pitch_classes": total(classes) / np.maximum(count, 1.0)[:, None],
        "loudness_spread": spread(notes.velocity),
        "register": mean(notes.pitch),
        "register_spread": spread(notes.pitch),
        "polyphony": np.log2(1.0 + at_once),
        "articulation": articulation,
        "rhythm": _rhythm(notes, first, last),
        "ending": (notes.end - begin) / notes.steps_per_second,
    }


def _connected(notes: Notes) -> tuple[Float64Array, npt.NDArray[np.bool_]]:
    """Return log2 of duration / time to the next onset (N,), and where there is a next onset.

    Rounded so that sums are exact: a passage gives the same wherever the running sum begins.
    """
    next_chord = notes.chord
    known = next_chord < len(notes.interonset)
    to_next = notes.interonset[np.where(known, next_chord, 0)] if known.any() else notes.duration
    connected = np.log2(np.maximum(notes.duration, 1) / np.maximum(to_next, 1))
    return np.where(known, np.rint(connected * _FRACTIONS) / _FRACTIONS, 0.0), known


_FRACTIONS = 2.0**32
"""Values are multiples of 1 over this: sums of thousands fit into the 53 bits of a float."""


def _rhythm(notes: Notes, first: IntArray, last: IntArray) -> Float64Array:
    """Return the share of inter-onset times in each bin, for notes ``first`` to ``last - 1``."""
    one_hot = np.eye(len(RHYTHM_EDGES) - 1)[_rhythm_bins(notes.interonset / notes.steps_per_second)]
    sums = np.concatenate([np.zeros((1, one_hot.shape[1])), np.cumsum(one_hot, axis=0)])
    some = last > first
    chord = notes.chord if len(notes.chord) else np.zeros(1, np.int64)
    low = chord[np.where(some, first, 0)]
    high = chord[np.where(some, last - 1, 0)]
    counts = sums[high] - sums[low]
    number = (high - low)[:, None]
    return np.asarray(counts / np.maximum(number, 1))


def rhythm_shares(seconds: Float64Array) -> Float64Array:
    """Return the share (8,) of inter-onset times in each bin; zeros if there are none."""
    counts = np.bincount(_rhythm_bins(seconds), minlength=len(RHYTHM_EDGES) - 1)
    return counts / max(len(seconds), 1)


def _rhythm_bins(seconds: Float64Array) -> IntArray:
    return np.searchsorted(RHYTHM_EDGES[1:-1], np.log2(seconds), side="right")


def style_inputs(values: Mapping[str, Float64Array], count: int) -> Float32Array:
    """Return the inputs (count, NUM_STYLE_INPUTS) of traits; zeros where one is NaN or missing."""
    rows = np.zeros((count, NUM_STYLE_INPUTS), np.float32)
    for trait in TRAITS:
        if trait.name not in values:
            continue
        given = np.asarray(values[trait.name], np.float64)
        if trait.bins:
            rows[:, SLICES[trait.name]] = given
        else:
            known = ~np.isnan(given)
            at = slice(None) if known.all() else known  # a slice is filled in half the time
            rows[at, SLICES[trait.name]] = trait.inputs(given[at])
    return rows
