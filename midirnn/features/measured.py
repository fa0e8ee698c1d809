"""Features that the codec measures in training, and that are set when generating."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from midirnn.arrays import Float32Array
from midirnn.codecs import Codec, Steerable, Tokens, require
from midirnn.features.base import Feature, Reader

HELD_SECONDS = 2.0
"""In training, these features are measured once in this time and stay the same in between.

Measured anew at each token they would tell what comes next: with a note-on, the time to the next
onset leaves the rhythm of what is to come. A network that reads this is lost when it plays, where
the controls change once a second at most: `piano`, trained on in this way, played twice as many
notes as it was asked for.
"""


class MeasuredFeature(Feature):
    """A feature that is measured in training, and set when generating."""

    window_type = np.float32
    needs: ClassVar[tuple[str, str]]
    """Who needs it and what the codec must have, for errors."""
    parts: ClassVar[tuple[slice, ...]]
    """The numbers of each part of it, which training shows or not."""

    @property
    def window_shape(self) -> tuple[int, ...]:
        """One row of its numbers."""
        return (self.width,)

    def check(self, codec: Codec[Any]) -> None:
        """Raise :class:`CodecError` for a codec that cannot measure it."""
        self._require(codec)

    def reader(self, codec: Codec[Any]) -> Reader:
        """Return a reader that measures a piece."""
        return _MeasuredReader(self, self._require(codec))

    def choose(self, rng: np.random.Generator, shown: float) -> list[bool] | None:
        """Choose the parts to show: in a share of the pieces, each with probability 0.5."""
        if shown and rng.random() < shown:
            chosen: list[bool] = (rng.random(len(self.parts)) < 0.5).tolist()
            return chosen
        return None

    @abstractmethod
    def measure(self, codec: Steerable, tokens: Tokens, begin: int, stop: int) -> Float32Array:
        """Return what training shows at each token; shape ``(stop - begin, width)``.

        The reader changes it in place.
        """

    def _require(self, codec: Codec[Any]) -> Steerable:
        return require(codec, Steerable, *self.needs)


def held_places(codec: Steerable, tokens: Tokens, begin: int, stop: int) -> npt.NDArray[np.int64]:
    """Return where a feature is measured for each token ``begin`` to ``stop - 1``.

    That is the first token of each :data:`HELD_SECONDS` of the piece, at or before the token.
    """
    held = round(HELD_SECONDS * codec.steps_per_second)
    begun = np.concatenate([[0], np.cumsum(codec.token_steps[tokens[: stop - 1]])])
    return np.searchsorted(begun, begun[begin:] // held * held)


class _MeasuredReader(Reader):
    """Measures what follows in a piece."""

    def __init__(self, feature: MeasuredFeature, codec: Steerable) -> None:
        self._feature = feature
        self._codec = codec
        self._begin = 0
        self._measured: Float32Array | None = None

    def open(self, tokens: Tokens, position: int, stop: int, choice: Sequence[bool] | None) -> None:
        """Measure the parts that are shown; the others stay 0."""
        self._begin, self._measured = position, None
        if choice is None or not any(choice) or position >= stop:
            return
        self._measured = self._feature.measure(self._codec, tokens, position, stop)
        for part, shown in zip(self._feature.parts, choice, strict=True):
            if not shown:
                self._measured[:, part] = 0.0

    def read(self, rows: npt.NDArray[Any], inputs: Tokens, begin: int) -> None:
        """Write what was measured at each target."""
        if self._measured is not None:
            first = begin - self._begin
            rows[:] = self._measured[first : first + len(rows)]
