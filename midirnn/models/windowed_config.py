"""The configs of language models that look back on a window of tokens, without recurrence.

Everything before the layers (the embedding and the features) and after them (the logits and what
features add to them) is the same as in the recurrent model. A state is what the layers have to keep
of the last tokens: it grows with how far they look back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from midirnn.errors import CheckpointError
from midirnn.models.config import ModelConfig

Shapes = dict[str, tuple[int, ...]]

FEED_FORWARD = 4
"""Width of a transformer's feed-forward part, as a multiple of the layers' width."""


@dataclass(frozen=True)
class WindowedConfig(ModelConfig, ABC):
    """What both share. ``hidden_size`` is the width of the layers; ``cell`` is not used."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layer_norm or not self.residual:
            raise CheckpointError(
                f"a model of the architecture {self.architecture!r} always has residual "
                "connections, and no layer_norm of a recurrent model: leave them as they are"
            )

    @property
    @abstractmethod
    def context(self) -> int:
        """How many tokens back a prediction can look at most, including the current one."""

    @property
    @abstractmethod
    def state_shapes(self) -> tuple[tuple[int, int], ...]:
        """The shape (rows, numbers) of each array of the state of one piece."""

    @abstractmethod
    def layer_shapes(self, layer: int) -> Shapes:
        """Return the shape of each weight of a layer."""

    def weight_shapes(self) -> Shapes:
        """Return the shape of each weight of the model."""
        shapes = {
            name: shape
            for name, shape in super().weight_shapes().items()
            if not name.startswith("layers.")
        }
        shapes["input.weight"] = (self.hidden_size, self.embedding_size)
        for layer in range(self.num_layers):
            of_layer = self.layer_shapes(layer)
            shapes |= {f"layers.{layer}.{name}": shape for name, shape in of_layer.items()}
        return shapes


@dataclass(frozen=True)
class ConvolutionConfig(WindowedConfig):
    """A stack of causal dilated convolutions: A. van den Oord et al., "WaveNet" (2016)."""

    architecture: ClassVar[str] = "convolution"
    must_match: ClassVar[tuple[str, ...]] = (
        "held_input",
        "tied_embedding",
        "longest_dilation",
    )

    longest_dilation: int = 512
    """Dilations double from layer to layer, from 1 up to this, then start again at 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.longest_dilation < 1:
            raise CheckpointError(
                f"longest_dilation is {self.longest_dilation}; it must be at least 1"
            )

    @property
    def dilations(self) -> tuple[int, ...]:
        """The distance between the two tokens that each layer looks at."""
        cycle = self.longest_dilation.bit_length()
        return tuple(2 ** (layer % cycle) for layer in range(self.num_layers))

    @property
    def context(self) -> int:
        """How many tokens back a prediction can look, including the current one."""
        return 1 + sum(self.dilations)

    @property
    def state_shapes(self) -> tuple[tuple[int, int], ...]:
        """One array: for each layer its last inputs, as many as its dilation."""
        return ((sum(self.dilations), self.hidden_size),)

    def layer_shapes(self, layer: int) -> Shapes:
        """Return the shape of each weight of a layer; ``gates`` holds a filter and its gate."""
        size = self.hidden_size
        return {
            "gates.weight": (2 * size, 2 * size),
            "gates.bias": (2 * size,),
            "output.weight": (size, size),
            "output.bias": (size,),
        }


@dataclass(frozen=True)
class AttentionConfig(WindowedConfig):
    """A small transformer that attends to a window: A. Vaswani et al. (2017).

    Layer normalisation comes before each part. A token's score falls with its distance, as in
    O. Press et al., "Train Short, Test Long" (2022), so that no positions are learned.
    """

    architecture: ClassVar[str] = "attention"
    must_match: ClassVar[tuple[str, ...]] = (
        "held_input",
        "tied_embedding",
        "attention_heads",
        "span",
    )

    attention_heads: int = 4
    """Number of attention heads."""
    span: int = 256
    """How many tokens back each layer of attention looks, including the current one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attention_heads < 1 or self.hidden_size % self.attention_heads:
            raise CheckpointError(
                f"attention_heads is {self.attention_heads}; it must be a divisor of hidden_size "
                f"({self.hidden_size})"
            )
        if self.span < 2:
            raise CheckpointError(f"span is {self.span}; it must be at least 2")

    @property
    def slopes(self) -> tuple[float, ...]:
        """How much each head lowers a score per token of distance."""
        return tuple(
            2.0 ** (-8.0 * (head + 1) / self.attention_heads)
            for head in range(self.attention_heads)
        )

    @property
    def context(self) -> int:
        """How many tokens back a prediction can look, through all layers."""
        return 1 + self.num_layers * (self.span - 1)

    @property
    def state_shapes(self) -> tuple[tuple[int, int], ...]:
        """Keys, values, and the number of tokens so far."""
        rows = self.num_layers * (self.span - 1)
        return ((rows, self.hidden_size), (rows, self.hidden_size), (1, 1))

    def weight_shapes(self) -> Shapes:
        """Return the shape of each weight of the model."""
        size = (self.hidden_size,)
        return super().weight_shapes() | {"final_norm.weight": size, "final_norm.bias": size}

    def layer_shapes(self, layer: int) -> Shapes:
        """Return the shape of each weight of a layer."""
        size = self.hidden_size
        return {
            "norm.weight": (size,),
            "norm.bias": (size,),
            "attention.weight": (3 * size, size),
            "attention.bias": (3 * size,),
            "mixed.weight": (size, size),
            "mixed.bias": (size,),
            "second_norm.weight": (size,),
            "second_norm.bias": (size,),
            "wide.weight": (FEED_FORWARD * size, size),
            "wide.bias": (FEED_FORWARD * size,),
            "narrow.weight": (size, FEED_FORWARD * size),
            "narrow.bias": (size,),
        }
