"""The table of architectures: for each, its config and how to build the model.

Torch is loaded only when a model is built. To add an architecture, write its config and its module,
and add an entry to :data:`ARCHITECTURES`. An entry in :data:`midirnn.training.tasks.TASKS` says how
it is trained, one in :data:`midirnn.engines.export.EXPORTS` how it is exported. Checkpoints hold
its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from midirnn.errors import CheckpointError
from midirnn.models.config import ModelConfig
from midirnn.models.humanizer_config import HumanizerConfig
from midirnn.models.windowed_config import AttentionConfig, ConvolutionConfig

if TYPE_CHECKING:
    from torch import nn

LANGUAGE_MODEL = ModelConfig.architecture
"""The architecture of older checkpoints, which do not name theirs: there was only this one."""


class ArchitectureConfig(Protocol):
    """A frozen dataclass that is saved with the weights and describes a model completely."""

    architecture: ClassVar[str]
    """Its key in :data:`ARCHITECTURES`."""
    must_match: ClassVar[tuple[str, ...]]
    """Fields that must match, besides the weights' shapes, to start from a checkpoint."""

    def to_dict(self) -> dict[str, Any]:
        """Return the config for JSON."""
        ...

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the config from JSON. Raises :class:`CheckpointError` for an unknown field."""
        ...

    @property
    def obsolete_weights(self) -> tuple[str, ...]:
        """Names of unused weights that older checkpoints of such a model contain."""
        ...

    def check_codec(self, codec: Any) -> None:
        """Raise a :class:`MidirnnError` for a codec that the model cannot use."""
        ...

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each weight of the model."""
        ...


@dataclass(frozen=True)
class Architecture:
    """An architecture: its config, and how a model is built from one."""

    config: type[ArchitectureConfig]
    build: Callable[[Any], nn.Module]
    """Builds a model with random weights from a config."""


def _language_model(config: ModelConfig) -> nn.Module:
    from midirnn.models.language_model import LanguageModel

    return LanguageModel(config)


def _humanizer(config: HumanizerConfig) -> nn.Module:
    from midirnn.models.humanizer import Humanizer

    return Humanizer(config)


def _convolution(config: ConvolutionConfig) -> nn.Module:
    from midirnn.models.windowed import Convolution

    return Convolution(config)


def _attention(config: AttentionConfig) -> nn.Module:
    from midirnn.models.windowed import Attention

    return Attention(config)


ARCHITECTURES: dict[str, Architecture] = {
    LANGUAGE_MODEL: Architecture(ModelConfig, _language_model),
    ConvolutionConfig.architecture: Architecture(ConvolutionConfig, _convolution),
    AttentionConfig.architecture: Architecture(AttentionConfig, _attention),
    HumanizerConfig.architecture: Architecture(HumanizerConfig, _humanizer),
}
"""All architectures by their names."""


def find_architecture(name: str) -> Architecture:
    """Return the architecture of that name. Raises :class:`CheckpointError` for an unknown one."""
    if name not in ARCHITECTURES:
        raise CheckpointError(
            f"there is no architecture {name!r}; known are {', '.join(ARCHITECTURES)}. A model "
            "with another one needs a newer midirnn"
        )
    return ARCHITECTURES[name]
