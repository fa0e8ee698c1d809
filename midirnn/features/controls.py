"""The controls as a feature: what the model is conditioned on."""

from __future__ import annotations

from typing import Any, Self

import numpy.typing as npt

from midirnn.arrays import Float32Array
from midirnn.codecs import Steerable, Tokens
from midirnn.codecs.controls import CONTROLS, NUM_CONTROL_INPUTS
from midirnn.features.base import Given, Settings
from midirnn.features.measured import MeasuredFeature, held_places


class ControlInputs(MeasuredFeature):
    """Density, loudness and pitch classes."""

    name = "controls"
    layer = "controls"
    width = NUM_CONTROL_INPUTS
    needs = ("a model with control_inputs", "controls to measure")
    parts = CONTROLS

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the feature, if the model has ``control_inputs``."""
        return cls() if settings.control_inputs else None

    def measure(self, codec: Steerable, tokens: Tokens, begin: int, stop: int) -> Float32Array:
        """Return the controls that training shows at each token."""
        places = held_places(codec, tokens, begin, stop)
        first = int(places[0])
        return codec.measure_controls(tokens, first, stop)[places - first]

    def inputs(self, memory: Any, given: Given) -> npt.NDArray[Any]:
        """Return the controls that were set."""
        return given[self.name][:NUM_CONTROL_INPUTS]
