"""What a network reads of a score: numbers for each note, from the notes and the metre alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.arrays import Float64Array, IntArray
from midirnn.scores.score import Score

_MIDDLE = 64.0
_OCTAVE = 12.0
_NEAR = 2.0  # quarter notes before and after a note that count as its surroundings
_FAR = 8.0
_LONGEST = 16.0  # quarter notes: longer waits and durations are cut to this
_SHORTEST = 1 / 32
_PACE = 100.0  # quarter notes per minute
_LOUDNESS = 64.0
_CLOSE = 0.02  # quarter notes: a note this close to a beat is on it


def _log2(quarters: Float64Array) -> Float64Array:
    logs: Float64Array = np.log2(np.clip(quarters, _SHORTEST, _LONGEST)) / 2
    return logs


class _Reading:
    """A score, with values that several traits need."""

    def __init__(self, score: Score) -> None:
        self.score = score
        self.onset, self.pitch = score.onset, score.pitch.astype(np.float64)
        self.chord, firsts = score.chord, score.firsts
        self.size = np.diff(np.append(firsts, len(score)))
        self.low = self.pitch[firsts]
        self.high = self.pitch[firsts + self.size - 1]
        end = float((score.onset + score.duration).max())
        self.step = np.diff(score.chord_onset, append=end)
        self.place = np.arange(len(score)) - firsts[self.chord]
        self.bar_place, self.bar, self.beat_place, self.beat = _metre(score)
        self.has_dynamics = len(np.unique(score.velocity)) > 1
        self.done = self.onset - self.onset[0]
        self.total = max(end - self.onset[0], 1.0)

    def of_chord(self, values: Float64Array) -> Float64Array:
        """Return the value of each note's chord."""
        return values[self.chord]

    def around(self, radius: float) -> tuple[IntArray, IntArray]:
        """Return the index range of the notes that begin within a radius in quarter notes."""
        return (
            np.searchsorted(self.onset, self.onset - radius, side="left"),
            np.searchsorted(self.onset, self.onset + radius, side="right"),
        )

    def mean_pitch(self, radius: float) -> Float64Array:
        """Return the mean pitch of the notes around each one."""
        first, stop = self.around(radius)
        total = np.append(0.0, np.cumsum(self.pitch))
        mean: Float64Array = (total[stop] - total[first]) / (stop - first)
        return mean


def _metre(score: Score) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """Return each note's position in its bar (0 to 1), the bar's length, and both for the beat."""
    begins = np.array([meter.onset for meter in score.meters])
    which = np.maximum(np.searchsorted(begins, score.onset + 1e-3, side="right") - 1, 0)
    bar = np.array([meter.bar for meter in score.meters])[which]
    beat = np.array([meter.beat for meter in score.meters])[which]
    since = score.onset - begins[which] + 1e-3  # below 0 in a pickup
    return since % bar / bar, bar, since % beat / beat, beat


def _steps(line: Float64Array, ahead: int) -> Float64Array:
    """Return the interval to the value ``ahead`` positions later; 0 beyond the ends."""
    moved = np.roll(line, -ahead)
    moved[len(line) - ahead if ahead > 0 else 0 : len(line) if ahead > 0 else -ahead] = np.nan
    return np.nan_to_num(np.clip((moved - line) / _OCTAVE, -2, 2))


def _since_same(onset: Float64Array, key: IntArray, *, backwards: bool = False) -> Float64Array:
    """Return the quarter notes since, or until, the last note with the same key."""
    order = np.lexsort((onset, key))
    gaps = np.full(len(onset), _LONGEST)
    same = key[order][1:] == key[order][:-1]
    between = np.diff(onset[order])
    gaps[order[:-1] if backwards else order[1:]] = np.where(same, between, _LONGEST)
    return gaps


def _sounding(reading: _Reading) -> Float64Array:
    """Return how many notes still sound when each one begins, on a logarithmic scale."""
    ends = np.sort(reading.onset + reading.score.duration)
    began = reading.score.firsts[reading.chord]
    still = began - np.searchsorted(ends, reading.onset + 1e-3)
    return _scaled(np.log2(1.0 + np.maximum(still, 0)))


def _rest_before(reading: _Reading) -> Float64Array:
    """Return the length of the silence before each chord, in quarter notes."""
    latest = np.maximum.accumulate(reading.onset + reading.score.duration)
    firsts = reading.score.firsts
    before = np.append(0.0, latest[firsts[1:] - 1])
    rest: Float64Array = np.clip(reading.score.chord_onset - before, 0.0, 4.0)
    return rest


def _moved(values: Float64Array, by: int) -> Float64Array:
    """Return the values of the chord ``by`` positions before (negative: after)."""
    return values[np.clip(np.arange(len(values)) - by, 0, len(values) - 1)]


def _scaled(logs: Float64Array) -> Float64Array:
    """Return octaves, scaled like the other traits."""
    return logs / 2


def _flag(values: npt.NDArray[np.bool_]) -> Float64Array:
    return values.astype(np.float64)


def _density(r: _Reading, radius: float) -> Float64Array:
    """Return the notes per quarter note around each one, on a logarithmic scale."""
    first, stop = r.around(radius)
    return _scaled(np.log2((stop - first) / (2 * radius) + 0.25))


def _wait_share(r: _Reading) -> Float64Array:
    """Return log2 of each note's written duration over the wait for the next chord, scaled."""
    waits = r.of_chord(np.maximum(r.step, _SHORTEST))
    return np.clip(np.log2(r.score.duration / waits), -3, 3) / 2


Trait = Callable[[_Reading], Float64Array]


def _cycle(name: str, wave: Any, times: int) -> Trait:
    """Return a position from 0 to 1 as a sine or cosine of ``times`` cycles."""
    return lambda r: wave(2 * np.pi * times * getattr(r, f"{name}_place"))


def _cycles(name: str, most: int) -> dict[str, Trait]:
    return {
        f"{name}_{label}_{times}": _cycle(name, wave, times)
        for times in range(1, most + 1)
        for label, wave in (("sin", np.sin), ("cos", np.cos))
    }


TRAITS: dict[str, Trait] = {
    "pitch": lambda r: (r.pitch - _MIDDLE) / _OCTAVE,
    "duration": lambda r: _log2(r.score.duration),
    "wait_before": lambda r: r.of_chord(_log2(_moved(r.step, 1))),
    "wait_after": lambda r: r.of_chord(_log2(r.step)),
    "wait_after_next": lambda r: r.of_chord(_log2(_moved(r.step, -1))),
    "duration_in_waits": _wait_share,
    "bar_length": lambda r: _log2(r.bar),
    "on_bar": lambda r: _flag(r.bar_place * r.bar < _CLOSE),
    "on_beat": lambda r: _flag(r.beat_place * r.beat < _CLOSE),
    "chord_size": lambda r: r.of_chord(np.log2(r.size)) / 2,
    "is_top": lambda r: _flag(r.place == r.of_chord(r.size) - 1),
    "is_bottom": lambda r: _flag(r.place == 0),
    "below_top": lambda r: (r.of_chord(r.high) - r.pitch) / _OCTAVE,
    "above_bottom": lambda r: (r.pitch - r.of_chord(r.low)) / _OCTAVE,
    "top_from": lambda r: r.of_chord(_steps(r.high, -1)),
    "top_to": lambda r: r.of_chord(_steps(r.high, 1)),
    "bottom_from": lambda r: r.of_chord(_steps(r.low, -1)),
    "bottom_to": lambda r: r.of_chord(_steps(r.low, 1)),
    "above_near": lambda r: (r.pitch - r.mean_pitch(_NEAR)) / _OCTAVE,
    "above_far": lambda r: (r.pitch - r.mean_pitch(_FAR)) / _OCTAVE,
    "density_near": lambda r: _density(r, _NEAR),
    "density_far": lambda r: _density(r, _FAR),
    "sounding": _sounding,
    "rest_before": lambda r: r.of_chord(_rest_before(r)) / 2,
    "same_pitch_before": lambda r: _log2(_since_same(r.onset, r.score.pitch)),
    "same_pitch_after": lambda r: _log2(_since_same(r.onset, r.score.pitch, backwards=True)),
    "done": lambda r: r.done / r.total,
    "since_start": lambda r: np.log2(1 + r.done) / 4,
    "until_end": lambda r: np.log2(1 + np.maximum(r.total - r.done, 0)) / 4,
    "pace": lambda r: np.clip(np.log2(r.score.bpm / _PACE), -3, 3) / 2,
    "has_dynamics": lambda r: np.full(len(r.onset), float(r.has_dynamics)),
    "dynamics": lambda r: (r.score.velocity - _LOUDNESS) / 20 * r.has_dynamics,
    "is_last": lambda r: _flag(r.chord == r.chord[-1]),
    **_cycles("bar", 4),
    **_cycles("beat", 2),
}
"""The traits by name: each gives a number for each note."""

DYNAMICS_TRAITS = [list(TRAITS).index(name) for name in ("has_dynamics", "dynamics")]
"""The traits that are 0 if a score has no information about loudness."""

PITCH_TRAIT = 0
"""The only trait that a transposition changes, by 1 per octave."""


def traits_of(score: Score) -> npt.NDArray[np.float32]:
    """Return what a network reads of each note of a score; shape ``(N, len(TRAITS))``."""
    reading = _Reading(score)
    columns = [trait(reading) for trait in TRAITS.values()]
    return np.stack(columns, axis=1).astype(np.float32)
