"""Features of a piece, each a few numbers, by which sets of pieces are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from midirnn.arrays import Float64Array
from midirnn.performance import Performance

_TIME_EDGES = 0.02 * 2.0 ** np.arange(11) / np.sqrt(2)
"""Edges in seconds of the bins of durations: around 20 ms, 40 ms, and so on to 20 s."""


@dataclass(frozen=True)
class Feature:
    """A measure of a piece of ``seconds``: one number, or several that add up to 1."""

    name: str
    measure: Callable[[Performance, float], Float64Array | float]
    is_histogram: bool = False

    def of(self, piece: Performance, seconds: float) -> Float64Array:
        """Return the measure as an array; shape ``(D,)``, where D is 1 except for histograms."""
        return np.atleast_1d(np.asarray(self.measure(piece, seconds), np.float64))


def pitch_class_histogram(piece: Performance, seconds: float) -> Float64Array:
    """Return the share of notes on C, C sharp ... B; shape ``(12,)``."""
    return _shares(np.bincount(piece.pitch % 12, minlength=12))


def pitch_range(piece: Performance, seconds: float) -> float:
    """Return the number of semitones from the lowest note to the highest."""
    return float(np.ptp(piece.pitch.astype(np.int64))) if len(piece) else 0.0


def notes_per_second(piece: Performance, seconds: float) -> float:
    """Return the notes per second of the whole piece."""
    return len(piece) / seconds


def polyphony(piece: Performance, seconds: float) -> float:
    """Return the mean number of notes that sound, over the time in which any sounds."""
    sounding = seconds - float(silences(piece, seconds).sum())
    return float((piece.end - piece.start).sum()) / sounding if sounding > 0 else 0.0


def velocity(piece: Performance, seconds: float) -> float:
    """Return the mean velocity of notes."""
    return float(piece.velocity.mean()) if len(piece) else 0.0


def velocity_spread(piece: Performance, seconds: float) -> float:
    """Return the standard deviation of the notes' velocities."""
    return float(piece.velocity.std()) if len(piece) else 0.0


def inter_onset_seconds(piece: Performance, seconds: float) -> float:
    """Return the mean time between onsets; notes that begin together are one onset."""
    gaps = _gaps_of_chords(piece)
    return float(gaps.mean()) if len(gaps) else seconds


def inter_onset_histogram(piece: Performance, seconds: float) -> Float64Array:
    """Return the shares of inter-onset times, in bins of a factor of two; shape ``(12,)``."""
    return _time_histogram(_gaps_of_chords(piece))


def duration_seconds(piece: Performance, seconds: float) -> float:
    """Return the mean time that a note sounds."""
    return float((piece.end - piece.start).mean()) if len(piece) else 0.0


def duration_histogram(piece: Performance, seconds: float) -> Float64Array:
    """Return the shares of durations, in bins of a factor of two; shape ``(12,)``."""
    return _time_histogram(piece.end - piece.start)


FEATURES = (
    Feature("pitch_class_histogram", pitch_class_histogram, is_histogram=True),
    Feature("pitch_range", pitch_range),
    Feature("notes_per_second", notes_per_second),
    Feature("polyphony", polyphony),
    Feature("velocity", velocity),
    Feature("velocity_spread", velocity_spread),
    Feature("inter_onset_seconds", inter_onset_seconds),
    Feature("inter_onset_histogram", inter_onset_histogram, is_histogram=True),
    Feature("duration_seconds", duration_seconds),
    Feature("duration_histogram", duration_histogram, is_histogram=True),
)
"""All features. The choice follows Yang and Lerch (2020), section 3.2."""


def silences(piece: Performance, seconds: float) -> Float64Array:
    """Return the lengths of the silences, those at both ends included."""
    ends = np.maximum.accumulate(np.concatenate([[0.0], piece.end]))
    gaps = np.append(piece.start, seconds) - ends
    return gaps[gaps > 0.0]


def onset_gaps(piece: Performance, seconds: float) -> Float64Array:
    """Return the times between onsets, before the first and after the last."""
    return np.diff(piece.start, prepend=0.0, append=max(seconds, piece.start.max(initial=0.0)))


def _gaps_of_chords(piece: Performance) -> Float64Array:
    return np.diff(np.unique(piece.start))


def _shares(counts: npt.NDArray[np.int64]) -> Float64Array:
    """Return counts as shares of their sum; zeros if all are zero."""
    shares: Float64Array = counts / max(int(counts.sum()), 1)
    return shares


def _time_histogram(values: Float64Array) -> Float64Array:
    """Return shares in bins of a factor of two; the outer bins hold all beyond the edges."""
    return _shares(np.bincount(np.searchsorted(_TIME_EDGES, values), minlength=12))
