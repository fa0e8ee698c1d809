"""The state after a primer as a place: similar primers lie near each other.

A single state mostly says which note was last. So the place of a primer is the mean of h over its
last tokens, all layers side by side, each number in terms of its spread over all primers.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.engines.load import Model
from midirnn.engines.state import FloatMatrix
from midirnn.errors import OptionError
from midirnn.probing.tracing import Trace

FloatArray = npt.NDArray[np.float64]

MEAN_TOKENS = 200
"""A place is the mean of the states after so many tokens, the last ones."""

PRIMER_SECONDS = 30.0
"""So much of each piece is heard."""

COMPONENTS = 20
"""Nearest neighbours are looked for along so many principal components."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a piece lies."""

    label: str
    """Its composer, or what else its kind is called."""
    name: str
    group: str
    """Pieces of one group, such as performances of one composition, are no neighbours."""
    state: FloatArray
    """``(num_layers * H,)``"""


@dataclass(frozen=True, eq=False)
class StyleMap:
    """The principal components of some places."""

    mean: FloatArray
    spread: FloatArray
    axes: FloatArray
    """``(components, D)``, the first two span the picture."""
    explained: FloatArray
    """The share of the variance along each axis."""

    @classmethod
    def fit(cls, states: Sequence[FloatArray]) -> StyleMap:
        """Return the map of some states (D,). Raises :class:`OptionError` for less than three."""
        if len(states) < 3:
            raise OptionError(f"a map needs at least 3 pieces; {len(states)} were given")
        rows = np.array(states)
        mean, spread = rows.mean(axis=0), rows.std(axis=0)
        spread = np.where(spread > 1e-9, spread, np.inf)
        _, sizes, axes = np.linalg.svd((rows - mean) / spread, full_matrices=False)
        count = min(COMPONENTS, len(states) - 1)
        explained = sizes**2 / max(float((sizes**2).sum()), 1e-12)
        return cls(mean, spread, axes[:count], explained[:count])

    def project(self, states: Sequence[FloatArray] | FloatArray) -> FloatArray:
        """Return where states lie; shape ``(N, components)``."""
        placed: FloatArray = ((np.array(states) - self.mean) / self.spread) @ self.axes.T
        return placed


def place_of(one: Trace) -> FloatArray:
    """Return the place of a primer that was read; shape ``(num_layers * H,)``."""
    mean: FloatArray = one.states["h"][-MEAN_TOKENS:].mean(axis=0, dtype=np.float64).ravel()
    return mean


def nearest(known: FloatArray, asked: FloatArray, excluded: npt.NDArray[np.bool_]) -> list[int]:
    """Return for each asked place (A, D) the index of the nearest known one (K, D).

    ``excluded`` (A, K) are those that do not count.
    """
    squares = ((asked[:, None] - known[None]) ** 2).sum(axis=2)
    return [int(index) for index in np.where(excluded, np.inf, squares).argmin(axis=1)]


@dataclass(frozen=True)
class Recognition:
    """How often the nearest neighbour of a piece has its label, beside guessing."""

    pieces: int
    labels: int
    right: float
    """The share of pieces whose nearest neighbour is of the same label."""
    guessed: float
    """What guessing would give: each label as often as there are neighbours of it."""
    most_frequent: float
    """What always saying the most frequent label would give."""

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return dict(vars(self))


def recognize(known: Sequence[Place], asked: Sequence[Place] | None = None) -> Recognition:
    """Return how often the nearest of the known places has the label of an asked one.

    Without ``asked`` each known place is asked for, among the others. Only labels with a neighbour
    to be found count.
    """
    fitted = StyleMap.fit([place.state for place in known])
    asked = known if asked is None else asked
    labels = Counter(place.label for place in known)
    groups = {label: {p.group for p in known if p.label == label} for label in labels}
    asked = [place for place in asked if groups.get(place.label, set()) - {place.group}]
    if not asked:
        raise OptionError("no two pieces have one label and are of different groups")
    same = np.array([[a.group == k.group for k in known] for a in asked])
    found = nearest(
        fitted.project([place.state for place in known]),
        fitted.project([place.state for place in asked]),
        same,
    )
    right = [known[index].label == place.label for place, index in zip(asked, found, strict=True)]
    guesses = [
        sum(k.label == a.label for k, is_same in zip(known, row, strict=True) if not is_same)
        / max(1, int((~row).sum()))
        for a, row in zip(asked, same, strict=True)
    ]
    top, _ = labels.most_common(1)[0]
    return Recognition(
        len(asked),
        len({place.label for place in asked}),
        float(np.mean(right)),
        float(np.mean(guesses)),
        float(np.mean([place.label == top for place in asked])),
    )


def path_of(model: Model, tokens: Sequence[int], new_tokens: int, seed: int) -> FloatArray:
    """Return the way of a continuation from the place of its primer; shape ``(N, num_layers * H)``.

    The model plays on from the tokens without being told to keep to their style.
    """
    from midirnn.sampling.sampler import Sampler

    sampler = Sampler(model.engine("numpy"), model.codec, seed=seed)
    return np.array(list(_means(sampler, tokens, new_tokens)))


def _means(sampler: Any, tokens: Sequence[int], new_tokens: int) -> Iterator[FloatArray]:
    last: deque[FloatMatrix] = deque(maxlen=MEAN_TOKENS)
    for token in tokens:
        sampler.hear([token])
        last.append(sampler.engine.snapshot().state[0])
    for _ in range(new_tokens):
        yield np.mean(last, axis=0, dtype=np.float64).ravel()
        sampler.next()
        last.append(sampler.engine.snapshot().state[0])
    yield np.mean(last, axis=0, dtype=np.float64).ravel()
