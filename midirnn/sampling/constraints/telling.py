"""Set controls from the constraints, so that the model prefers what they allow."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Self

from midirnn.codecs.controls import Controls
from midirnn.sampling.constraints.rules import Constraints

if TYPE_CHECKING:
    from midirnn.sampling.sampler import Sampler

TOLD_EVERY_SECONDS = 0.25


class Telling:
    """Sets the controls of a model over time. Owns what was told last."""

    def __init__(
        self, sampler: Sampler[Any], constraints: Constraints, controls: Controls | None
    ) -> None:
        """``controls`` are those that are set already."""
        self._sampler = sampler
        self._constraints = constraints
        self._adds = bool(sampler.engine.config.control_inputs) and constraints.are_told
        self._base = self._told = controls
        self._moment = -1

    def moved_to(self, sampler: Sampler[Any]) -> Self:
        """Return a copy for a sampler in the same state."""
        moved = copy(self)
        moved._sampler = sampler
        return moved

    def at(self, seconds: float, controls: Controls | None) -> None:
        """Set the controls, those not given taken from the constraints at that time.

        ``seconds`` count from the start of the new music.
        """
        moment = int(seconds / TOLD_EVERY_SECONDS) if self._adds else -1
        if moment == self._moment and controls is self._base:
            return
        self._moment, self._base = moment, controls
        told = controls
        if self._adds:
            told = self._constraints.controls_at(moment * TOLD_EVERY_SECONDS, controls)
        if told != self._told:
            self._told = told
            self._sampler.steer(told)
