"""A moving average of a model's weights, after B. Polyak and A. Juditsky (1992)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch


class MovingAverage:
    """A moving average of a model's weights, which it owns; none if ``decay`` is 0."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter], decay: float) -> None:
        self._parameters = parameters
        self._decay = decay
        self.weights: list[torch.Tensor] = []
        """The average of each parameter; none before :meth:`begin`."""

    def begin(self) -> None:
        """Start from the current weights, unless ``decay`` is 0 or there is an average already."""
        if self._decay and not self.weights:
            self.weights = [parameter.detach().clone() for parameter in self._parameters]

    def follow(self, step: int) -> None:
        """Update the average with the weights after a step; at first faster than ``decay`` says."""
        if self.weights:
            decay = min(self._decay, (1 + step) / (10 + step))
            present = [parameter.detach() for parameter in self._parameters]
            torch._foreach_lerp_(self.weights, present, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the model its averaged weights, if there are any, within the block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for parameter, average in zip(self._parameters, self.weights, strict=bool(self.weights)):
            parameter.data, average.data = average.data, parameter.data

    def restore(self, weights: Sequence[torch.Tensor], device: torch.device) -> None:
        """Continue from averages that were saved."""
        self.weights = [average.to(device) for average in weights]
