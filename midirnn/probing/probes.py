"""Linear probes: how much of a signal can be read off the state of each layer, on unseen pieces.

A probe is a ridge regression from the state of one layer to a signal (G. Alain and Y. Bengio,
"Understanding intermediate layers using linear classifier probes", 2016). Its R2 is the share of
the signal's variance that it explains: 1 is all of it, 0 no more than the mean does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.errors import OptionError
from midirnn.probing.signals import PITCH_CLASS
from midirnn.probing.tracing import Trace
from midirnn.probing.units import LEAST_TOKENS, names_of

FloatArray = npt.NDArray[np.float64]

LEAST_PIECES = 4
"""A probe is fitted on half of so many pieces at least."""

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Of the squared weights, in terms of the variance of a state: the best is chosen on pieces that
are kept aside."""

TOKEN = "token"
"""The row for the last token alone, without a state."""


@dataclass(frozen=True)
class Probe:
    """How well a signal can be read off a layer."""

    signal: str
    """Of the twelve pitch classes, which are one row, R2 is the mean."""
    layer: int | None
    """From 0; None for the last token alone, without a state."""
    r2: float

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON; layers count from 1."""
        layer = TOKEN if self.layer is None else self.layer + 1
        return {"signal": self.signal, "layer": layer, "r2": self.r2}


def probe(traces: Sequence[Trace], vocab_size: int | None = None) -> list[Probe]:
    """Return how much of each signal the state of each layer holds, and the last token alone.

    The state of a layer is all its numbers: h and, of an LSTM, c. Probes are fitted on every other
    piece, and their R2 is that on the first, third and so on. The row of the last token is left out
    without a ``vocab_size``. Raises :class:`OptionError` for less than :data:`LEAST_PIECES` pieces.
    """
    if len(traces) < LEAST_PIECES:
        raise OptionError(
            f"{len(traces)} pieces were given; a probe needs {LEAST_PIECES} at least, and is the "
            "better the more there are"
        )
    fit, unseen = traces[1::2], traces[::2]
    layers: list[int | None] = [*range(next(iter(traces[0].states.values())).shape[1])]
    if vocab_size is not None:
        layers.insert(0, None)
    found: list[Probe] = []
    for layer in layers:
        inputs = [_inputs(some, layer, vocab_size or 0) for some in (fit, unseen)]
        values = {
            name: _r2(name, (fit, inputs[0]), (unseen, inputs[1])) for name in names_of(traces)
        }
        found += [Probe(name, layer, value) for name, value in _by_row(values).items()]
    return found


def _by_row(values: Mapping[str, float | None]) -> dict[str, float]:
    """Return the values that there are, with the mean of the pitch classes as one of them."""
    rows: dict[str, list[float]] = {}
    for name, value in values.items():
        if value is not None:
            rows.setdefault(PITCH_CLASS if name.startswith(PITCH_CLASS) else name, []).append(value)
    return {name: float(np.mean(row)) for name, row in rows.items()}


Pieces = tuple[Sequence[Trace], Sequence[FloatArray]]
"""Pieces, and what a probe reads at each of their tokens."""


def _inputs(traces: Sequence[Trace], layer: int | None, vocab_size: int) -> list[FloatArray]:
    """Return what a probe reads of each piece (T, D): the state of a layer, or the last token."""
    if layer is None:
        return [np.eye(vocab_size)[one.tokens] for one in traces]
    return [
        np.concatenate([array[:, layer] for array in one.states.values()], axis=1, dtype=np.float64)
        for one in traces
    ]


def _r2(signal: str, fit: Pieces, unseen: Pieces) -> float | None:
    """Return the R2 of a signal on unseen pieces; None where it cannot be told."""
    fitted, kept_aside = _split(fit)
    told = [_known(signal, part) for part in (fitted, kept_aside, unseen)]
    if min(len(y) for _, y in told) < LEAST_TOKENS or any(np.ptp(y) == 0 for _, y in told):
        return None
    first, aside, last = told
    scores = [explained(ridge(*first, penalty), *aside) for penalty in PENALTIES]
    best = PENALTIES[int(np.argmax(scores))]
    both = np.concatenate([first[0], aside[0]]), np.concatenate([first[1], aside[1]])
    return explained(ridge(*both, best), *last)


def _split(pieces: Pieces) -> tuple[Pieces, Pieces]:
    """Return all pieces but every third, and these."""
    traces, inputs = pieces
    aside = [index for index in range(len(traces)) if index % 3 == 2] or [len(traces) - 1]
    rest = [index for index in range(len(traces)) if index not in aside]
    return (
        ([traces[i] for i in rest], [inputs[i] for i in rest]),
        ([traces[i] for i in aside], [inputs[i] for i in aside]),
    )


def _known(signal: str, pieces: Pieces) -> tuple[FloatArray, FloatArray]:
    """Return inputs (N, D) and values (N,) of a signal, where it has a value."""
    rows, values = [np.zeros((0, pieces[1][0].shape[1]))], [np.zeros(0)]
    for one, inputs in zip(*pieces, strict=True):
        if signal in one.signals:
            known = np.isfinite(one.signals[signal])
            rows.append(inputs[known])
            values.append(one.signals[signal][known])
    return np.concatenate(rows), np.concatenate(values)


@dataclass(frozen=True, eq=False)
class Line:
    """What a ridge regression has found: ``x @ weights + offset``."""

    weights: FloatArray
    offset: float


def ridge(x: FloatArray, y: FloatArray, penalty: float) -> Line:
    """Return the ridge regression of y (N,) on x (N, D), whose columns are standardized first."""
    mean, spread = x.mean(axis=0), x.std(axis=0)
    scale = 1.0 / np.where(spread > 1e-9, spread, np.inf)
    standard = (x - mean) * scale
    gram = standard.T @ standard / len(x) + penalty * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, standard.T @ (y - y.mean()) / len(x)) * scale
    return Line(weights, float(y.mean() - mean @ weights))


def explained(line: Line, x: FloatArray, y: FloatArray) -> float:
    """Return the R2 of a line on other data; it is below 0 where the mean would be better."""
    error = y - x @ line.weights - line.offset
    return float(1.0 - (error @ error) / ((y - y.mean()) @ (y - y.mean())))
