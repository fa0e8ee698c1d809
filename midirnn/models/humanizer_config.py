"""The config of a network that plays scores: saved with its weights."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from midirnn.errors import CheckpointError
from midirnn.models.cells import find_cell
from midirnn.scores.quantities import HISTORY, QUANTITIES
from midirnn.scores.traits import TRAITS

Shapes = dict[str, tuple[int, ...]]

OUTPUTS = {quantity.name: len(quantity.centres) for quantity in QUANTITIES}
"""The number of classes of each quantity, in the order of the outputs."""


@dataclass(frozen=True)
class HumanizerConfig:
    """The sizes of a bidirectional encoder and a decoder, both of LSTM layers."""

    architecture: ClassVar[str] = "humanizer"
    must_match: ClassVar[tuple[str, ...]] = ("aligned",)

    traits: tuple[str, ...] = tuple(TRAITS)
    """What the encoder reads of each note of the score."""
    outputs: dict[str, int] = dataclasses.field(default_factory=lambda: dict(OUTPUTS))
    """The quantities that the decoder predicts for each note, and their numbers of classes."""
    embedding_size: int = 96
    """Size of the projected traits."""
    encoder_size: int = 96
    """Size of each encoder layer in one direction."""
    encoder_layers: int = 2
    """Number of bidirectional encoder layers."""
    decoder_size: int = 128
    """Size of the decoder's layer."""
    aligned: bool = True
    """Let the decoder read the encoder's state at each note, not only the context C."""
    dropout: float = 0.2
    """Dropout of the encoder's input, between its layers and before the outputs."""

    def __post_init__(self) -> None:
        if self.traits != tuple(TRAITS) or self.outputs != OUTPUTS:
            raise CheckpointError(
                "the model reads or writes other quantities than this midirnn computes; train it "
                "again"
            )
        for name in ("embedding_size", "encoder_size", "encoder_layers", "decoder_size"):
            if getattr(self, name) < 1:
                raise CheckpointError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 0.0 <= self.dropout < 1.0:
            raise CheckpointError(f"dropout is {self.dropout}; allowed are 0 up to, not with, 1")

    @property
    def obsolete_weights(self) -> tuple[str, ...]:
        """Names of unused weights in older checkpoints: none."""
        return ()

    @property
    def state_size(self) -> int:
        """The size of the encoder's state at a note, and of the context C: both directions."""
        return 2 * self.encoder_size

    @property
    def decoder_input(self) -> int:
        """The number of inputs of the decoder for each note."""
        return HISTORY + (self.state_size if self.aligned else 0)

    @property
    def head_input(self) -> int:
        """The number of inputs of the output layer."""
        return self.decoder_size + (self.state_size if self.aligned else 0)

    def check_codec(self, codec: Any) -> None:
        """Raise :class:`CheckpointError` if there is a codec: scores have none."""
        if codec is not None:
            raise CheckpointError("a model that plays scores has no codec")

    def weight_shapes(self) -> Shapes:
        """Return the shape of each weight of the model."""
        lstm = find_cell("lstm")
        shapes: Shapes = _linear("embedding", self.embedding_size, len(self.traits))
        for layer in range(self.encoder_layers):
            reads = self.state_size if layer else self.embedding_size
            for direction in ("forwards", "backwards"):
                of_layer = lstm.weight_shapes(reads, self.encoder_size)
                shapes |= {f"{direction}.{layer}.{name}": s for name, s in of_layer.items()}
        shapes |= _linear("start", 2 * self.decoder_size, self.state_size)
        of_decoder = lstm.weight_shapes(self.decoder_input, self.decoder_size)
        shapes |= {f"decoder.{name}": shape for name, shape in of_decoder.items()}
        return shapes | _linear("heads", sum(self.outputs.values()), self.head_input)

    def to_dict(self) -> dict[str, Any]:
        """Return the config for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> HumanizerConfig:
        """Return the config from JSON. Raises :class:`CheckpointError` for an unknown field."""
        unknown = sorted(set(values) - {f.name for f in dataclasses.fields(cls)})
        if unknown:
            raise CheckpointError(
                f"the model config has {', '.join(unknown)}, which this midirnn does not know"
            )
        return cls(**values | {"traits": tuple(values.get("traits", TRAITS))})


def _linear(name: str, rows: int, columns: int) -> Shapes:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}
