"""The config of a language model: saved with its weights."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from midirnn.codecs import Codec, HoldsNotes
from midirnn.errors import CheckpointError
from midirnn.features import Feature, features_of
from midirnn.models.cells import find_cell

MAX_RECALL_NOTES = 65_536

_FIRST_WEIGHTS = (
    "embedding.weight",
    "held.weight",
    "output.bias",
    "output.weight",
    "recalled.weight",
    "trust.weight",
    "trust.bias",
    "controls.weight",
)
"""These weights come first, in this order, in which benchmarks and tests draw random ones."""


@dataclass(frozen=True)
class ModelConfig:
    """The sizes and parts of a recurrent language model.

    The inputs beside the token are declared in :mod:`midirnn.features`.
    """

    architecture: ClassVar[str] = "language_model"
    must_match: ClassVar[tuple[str, ...]] = (
        "cell",
        "held_input",
        "layer_norm",
        "residual",
        "tied_embedding",
    )

    vocab_size: int = 388
    """The number of tokens in the codec's vocabulary."""
    cell: str = "lstm"
    """The recurrent cell: rnn (a plain tanh cell), gru or lstm."""
    embedding_size: int = 256
    """Size of the token embedding."""
    hidden_size: int = 512
    """Size of each recurrent layer."""
    num_layers: int = 3
    """Number of recurrent layers."""
    residual: bool = True
    """Add a residual connection around each layer after the first."""
    layer_norm: bool = False
    """Apply layer normalisation to the output of each layer."""
    tied_embedding: bool = False
    """Use the embedding as the output weights too; requires equal embedding and hidden sizes."""
    held_input: bool = True
    """Use the notes that are sounding as an input, in addition to the token."""
    recall_notes: int = 0
    """Number of past notes in the match memory, which helps to repeat motifs (0: no memory)."""
    control_inputs: bool = False
    """Condition on controls (density, loudness, pitch classes) that can be set when generating."""
    style_inputs: bool = False
    """With --control-inputs: also on register, polyphony, articulation, rhythm and endings."""
    term_notes: int = 0
    """Number of past notes that the structured output looks back on (0: a plain output)."""
    longest_shift: int = 100
    """Number of time-shift tokens of the codec, for a structured output."""
    dropout: float = 0.0
    """Dropout rate between layers, from 0 to below 1."""

    def __post_init__(self) -> None:
        for name in ("vocab_size", "embedding_size", "hidden_size", "num_layers"):
            if getattr(self, name) < 1:
                raise CheckpointError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.tied_embedding and self.embedding_size != self.hidden_size:
            raise CheckpointError(
                f"embedding_size is {self.embedding_size} and hidden_size {self.hidden_size}; with "
                "tied_embedding they must be the same"
            )
        if not 0 <= self.recall_notes <= MAX_RECALL_NOTES:
            raise CheckpointError(
                f"recall_notes is {self.recall_notes}; allowed are 0 to {MAX_RECALL_NOTES}"
            )
        if not 0 <= self.term_notes <= MAX_RECALL_NOTES:
            raise CheckpointError(
                f"term_notes is {self.term_notes}; allowed are 0 to {MAX_RECALL_NOTES}"
            )
        find_cell(self.cell)
        if not 0.0 <= self.dropout < 1.0:
            raise CheckpointError(f"dropout is {self.dropout}; allowed are 0 up to, not with, 1")

    @property
    def start_token(self) -> int:
        """The input before the first token of a piece, which is never predicted."""
        return self.vocab_size

    def for_codec(self, codec: Codec[Any]) -> ModelConfig:
        """Return the config of a model of that codec's tokens.

        ``held_input`` is turned off if the codec cannot tell which notes are held. Raises
        :class:`CodecError` if it cannot do what another feature needs.
        """
        held = self.held_input and isinstance(codec, HoldsNotes)
        values = self.to_dict() | {"vocab_size": codec.vocab_size, "held_input": held}
        if self.term_notes and "time_shift" in codec.groups():
            shifts = codec.groups()["time_shift"]
            values["longest_shift"] = shifts.stop - shifts.start
        config = ModelConfig.from_dict(values)
        config.check_codec(codec)
        return config

    @property
    def obsolete_weights(self) -> tuple[str, ...]:
        """Names of unused weights that older checkpoints of such a model contain."""
        return () if self.held_input else ("held.weight",)

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features that the model reads beside the token."""
        return features_of(self)

    @property
    def inputs(self) -> tuple[Feature, ...]:
        """The features that the first layer reads."""
        return tuple(feature for feature in self.features if feature.width)

    @property
    def heads(self) -> dict[str, int]:
        """The output layers: the name and the size of each.

        ``output`` gives the logits. The others belong to features, which add to the logits
        (:meth:`Feature.add`).
        """
        return {"output": self.vocab_size} | {
            feature.head: feature.head_rows for feature in self.features if feature.head
        }

    def layer_input_size(self, layer: int) -> int:
        """Return the size of a layer's input."""
        return self.embedding_size if layer == 0 else self.hidden_size

    def check_codec(self, codec: Codec[Any] | None) -> None:
        """Raise a :class:`MidirnnError` for a codec that the model cannot use."""
        if codec is None:
            raise CheckpointError("the model has no codec, and a language model needs one")
        if codec.vocab_size != self.vocab_size:
            raise CheckpointError(
                f"the model has {self.vocab_size} tokens and its codec {codec.vocab_size}"
            )
        for feature in self.features:
            feature.check(codec)

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each weight of the model."""
        shapes: dict[str, tuple[int, ...]] = {
            "embedding.weight": (self.vocab_size + 1, self.embedding_size)
        }
        for feature in self.inputs:
            shapes[f"{feature.layer}.weight"] = (self.embedding_size, feature.width)
        for head, size in self.heads.items():
            shapes[f"{head}.weight"] = (size, self.hidden_size)
            shapes[f"{head}.bias"] = (size,)
        if self.tied_embedding:
            del shapes["output.weight"]
        first = {name: shapes[name] for name in _FIRST_WEIGHTS if name in shapes}
        shapes = first | shapes
        cell = find_cell(self.cell)
        for layer in range(self.num_layers):
            of_layer = cell.weight_shapes(self.layer_input_size(layer), self.hidden_size)
            shapes |= {f"layers.{layer}.{name}": shape for name, shape in of_layer.items()}
            if self.layer_norm:
                shapes |= {
                    f"norms.{layer}.weight": (self.hidden_size,),
                    f"norms.{layer}.bias": (self.hidden_size,),
                }
        return shapes

    def to_dict(self) -> dict[str, Any]:
        """Return the config for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the config from JSON. Raises :class:`CheckpointError` for an unknown field."""
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise CheckpointError(
                f"the model config has {', '.join(unknown)}, which this midirnn does not know"
            )
        return cls(**values)
