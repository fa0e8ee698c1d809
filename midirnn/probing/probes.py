"""Linear probes: how well a signal can be predicted from each layer's state, on unseen pieces.

A probe is a ridge regression from the state of one layer to a signal (G. Alain and Y. Bengio,
"Understanding intermediate layers using linear classifier probes", 2016). Its R2 is the share of
the signal's variance that it explains: 1 is all of it, 0 no more than the mean does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from midirnn.arrays import Float64Array
from midirnn.errors import OptionError
from midirnn.probing.signals import PITCH_CLASS
from midirnn.probing.tracing import Trace
from midirnn.probing.units import LEAST_TOKENS, names_of

LEAST_PIECES = 4
"""The fewest pieces for a probe; it is fitted on half of them."""

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Penalties of the squared weights, relative to the variance of a state: the best is chosen on
pieces that are held out."""

TOKEN = "token"
"""The row for the last token alone, without a state."""


@dataclass(frozen=True)
class Probe:
    """How well a signal can be predicted from a layer."""

    signal: str
    """The twelve pitch classes are one signal, with their mean R2."""
    layer: int | None
    """From 0; None for the last token alone, without a state."""
    r2: float

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON; layers count from 1."""
        layer = TOKEN if self.layer is None else self.layer + 1
        return {"signal": self.signal, "layer": layer, "r2": self.r2}


def probe(traces: Sequence[Trace], vocab_size: int | None = None) -> list[Probe]:
    """Return how much of each signal the state of each layer holds, and the last token alone.

    The state of a layer is h and, for an LSTM, c. Probes are fitted on every other piece, and R2 is
    measured on the first, third and so on. Without a ``vocab_size`` the row of the last token is
    left out. Raises :class:`OptionError` for fewer than :data:`LEAST_PIECES` pieces.
    """
    if len(traces) < LEAST_PIECES:
        raise OptionError(
            f"the number of pieces is {len(traces)}; a probe needs at least {LEAST_PIECES}, and is "
            "more reliable with more"
        )
    fit, unseen = traces[1::2], traces[::2]
    layers: list[int | None] = [*range(next(iter(traces[0].states.values())).shape[1])]
    if vocab_size is not None:
        layers.insert(0, None)
    groups = _alike(traces)
    found: list[Probe] = []
    for layer in layers:
        inputs = [_inputs(some, layer, vocab_size or 0) for some in (fit, unseen)]
        values: dict[str, float] = {}
        for names in groups:
            values |= _r2(names, (fit, inputs[0]), (unseen, inputs[1]))
        order = [name for name in names_of(traces) if name in values]
        found += [Probe(n, layer, r2) for n, r2 in _by_row({n: values[n] for n in order}).items()]
    return found


def _alike(traces: Sequence[Trace]) -> list[list[str]]:
    """Return the names of the signals, grouped by the tokens at which they have values."""
    groups: dict[tuple[bytes, ...], list[str]] = {}
    for name in names_of(traces):
        where = tuple(
            np.isfinite(one.signals[name]).tobytes() if name in one.signals else b""
            for one in traces
        )
        groups.setdefault(where, []).append(name)
    return list(groups.values())


def _by_row(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values, with those of the pitch classes replaced by their mean."""
    rows: dict[str, list[float]] = {}
    for name, value in values.items():
        rows.setdefault(PITCH_CLASS if name.startswith(PITCH_CLASS) else name, []).append(value)
    return {name: float(np.mean(row)) for name, row in rows.items()}


Pieces = tuple[Sequence[Trace], Sequence[Float64Array]]
"""Pieces, and the input of a probe at each of their tokens."""


def _inputs(traces: Sequence[Trace], layer: int | None, vocab_size: int) -> list[Float64Array]:
    """Return a probe's input for each piece (T, D): the state of a layer, or the last token."""
    if layer is None:
        return [np.eye(vocab_size)[one.tokens] for one in traces]
    return [
        np.concatenate([array[:, layer] for array in one.states.values()], axis=1, dtype=np.float64)
        for one in traces
    ]


def _r2(names: Sequence[str], fit: Pieces, unseen: Pieces) -> dict[str, float]:
    """Return the R2 on unseen pieces of one group of signals, where it can be computed."""
    first, aside, last = (_known(names, part) for part in (*_split(fit), unseen))
    if min(len(y) for _, y in (first, aside, last)) < LEAST_TOKENS:
        return {}
    scores = np.array([explained(line, *aside) for line in ridge(*first, PENALTIES)])
    both = np.concatenate([first[0], aside[0]]), np.concatenate([first[1], aside[1]])
    on_unseen = np.array([explained(line, *last) for line in ridge(*both, PENALTIES)])
    known = np.isfinite(scores).all(axis=0) & np.isfinite(on_unseen).all(axis=0)
    return {
        name: float(on_unseen[scores[:, column].argmax(), column])
        for column, name in enumerate(names)
        if known[column]
    }


def _split(pieces: Pieces) -> tuple[Pieces, Pieces]:
    """Return all pieces but every third, and every third."""
    traces, inputs = pieces
    aside = [index for index in range(len(traces)) if index % 3 == 2] or [len(traces) - 1]
    rest = [index for index in range(len(traces)) if index not in aside]
    return (
        ([traces[i] for i in rest], [inputs[i] for i in rest]),
        ([traces[i] for i in aside], [inputs[i] for i in aside]),
    )


def _known(names: Sequence[str], pieces: Pieces) -> tuple[Float64Array, Float64Array]:
    """Return inputs (N, D) and values (N, S) of a group of signals, where they have values."""
    rows, values = [np.zeros((0, pieces[1][0].shape[1]))], [np.zeros((0, len(names)))]
    for one, inputs in zip(*pieces, strict=True):
        if names[0] in one.signals:
            known = np.isfinite(one.signals[names[0]])
            rows.append(inputs[known])
            values.append(np.stack([one.signals[name][known] for name in names], axis=1))
    return np.concatenate(rows), np.concatenate(values)


@dataclass(frozen=True, eq=False)
class Line:
    """The result of a ridge regression: ``x @ weights + offset``."""

    weights: Float64Array
    """``(D, S)``"""
    offset: Float64Array
    """``(S,)``"""


def ridge(x: Float64Array, y: Float64Array, penalties: Sequence[float]) -> list[Line]:
    """Return the ridge regressions of y (N, S) on x (N, D), one for each penalty.

    The columns of x are standardized first.
    """
    mean, spread, middle = x.mean(axis=0), x.std(axis=0), y.mean(axis=0)
    scale = 1.0 / np.where(spread > 1e-9, spread, np.inf)
    standard = (x - mean) * scale
    gram, target = standard.T @ standard / len(x), standard.T @ (y - middle) / len(x)
    lines = []
    for penalty in penalties:
        solved = np.linalg.solve(gram + penalty * np.eye(len(gram)), target) * scale[:, None]
        lines.append(Line(solved, middle - mean @ solved))
    return lines


def explained(line: Line, x: Float64Array, y: Float64Array) -> Float64Array:
    """Return the R2 (S,) of a line on other data: below 0 where the mean would be better.

    NaN for a signal that does not change there.
    """
    error = ((y - x @ line.weights - line.offset) ** 2).sum(axis=0)
    variance = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    share = np.divide(error, variance, out=np.full(len(error), np.nan), where=variance > 1e-9)
    r2: Float64Array = 1.0 - share
    return r2
