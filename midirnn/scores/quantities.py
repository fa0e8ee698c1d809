"""The quantities of an expression as classes, for which a network gives probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from midirnn.arrays import Float64Array, IntArray
from midirnn.scores.expression import HELD, RENEWED, UP


@dataclass(frozen=True)
class Quantity:
    """A part of an expression and its classes.

    Class k holds the values around ``centres[k]``, up to the middle between two centres. With
    ``of_chord`` a chord has one value, not each of its notes. The network reads values divided by
    ``scale``.
    """

    name: str
    centres: tuple[float, ...]
    of_chord: bool
    scale: float
    is_scale: bool = True
    """Whether values between two centres are possible."""

    def classes(self, values: Float64Array) -> IntArray:
        """Return the class of each value, -1 if unknown."""
        edges = (np.array(self.centres)[1:] + np.array(self.centres)[:-1]) / 2
        return np.where(np.isnan(values), -1, np.searchsorted(edges, values))

    def value_in(self, index: int, share: float) -> float:
        """Return the value at a relative position within a class, 0 to 1.

        If values between the centres are not possible, this is the centre.
        """
        if not self.is_scale:
            return self.centres[index]
        low, middle, high = (
            self.centres[max(0, min(len(self.centres) - 1, index + place))] for place in (-1, 0, 1)
        )
        return middle + (share - 0.5) * (middle - low if share < 0.5 else high - middle)


def _symmetric(most: float, count: int, power: float) -> tuple[float, ...]:
    """Return ``count`` centres from -most to most; with powers over 1 denser in the middle."""
    x = np.linspace(-1, 1, count)
    return tuple(float(value) for value in np.sign(x) * np.abs(x) ** power * most)


QUANTITIES = (
    Quantity("tempo", _symmetric(1.2, 33, 1.5), True, 0.25),
    Quantity("pedal", (UP, HELD, RENEWED), True, 1.0, is_scale=False),
    Quantity("timing", _symmetric(0.2, 33, 1.7), False, 0.04),
    Quantity("velocity", tuple(np.arange(-60.0, 61.0, 4.0).tolist()), False, 16.0),
    Quantity("articulation", tuple(np.arange(-3.5, 2.01, 0.25).tolist()), False, 1.0),
)
"""What a performance adds to a score, in the order of the network's outputs."""

HISTORY = 2 * len(QUANTITIES)
"""Number of inputs for the note before: its quantities, and whether each is known."""

SCALES = np.array([quantity.scale for quantity in QUANTITIES], np.float32)

_MOST = 4.0  # scales


def history_of(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what a network reads of how notes were played; ``(..., HISTORY)``.

    ``values`` (..., Q) are the quantities of the notes, NaN if unknown.
    """
    scaled = np.clip(np.nan_to_num(values / SCALES), -_MOST, _MOST)
    return np.concatenate([scaled, ~np.isnan(values)], axis=-1).astype(np.float32)
