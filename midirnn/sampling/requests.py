"""What is asked for of a piece, whichever engine and seed it is drawn with."""

from __future__ import annotations

from dataclasses import dataclass

from midirnn.codecs.controls import Controls
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
    controls: Controls | None = None
    follow: float = DEFAULT_FOLLOW
    """How closely the music keeps to the style of its primer, 0 to 1."""
    follow_seconds: float | None = None
    """After so long it is free of that style; None for never."""
    end: bool = False
    """Whether the music comes to a close."""
    constraints: Constraints | None = None
