"""The base classes of features: what a model reads in addition to the token."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from midirnn.arrays import Float32Array
from midirnn.codecs import Codec, Tokens

Given = Mapping[str, npt.NDArray[Any]]
"""What the caller gives an engine in addition to the token, by the name of the feature."""


class Settings(Protocol):
    """The fields of a model's config that decide which features it has."""

    @property
    def held_input(self) -> bool:
        """Whether the model reads which notes sound."""
        ...

    @property
    def recall_notes(self) -> int:
        """How many of the last pitches the match memory holds; 0 for no memory."""
        ...

    @property
    def control_inputs(self) -> bool:
        """Whether the model reads controls."""
        ...

    @property
    def style_inputs(self) -> bool:
        """Whether the model reads the other traits of a style."""
        ...

    @property
    def term_notes(self) -> int:
        """How many of the last notes the terms of the output look back on; 0 for no terms."""
        ...

    @property
    def vocab_size(self) -> int:
        """The number of tokens (V)."""
        ...

    @property
    def longest_shift(self) -> int:
        """The number of time-shift tokens; for models with terms."""
        ...


class Reader(ABC):
    """Computes a feature over the windows of a piece. Owns its position in the piece."""

    @abstractmethod
    def open(self, tokens: Tokens, position: int, stop: int, choice: Any) -> None:
        """Start to read a piece at ``position``, up to ``stop``.

        ``choice`` is what :meth:`Feature.choose` returned for the piece, or None.
        """

    @abstractmethod
    def read(self, rows: npt.NDArray[Any], inputs: Tokens, begin: int) -> None:
        """Write the feature of a window into its rows, which hold 0 unless it fills them all.

        The window's targets start at position ``begin``. There is a row for each of ``inputs``, the
        tokens before the targets, preceded by one for the start token if ``begin`` is 0.
        """


class Feature(ABC):
    """Something that a model reads in addition to the token. Immutable.

    The model multiplies the feature's numbers by the weights ``{layer}.weight`` (E, width) and adds
    the result to the token's embedding. A feature may also take weights from the last layer, and
    add them to the logits that they currently apply to. Training computes a feature over whole
    windows (:meth:`reader`), an engine step by step (:meth:`start`, :meth:`follow`,
    :meth:`inputs`, :meth:`add`).
    """

    name: ClassVar[str]
    """Its key in batches, in the state of an engine and in :data:`Given`."""
    layer: ClassVar[str]
    """The name of its layer in the model."""
    width: ClassVar[int]
    """How many numbers the model reads; 0 for a feature that only adds to the logits."""
    initial_std: ClassVar[float] = 0.0
    """The standard deviation of its weights when training starts; with 0 it starts unused."""
    head: ClassVar[str] = ""
    """The name of the weights that it takes from the last layer to add them to the logits."""
    window_type: ClassVar[type[np.generic]]
    """The data type of the feature in windows."""
    fills_rows: ClassVar[bool] = False
    """Whether its reader writes every number of its rows, which then need not be zeroed."""

    @property
    @abstractmethod
    def window_shape(self) -> tuple[int, ...]:
        """The shape of the feature in windows, for each token."""

    @property
    def head_rows(self) -> int:
        """The number of weights that it takes from the last layer."""
        return 0

    @classmethod
    @abstractmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the feature for a model with this config, or None if the model lacks it."""

    @abstractmethod
    def check(self, codec: Codec[Any]) -> None:
        """Raise :class:`CodecError` for a codec that cannot do what the feature needs."""

    # Training: whole windows.

    @abstractmethod
    def reader(self, codec: Codec[Any]) -> Reader:
        """Return a reader of the feature for pieces of this codec."""

    def reader_beside(self, others: Mapping[str, Reader]) -> Reader | None:
        """Return a reader that reuses what one of the others finds; None if none finds it.

        ``others`` are readers of other features, by name, that read each window first.
        """
        return None

    def choose(self, rng: np.random.Generator, shown: float) -> Any:
        """Choose at random how a piece is read in training; None if there is no choice.

        ``shown`` is the share of pieces in which controls are shown to the model. The result
        consists of built-in types, since it is saved.
        """
        return None

    # Playing: step by step.

    def start(self) -> Any:
        """Return what the feature remembers at the start of a piece; immutable."""
        return None

    def follow(self, memory: Any, token: int) -> Any:
        """Return what it remembers after a token."""
        return memory

    @abstractmethod
    def inputs(self, memory: Any, given: Given) -> npt.NDArray[Any]:
        """Return the numbers that the model reads; shape ``(width,)``."""

    def add(self, logits: Float32Array, weights: Float32Array, memory: Any) -> None:
        """Add what the ``weights`` (head_rows,) of a step give to ``logits`` (V,), in place."""
        assert not self.head, f"{self.name} takes weights and must say what they add"
