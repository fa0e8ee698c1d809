"""The controls as a feature: what the model is conditioned on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from midirnn.codecs import Codec, Steerable, Tokens, require
from midirnn.codecs.controls import CONTROLS, NUM_CONTROL_INPUTS
from midirnn.features.base import Feature, FloatVector, Given, Reader, Settings

HELD_SECONDS = 2.0
"""In training, the controls are measured once in this time and stay the same in between.

Measured anew at each token they would tell what comes next: with a note-on, the time to the next
onset leaves the rhythm of what is to come. A network that reads this is lost when it plays, where
the controls change once a second at most: `piano`, trained on in this way, played twice as many
notes as it was asked for.
"""


class ControlInputs(Feature):
    """Density, loudness and pitch classes: measured in training, set when generating."""

    name = "controls"
    layer = "controls"
    width = NUM_CONTROL_INPUTS
    window_type = np.float32

    @property
    def window_shape(self) -> tuple[int, ...]:
        """The shape of the controls."""
        return (NUM_CONTROL_INPUTS,)

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the feature, if the model has ``control_inputs``."""
        return cls() if settings.control_inputs else None

    def check(self, codec: Codec[Any]) -> None:
        """Raise :class:`CodecError` for a codec that cannot measure controls."""
        _require_controls(codec)

    def reader(self, codec: Codec[Any]) -> Reader:
        """Return a reader that measures the controls of a piece."""
        return _ControlReader(_require_controls(codec))

    def choose(self, rng: np.random.Generator, shown: float) -> list[bool] | None:
        """Choose the controls to show: in a share of the pieces, each with probability 0.5."""
        if shown and rng.random() < shown:
            chosen: list[bool] = (rng.random(len(CONTROLS)) < 0.5).tolist()
            return chosen
        return None

    def inputs(self, memory: Any, given: Given) -> npt.NDArray[Any]:
        """Return the controls that were set."""
        return given[self.name][:NUM_CONTROL_INPUTS]


def _require_controls(codec: Codec[Any]) -> Steerable:
    return require(codec, Steerable, "a model with control_inputs", "controls to measure")


def held_places(codec: Steerable, tokens: Tokens, begin: int, stop: int) -> npt.NDArray[np.int64]:
    """Return where the controls are measured for each token ``begin`` to ``stop - 1``.

    That is the first token of each :data:`HELD_SECONDS` of the piece, at or before the token.
    """
    held = round(HELD_SECONDS * codec.steps_per_second)
    begun = np.concatenate([[0], np.cumsum(codec.token_steps[tokens[: stop - 1]])])
    return np.searchsorted(begun, begun[begin:] // held * held)


class _ControlReader(Reader):
    """Measures the controls of what follows in a piece, and holds them for a while."""

    def __init__(self, codec: Steerable) -> None:
        self._codec = codec
        self._begin = 0
        self._measured: FloatVector | None = None

    def open(self, tokens: Tokens, position: int, stop: int, choice: Sequence[bool] | None) -> None:
        """Measure the controls that are shown; the others stay 0."""
        self._begin, self._measured = position, None
        if choice is None or not any(choice) or position >= stop:
            return
        places = held_places(self._codec, tokens, position, stop)
        measured = self._codec.measure_controls(tokens, int(places[0]), stop)
        self._measured = measured[places - places[0]]
        for part, shown in zip(CONTROLS, choice, strict=True):
            if not shown:
                self._measured[:, part] = 0.0

    def read(self, rows: npt.NDArray[Any], inputs: Tokens, begin: int) -> None:
        """Write the controls measured at each target."""
        if self._measured is not None:
            first = begin - self._begin
            rows[:] = self._measured[first : first + len(rows)]
