"""Which units follow which signals: chosen on one half of the data, verified on the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from midirnn.arrays import Float64Array
from midirnn.engines.state import FloatMatrix
from midirnn.errors import OptionError
from midirnn.probing.signals import PITCH_CLASS
from midirnn.probing.tracing import Trace

Span = tuple[Trace, slice]
"""Some tokens of a piece."""

LEAST_TOKENS = 40
"""The fewest tokens of a half from which a correlation is computed."""


class Unit(NamedTuple):
    """A unit of a model: a number of its state."""

    state: str
    """``h`` or, of an LSTM, ``c``."""
    layer: int
    """From 0."""
    place: int
    """Its index in the layer, from 0."""

    def __str__(self) -> str:
        return f"{self.state}{self.layer + 1}[{self.place}]"


@dataclass(frozen=True)
class FoundUnit:
    """A unit, and the signal that it follows more closely than other units do."""

    signal: str
    unit: Unit
    fitted: float
    """Its correlation with the signal on the half of the data where it was chosen, -1 to 1."""
    shown: float
    """The same on the other half, which was not used to choose it."""
    slope: float
    """The signal is about ``slope * state + offset``, fitted where it was chosen."""
    offset: float

    def predict(self, state: FloatMatrix) -> FloatMatrix:
        """Return the signal as predicted from the unit's state."""
        return state * np.float32(self.slope) + np.float32(self.offset)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON; layers count from 1."""
        values = asdict(self)
        unit = values.pop("unit")
        return {
            "signal": values.pop("signal"),
            "state": unit.state,
            "layer": unit.layer + 1,
            "unit": unit.place,
            **values,
        }


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums from which the correlations of all units (U,) with one signal are computed."""

    count: float
    sum_x: Float64Array
    sum_xx: Float64Array
    sum_xy: Float64Array
    sum_y: float
    sum_yy: float

    @classmethod
    def of(cls, x: FloatMatrix, y: Float64Array) -> Moments:
        """Return the sums of states (T, U) and a signal (T,)."""
        known = np.isfinite(y)
        x, y = x[known].astype(np.float64), y[known]
        return cls(
            float(len(y)),
            x.sum(axis=0),
            np.einsum("tu,tu->u", x, x),
            y @ x,
            float(y.sum()),
            float(y @ y),
        )

    def __add__(self, other: Moments) -> Moments:
        values = zip(vars(self).values(), vars(other).values(), strict=True)
        return Moments(*(a + b for a, b in values))

    def correlation(self) -> Float64Array:
        """Return the correlation of each unit (U,) with the signal; 0 where either is constant."""
        n = max(self.count, 1.0)
        covariance = self.sum_xy / n - self.sum_x / n * self.sum_y / n
        variance = np.maximum(self.sum_xx / n - (self.sum_x / n) ** 2, 0.0)
        of_signal = max(self.sum_yy / n - (self.sum_y / n) ** 2, 0.0)
        both = np.sqrt(variance * of_signal)
        return np.divide(covariance, both, out=np.zeros_like(covariance), where=both > 1e-9)

    @property
    def varies(self) -> bool:
        """Whether the signal changes at all."""
        n = max(self.count, 1.0)
        return self.sum_yy / n - (self.sum_y / n) ** 2 > 1e-12

    def line(self, unit: int) -> tuple[float, float]:
        """Return the slope and offset of the line that predicts the signal from a unit."""
        n = max(self.count, 1.0)
        mean, of_signal = self.sum_x[unit] / n, self.sum_y / n
        variance = self.sum_xx[unit] / n - mean**2
        covariance = self.sum_xy[unit] / n - mean * of_signal
        slope = covariance / variance if variance > 1e-12 else 0.0
        return float(slope), float(of_signal - slope * mean)


def find_units(
    traces: Sequence[Trace], *, state: str | None = None, each: int = 1
) -> dict[str, list[FoundUnit]]:
    """Return for each signal the ``each`` units that follow it most closely, by its name.

    They are chosen by their correlation on one half of the data, and come with their correlation on
    the other; see :func:`halves`. The signals keep the order of the pieces. ``state`` (``h`` or
    ``c``) limits the search to one of the cell's states. Raises :class:`OptionError` for pieces
    that are too short, and for a state that the cell lacks.
    """
    check_state(traces[0], state)
    if sum(map(len, traces)) < 2 * LEAST_TOKENS:
        raise OptionError(
            f"there are {sum(map(len, traces))} tokens to read; {2 * LEAST_TOKENS} are the least "
            "to see what units follow"
        )
    found = {}
    for signal in names_of(traces):
        first, second = (moments_of(spans, signal, state) for spans in halves(traces))
        r, shown = first.correlation(), second.correlation()
        order = np.argsort(-np.abs(r), kind="stable")[:each]
        if min(first.count, second.count) < LEAST_TOKENS or not (r[order[0]] and second.varies):
            continue
        found[signal] = [
            FoundUnit(
                signal,
                unit_at(traces[0], state, int(place)),
                float(r[place]),
                float(shown[place]),
                *first.line(int(place)),
            )
            for place in order
        ]
    return found


def check_state(one: Trace, state: str | None) -> None:
    """Raise :class:`OptionError` for a state that the cell lacks."""
    if state is not None and state not in one.states:
        raise OptionError(
            f"the units of this model have no state {state!r}; they have {', '.join(one.states)}"
        )


def rows_of(one: Trace, state: str | None) -> FloatMatrix:
    """Return the states (T, U) of all units, concatenated: of one kind of state, or of all."""
    arrays = [one.states[state]] if state else list(one.states.values())
    return np.concatenate([array.reshape(len(one), -1) for array in arrays], axis=1)


def unit_at(one: Trace, state: str | None, place: int) -> Unit:
    """Return the unit of a column of :func:`rows_of`."""
    names = [state] if state else list(one.states)
    _, layers, size = one.states[names[0]].shape
    which, layer, within = np.unravel_index(place, (len(names), layers, size))
    return Unit(names[int(which)], int(layer), int(within))


def names_of(traces: Iterable[Trace]) -> list[str]:
    """Return the names of the signals of all pieces, each once."""
    return list(dict.fromkeys(name for one in traces for name in one.signals))


def halves(traces: Sequence[Trace]) -> tuple[list[Span], list[Span]]:
    """Return the data on which units are chosen, and that on which they are verified.

    For a single piece these are its first and its second half. Of several pieces, the second,
    fourth and so on are for choosing, and the first, third and so on for verifying.
    """
    if len(traces) == 1:
        (one,) = traces
        middle = len(one) // 2
        return [(one, slice(None, middle))], [(one, slice(middle, None))]
    spans = [(one, slice(None)) for one in traces]
    return spans[1::2], spans[::2]


def moments_of(spans: Sequence[Span], signal: str, state: str | None) -> Moments:
    """Return the sums over the spans of the pieces that have the signal."""
    sums = [
        Moments.of(rows_of(one, state)[part], one.signals[signal][part])
        for one, part in spans
        if signal in one.signals
    ]
    return _sum(sums) if sums else Moments.of(rows_of(spans[0][0], state)[:0], np.zeros(0))


def _sum(moments: Sequence[Moments]) -> Moments:
    total, *others = moments
    for one in others:
        total = total + one
    return total


def liveliest(one: Trace, count: int, *, state: str = "h") -> list[Unit]:
    """Return the units whose states vary most, in the order of layers and units."""
    rows = rows_of(one, state)
    places = np.sort(np.argsort(-rows.std(axis=0), kind="stable")[:count])
    return [unit_at(one, state, int(place)) for place in places]


def strongest(found: Mapping[str, list[FoundUnit]]) -> list[FoundUnit]:
    """Return the best unit of each signal; of all pitch classes only the best one."""
    best = [units[0] for units in found.values()]
    classes = [one for one in best if one.signal.startswith(PITCH_CLASS)]
    kept = max(classes, key=lambda one: abs(one.fitted), default=None)
    return [one for one in best if one not in classes or one is kept]
