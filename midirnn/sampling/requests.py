"""What is asked for of a piece, whichever engine and seed it is drawn with."""

from __future__ import annotations

from dataclasses import dataclass

from midirnn.codecs.controls import Controls
from midirnn.sampling.arguments import as_controls, as_sampling
from midirnn.sampling.constraints import Constraints
from midirnn.sampling.filters import SamplingConfig
from midirnn.sampling.following import DEFAULT_FOLLOW

DEFAULT_SECONDS = 30.0


@dataclass(frozen=True)
class Request:
    """What :func:`~midirnn.generate` is told about music, but for the primer and the seed."""

    seconds: float = DEFAULT_SECONDS
    """How long the new music is."""
    sampling: SamplingConfig | None = None
    """How tokens are drawn; a dictionary of the settings is taken, too."""
    controls: Controls | None = None
    """What the model is asked for; a dictionary is taken, too, and a key as text."""
    follow: float = DEFAULT_FOLLOW
    """How closely the music keeps to the style of its primer, 0 to 1."""
    follow_seconds: float | None = None
    """After so long it is free of that style; None for never."""
    end: bool = False
    """Whether the music comes to a close."""
    constraints: Constraints | None = None
    """What every new note keeps to."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sampling", as_sampling(self.sampling))
        object.__setattr__(self, "controls", as_controls(self.controls))
