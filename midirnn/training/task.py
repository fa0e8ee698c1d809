"""The base class of what a :class:`~midirnn.training.run.Trainer` trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from midirnn.codecs import Codec
from midirnn.models.architectures import ArchitectureConfig


class Task(ABC):
    """A model, its batches, its loss and its metrics. Owns the model and the batches' positions.

    The trainer knows nothing about music: it asks a task for a loss, and updates the weights. In a
    run of several processes each has a task of its own, with a share of the batch's rows.
    """

    objective: ClassVar[str]
    """The metric that is lowest in the best checkpoint."""
    state_keys: ClassVar[frozenset[str]]
    """The keys of :meth:`join`'s result."""

    config: ArchitectureConfig
    """The config of the model: saved with its weights."""
    codec: Codec[Any] | None
    """The codec of its tokens, saved with its weights; None for a model without tokens."""
    model: nn.Module
    data: dict[str, Any]
    """Figures of the data: the same in each process, and when a run is resumed."""
    has_validation: bool
    """Whether there is something to validate with."""

    @abstractmethod
    def next_batch(self) -> Any:
        """Return the next batch."""

    @abstractmethod
    def loss(self, batch: Any, *, bf16: bool) -> tuple[Tensor, int]:
        """Return the mean loss of a batch, and the number of tokens that it is the mean of.

        With ``bf16`` matrices are multiplied in bfloat16.
        """

    def parts(self, batch: Any, count: int) -> Sequence[tuple[Any, float]]:
        """Return a batch in up to ``count`` parts for :meth:`loss`, each with its share.

        The loss of the batch is the sum of the parts' losses, each times its share. They must be
        used in order. A task whose batches cannot be divided returns the whole.
        """
        return [(batch, 1.0)]

    @abstractmethod
    def validate(self, rank: int, size: int, *, bf16: bool) -> Any:
        """Measure the model on this process's share of the validation data.

        The share is number ``rank`` of ``size``. The result is passed to :meth:`metrics`.
        """

    @abstractmethod
    def metrics(self, results: Sequence[Any]) -> dict[str, float]:
        """Return the metrics by name, :attr:`objective` among them, from all processes' results."""

    @abstractmethod
    def state(self) -> Any:
        """Return all that the following batches and losses depend on, besides the weights."""

    @abstractmethod
    def join(self, states: Sequence[Any]) -> dict[str, Any]:
        """Return the states of all processes as one, to be saved."""

    @abstractmethod
    def read_on(self, state: Mapping[str, Any]) -> None:
        """Draw the next batches, perhaps from other data, with a saved state's generators."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where a state was saved, with this process's rows of it."""
