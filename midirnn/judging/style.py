"""The distance between the styles of two passages: six features and their scale.

Distances of different features cannot be compared, so each is divided by its mean between passages
of different pieces: 1 is as far as another piece.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from midirnn.arrays import Float64Array
from midirnn.judging.features import (
    Feature,
    inter_onset_histogram,
    notes_per_second,
    pitch_class_histogram,
    polyphony,
    velocity,
)
from midirnn.performance import Performance

GRID_SECONDS = 0.01
"""Onsets and ends are rounded to this, so that the notes of a chord begin together."""


@dataclass(frozen=True)
class StyleFeature(Feature):
    """A feature that has no value (NaN) in a passage with fewer than ``fewest_onsets``."""

    fewest_onsets: int = 1

    def of(self, piece: Performance, seconds: float) -> Float64Array:
        """Return the measure as an array; shape ``(D,)``, D of 1 except for histograms."""
        values = super().of(piece, seconds)
        return values if len(np.unique(piece.start)) >= self.fewest_onsets else values * np.nan


def log_notes_per_second(piece: Performance, seconds: float) -> float:
    """Return the logarithm of the notes per second; without notes that of a single one."""
    return float(np.log(max(notes_per_second(piece, seconds), 1 / seconds)))


def mean_pitch(piece: Performance, seconds: float) -> float:
    """Return the mean pitch of the notes, as a MIDI number; 0 without notes."""
    return float(piece.pitch.mean()) if len(piece) else 0.0


def log_polyphony(piece: Performance, seconds: float) -> float:
    """Return the logarithm of the mean number of notes that sound, where any sounds."""
    return float(np.log(max(polyphony(piece, seconds), 1.0)))


STYLE = (
    StyleFeature("density", log_notes_per_second, fewest_onsets=0),
    StyleFeature("velocity", velocity),
    StyleFeature("register", mean_pitch),
    StyleFeature("polyphony", log_polyphony),
    StyleFeature("pitch_classes", pitch_class_histogram, is_histogram=True),
    StyleFeature("rhythm", inter_onset_histogram, is_histogram=True, fewest_onsets=2),
)
"""The features that passages are compared by, in column order. Rhythm counts a chord once."""

Styles = Mapping[str, Float64Array]
"""The features of N passages by name; shape ``(N, D)`` each."""


def passage(piece: Performance, begin_seconds: float, end_seconds: float) -> Performance:
    """Return the notes that begin in ``[begin_seconds, end_seconds)``, on a grid of 10 ms."""
    cut = piece.slice(begin_seconds, end_seconds)
    return cut.replace(start=_on_grid(cut.start), end=_on_grid(cut.end))


def _on_grid(seconds: Float64Array) -> Float64Array:
    rounded: Float64Array = np.round(seconds / GRID_SECONDS) * GRID_SECONDS
    return rounded


def measure(passages: Sequence[Performance], seconds: float) -> Styles:
    """Return the features of passages of this length."""
    return {
        feature.name: np.stack([feature.of(piece, seconds) for piece in passages])
        for feature in STYLE
    }


def distances(styles: Styles, others: Styles) -> Float64Array:
    """Return the distance of each passage to the other at the same index; shape ``(N, 6)``.

    Histograms are compared by total variation, single numbers by their absolute difference. NaN
    where a passage has no value.
    """
    return np.stack([_differences(f, styles[f.name], others[f.name]) for f in STYLE], axis=1)


def mean_between_pieces(styles: Styles, others: Styles, pieces: Sequence[str]) -> Float64Array:
    """Return the mean distance of passages to others of different pieces; shape ``(6,)``.

    ``pieces`` (N) names the piece of each passage, both in ``styles`` and in ``others``. The mean
    is 1 where there is nothing to scale by.
    """
    name = np.asarray(pieces)
    different = name[:, None] != name  # (N, N)
    means = []
    for feature in STYLE:
        a, b = styles[feature.name], others[feature.name]
        between = _differences(feature, a[:, None], b[None])[different]
        known = between[~np.isnan(between)]
        means.append(known.mean() if known.any() else 1.0)
    return np.array(means)


def scaled(distance: Float64Array, scale: Float64Array) -> Float64Array:
    """Return distances (N, 6) in units of the scale (6,); 1 where a passage has no value."""
    return np.where(np.isnan(distance), 1.0, distance / scale)


def _differences(feature: Feature, values: Float64Array, others: Float64Array) -> Float64Array:
    """Return the distances between values, summed over the last axis."""
    apart: Float64Array = np.abs(values - others).sum(axis=-1)
    return apart / 2 if feature.is_histogram else apart
