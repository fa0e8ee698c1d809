"""The state after a primer as a point: similar primers lie near each other.

A single state mostly encodes the last note. So the point of a primer is the mean of h over its last
tokens, with all layers concatenated and each number scaled by its spread over all primers.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.arrays import Float64Array
from midirnn.engines.load import Model
from midirnn.engines.state import FloatMatrix
from midirnn.errors import OptionError
from midirnn.probing.tracing import Trace

MEAN_TOKENS = 200
"""The number of last tokens over which states are averaged."""

COMPONENTS = 20
"""The number of principal components in which nearest neighbours are searched."""


@dataclass(frozen=True, eq=False)
class Place:
    """A piece as a point on the map."""

    label: str
    """Its composer, or another name for its kind."""
    name: str
    group: str
    """Pieces of one group, such as performances of one composition, do not count as neighbours."""
    state: Float64Array
    """``(num_layers * H,)``"""


@dataclass(frozen=True, eq=False)
class StyleMap:
    """The principal components of a set of states."""

    mean: Float64Array
    spread: Float64Array
    axes: Float64Array
    """``(components, D)``; the first two are the axes of the picture."""
    explained: Float64Array
    """The share of the variance along each axis."""

    @classmethod
    def fit(cls, states: Sequence[Float64Array]) -> StyleMap:
        """Return the map of some states (D,). Raise :class:`OptionError` for fewer than three."""
        if len(states) < 3:
            raise OptionError(f"a map needs at least 3 pieces; {len(states)} were given")
        rows = np.array(states)
        mean, spread = rows.mean(axis=0), rows.std(axis=0)
        spread = np.where(spread > 1e-9, spread, np.inf)
        _, sizes, axes = np.linalg.svd((rows - mean) / spread, full_matrices=False)
        count = min(COMPONENTS, len(states) - 1)
        explained = sizes**2 / max(float((sizes**2).sum()), 1e-12)
        return cls(mean, spread, axes[:count], explained[:count])

    def project(self, states: Sequence[Float64Array] | Float64Array) -> Float64Array:
        """Return the coordinates of states; shape ``(N, components)``."""
        placed: Float64Array = ((np.array(states) - self.mean) / self.spread) @ self.axes.T
        return placed


def place_of(one: Trace) -> Float64Array:
    """Return the mean state of a primer that was read; shape ``(num_layers * H,)``."""
    mean: Float64Array = one.states["h"][-MEAN_TOKENS:].mean(axis=0, dtype=np.float64).ravel()
    return mean


def nearest(known: Float64Array, asked: Float64Array, excluded: npt.NDArray[np.bool_]) -> list[int]:
    """Return for each point in ``asked`` (A, D) the index of the nearest of ``known`` (K, D).

    ``excluded`` (A, K) marks pairs that do not count.
    """
    squares = ((asked[:, None] - known[None]) ** 2).sum(axis=2)
    return [int(index) for index in np.where(excluded, np.inf, squares).argmin(axis=1)]


@dataclass(frozen=True)
class Recognition:
    """How often the nearest neighbour of a piece has its label, compared with guessing."""

    pieces: int
    labels: int
    right: float
    """The share of pieces whose nearest neighbour has the same label."""
    guessed: float
    """The share that guessing would give, each label as often as it occurs among the neighbours."""
    most_frequent: float
    """The share that always guessing the most frequent label would give."""

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return dict(vars(self))


def recognize(known: Sequence[Place], asked: Sequence[Place] | None = None) -> Recognition:
    """Return how often the nearest of the known pieces has the label of an asked one.

    Without ``asked``, each known piece is compared with the others. Only pieces with a neighbour of
    the same label count.
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


def path_of(model: Model, tokens: Sequence[int], new_tokens: int, seed: int) -> Float64Array:
    """Return the path of a continuation from its primer's point; shape ``(N, num_layers * H)``.

    The model continues the tokens without controls that keep to their style.
    """
    from midirnn.sampling.sampler import Sampler

    sampler = Sampler(model.engine("numpy"), model.codec, seed=seed)
    return np.array(list(_means(sampler, tokens, new_tokens)))


def _means(sampler: Any, tokens: Sequence[int], new_tokens: int) -> Iterator[Float64Array]:
    last: deque[FloatMatrix] = deque(maxlen=MEAN_TOKENS)
    for token in tokens:
        sampler.hear([token])
        last.append(sampler.engine.snapshot().state[0])
    for _ in range(new_tokens):
        yield np.mean(last, axis=0, dtype=np.float64).ravel()
        sampler.next()
        last.append(sampler.engine.snapshot().state[0])
    yield np.mean(last, axis=0, dtype=np.float64).ravel()
