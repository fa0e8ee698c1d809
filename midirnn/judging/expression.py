"""How near a predicted expression is to what pianists played, and two baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from midirnn.arrays import Float64Array, IntArray
from midirnn.scores.pairs import Pair
from midirnn.scores.quantities import QUANTITIES
from midirnn.scores.traits import TRAITS

MEASURED = ("velocity", "tempo", "articulation", "timing")
"""The quantities that are compared: all that have an order."""

Predictor = Callable[[Pair], dict[str, Float64Array]]
"""Returns a value for each note (N,) of each of :data:`MEASURED`, from the pair's traits."""


@dataclass(frozen=True)
class Agreement:
    """Rank correlation (Spearman's) and mean absolute error of a quantity."""

    correlation: float
    error: float


def ranks(values: Float64Array) -> Float64Array:
    """Return the rank of each value; equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + ends - 1) / 2)[inverse]


def rank_correlation(a: Float64Array, b: Float64Array) -> float:
    """Return Spearman's rank correlation; 0 if either is constant."""
    x, y = ranks(a) - (len(a) - 1) / 2, ranks(b) - (len(b) - 1) / 2
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size > 0 else 0.0


def agreement(pair: Pair, predicted: dict[str, Float64Array]) -> dict[str, Agreement]:
    """Return how well a prediction agrees with a performance, over the known values."""
    result = {}
    for name in MEASURED:
        played = pair.column(name)
        known = ~np.isnan(played)
        a, b = predicted[name][known], played[known]
        error = float(np.abs(a - b).mean()) if len(a) else 0.0
        result[name] = Agreement(rank_correlation(a, b), error)
    return result


def agreement_by_title(
    pairs: Sequence[Pair], predict: Predictor
) -> dict[str, dict[str, Agreement]]:
    """Return for each title the mean agreement over its performances."""
    found: dict[str, list[dict[str, Agreement]]] = {}
    for pair in pairs:
        found.setdefault(pair.title, []).append(agreement(pair, predict(pair)))
    return {title: mean_agreement(each) for title, each in sorted(found.items())}


def mean_agreement(each: Sequence[dict[str, Agreement]]) -> dict[str, Agreement]:
    """Return the mean of correlations and of errors."""
    return {
        name: Agreement(
            float(np.mean([one[name].correlation for one in each])),
            float(np.mean([one[name].error for one in each])),
        )
        for name in MEASURED
    }


def as_written(pair: Pair) -> dict[str, Float64Array]:
    """Return the first baseline: constant velocity, exact timing, written durations."""
    return {name: np.zeros(len(pair)) for name in MEASURED}


class CellMeans:
    """The second baseline: the mean by metrical position, pitch and local density.

    The mean of a cell with few notes of training data is shrunk towards the mean of all.
    """

    def __init__(self, pairs: Sequence[Pair], *, prior_notes: float = 20.0) -> None:
        cells = [cells_of(pair) for pair in pairs]
        self.means = {}
        for name in MEASURED:
            values = np.concatenate([pair.column(name) for pair in pairs])
            of_value = np.concatenate(cells)
            known = ~np.isnan(values)
            overall = float(values[known].mean())
            total = np.bincount(of_value[known], values[known] - overall, NUM_CELLS)
            count = np.bincount(of_value[known], minlength=NUM_CELLS)
            self.means[name] = overall + total / (count + prior_notes)

    def __call__(self, pair: Pair) -> dict[str, Float64Array]:
        """Return the mean of each note's cell."""
        cells = cells_of(pair)
        return {name: means[cells] for name, means in self.means.items()}


_POSITIONS = 24  # of a bar
_PITCH_EDGES = np.arange(28, 104, 6)
_DENSITY_EDGES = np.array([1.5, 2.5, 4.0, 6.0, 9.0, 14.0])  # notes per quarter note
NUM_CELLS = _POSITIONS * (len(_PITCH_EDGES) + 1) * (len(_DENSITY_EDGES) + 1)


def cells_of(pair: Pair) -> IntArray:
    """Return the number of the cell that each note falls into: position, pitch and density."""
    names = list(TRAITS)
    of = {name: pair.traits[:, names.index(name)].astype(np.float64) for name in _READ}
    turn = np.arctan2(of["bar_sin_1"], of["bar_cos_1"]) / (2 * np.pi)
    position = np.rint(turn * _POSITIONS).astype(np.int64) % _POSITIONS
    pitch = np.searchsorted(_PITCH_EDGES, of["pitch"] * 12 + 64)
    density = np.searchsorted(_DENSITY_EDGES, 2 ** (2 * of["density_near"]) - 0.25)
    return (position * (len(_PITCH_EDGES) + 1) + pitch) * (len(_DENSITY_EDGES) + 1) + density


_READ = ("bar_sin_1", "bar_cos_1", "pitch", "density_near")

assert set(MEASURED) <= {quantity.name for quantity in QUANTITIES}
