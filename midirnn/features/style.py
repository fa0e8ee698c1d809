"""The style as a feature: the traits other than density, loudness and pitch classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from midirnn.codecs import Codec, Steerable, Tokens, require
from midirnn.codecs.controls import NUM_CONTROL_INPUTS
from midirnn.codecs.style import ENDING, NUM_STYLE_INPUTS, SLICES, TRAITS
from midirnn.features.base import Feature, FloatVector, Given, Reader, Settings
from midirnn.features.controls import ControlInputs, held_places

_FIRST = NUM_CONTROL_INPUTS
_TRAITS = [trait.name for trait in TRAITS if SLICES[trait.name].start >= _FIRST]


class StyleInputs(Feature):
    """Spread, register, polyphony, articulation, rhythm and the time left to the end."""

    name = "style"
    layer = "style"
    width = NUM_STYLE_INPUTS - NUM_CONTROL_INPUTS
    window_type = np.float32

    @property
    def window_shape(self) -> tuple[int, ...]:
        """The shape of the traits."""
        return (self.width,)

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the feature, if the model has ``style_inputs``."""
        return cls() if settings.style_inputs else None

    def check(self, codec: Codec[Any]) -> None:
        """Raise :class:`CodecError` for a codec that cannot measure a style."""
        _require_style(codec)

    def reader(self, codec: Codec[Any]) -> Reader:
        """Return a reader that measures the style of a piece."""
        return _StyleReader(_require_style(codec))

    def choose(self, rng: np.random.Generator, shown: float) -> list[bool] | None:
        """Choose the traits to show: in a share of the pieces, each with probability 0.5."""
        if shown and rng.random() < shown:
            chosen: list[bool] = (rng.random(len(_TRAITS)) < 0.5).tolist()
            return chosen
        return None

    def inputs(self, memory: Any, given: Given) -> npt.NDArray[Any]:
        """Return the traits that were set."""
        return given[ControlInputs.name][_FIRST:]


def _require_style(codec: Codec[Any]) -> Steerable:
    return require(codec, Steerable, "a model with style_inputs", "a style to measure")


def held_style(codec: Steerable, tokens: Tokens, begin: int, stop: int) -> FloatVector:
    """Return all traits that training shows at each token ``begin`` to ``stop - 1``.

    Shape ``(stop - begin, NUM_STYLE_INPUTS)``. They are held as the controls are
    (:data:`~midirnn.features.controls.HELD_SECONDS`), except for the time to the end.
    """
    places = held_places(codec, tokens, begin, stop)
    first = int(places[0])
    measured = codec.measure_style(tokens, first, stop)
    held = measured[places - first]
    held[:, SLICES[ENDING]] = measured[begin - first :, SLICES[ENDING]]
    return held


class _StyleReader(Reader):
    """Measures the traits of what follows in a piece, and holds them for a while."""

    def __init__(self, codec: Steerable) -> None:
        self._codec = codec
        self._begin = 0
        self._measured: FloatVector | None = None

    def open(self, tokens: Tokens, position: int, stop: int, choice: Sequence[bool] | None) -> None:
        """Measure the traits that are shown; the others stay 0."""
        self._begin, self._measured = position, None
        if choice is None or not any(choice) or position >= stop:
            return
        self._measured = held_style(self._codec, tokens, position, stop)[:, _FIRST:]
        for name, shown in zip(_TRAITS, choice, strict=True):
            if not shown:
                of_trait = SLICES[name]
                self._measured[:, of_trait.start - _FIRST : of_trait.stop - _FIRST] = 0.0

    def read(self, rows: npt.NDArray[Any], inputs: Tokens, begin: int) -> None:
        """Write the traits measured at each target."""
        if self._measured is not None:
            first = begin - self._begin
            rows[:] = self._measured[first : first + len(rows)]
