"""The style as a feature: the traits other than density, loudness and pitch classes."""

from __future__ import annotations

from typing import Any, Self

import numpy.typing as npt

from midirnn.arrays import Float32Array
from midirnn.codecs import Steerable, Tokens
from midirnn.codecs.controls import NUM_CONTROL_INPUTS
from midirnn.codecs.style import ENDING, NUM_STYLE_INPUTS, SLICES
from midirnn.features.base import Given, Settings
from midirnn.features.controls import ControlInputs
from midirnn.features.measured import MeasuredFeature, held_places

_FIRST = NUM_CONTROL_INPUTS


class StyleInputs(MeasuredFeature):
    """Spread, register, polyphony, articulation, rhythm and the time left to the end."""

    name = "style"
    layer = "style"
    width = NUM_STYLE_INPUTS - NUM_CONTROL_INPUTS
    needs = ("a model with style_inputs", "a style to measure")
    parts = tuple(
        slice(inputs.start - _FIRST, inputs.stop - _FIRST)
        for inputs in SLICES.values()
        if inputs.start >= _FIRST
    )

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the feature, if the model has ``style_inputs``."""
        return cls() if settings.style_inputs else None

    def measure(self, codec: Steerable, tokens: Tokens, begin: int, stop: int) -> Float32Array:
        """Return the traits that training shows at each token."""
        return held_style(codec, tokens, begin, stop)[:, _FIRST:]

    def inputs(self, memory: Any, given: Given) -> npt.NDArray[Any]:
        """Return the traits that were set."""
        return given[ControlInputs.name][_FIRST:]


def held_style(codec: Steerable, tokens: Tokens, begin: int, stop: int) -> Float32Array:
    """Return all traits that training shows at each token ``begin`` to ``stop - 1``.

    Shape ``(stop - begin, NUM_STYLE_INPUTS)``. They are held as the controls are
    (:data:`~midirnn.features.measured.HELD_SECONDS`), except for the time to the end.
    """
    places = held_places(codec, tokens, begin, stop)
    first = int(places[0])
    measured = codec.measure_style(tokens, first, stop)
    held = measured[places - first]
    held[:, SLICES[ENDING]] = measured[begin - first :, SLICES[ENDING]]
    return held
