"""The request for a piece, independent of the engine and the seed that it is drawn with."""

from __future__ import annotations

import math
from dataclasses import dataclass

from midirnn.codecs.controls import Controls
from midirnn.errors import OptionError
from midirnn.sampling.arguments import as_constraints, as_controls, as_sampling
from midirnn.sampling.constraints import Constraints
from midirnn.sampling.filters import SamplingConfig
from midirnn.sampling.following import DEFAULT_FOLLOW

DEFAULT_SECONDS = 30.0


@dataclass(frozen=True)
class Request:
    """The arguments of :func:`~midirnn.generate` for music, except primer, seed and engine."""

    seconds: float = DEFAULT_SECONDS
    """The length of the new music."""
    sampling: SamplingConfig | None = None
    """Sampling settings; a dictionary is accepted, too."""
    controls: Controls | None = None
    """The model's controls; a dictionary is accepted, too, and a key as text."""
    follow: float = DEFAULT_FOLLOW
    """How closely the music keeps to the style of its primer, 0 to 1."""
    follow_seconds: float | None = None
    """How long it takes to let go of that style; None for never."""
    end: bool = False
    """Whether the music comes to a close."""
    constraints: Constraints | None = None
    """Constraints that every new note keeps to; a dictionary is accepted, too."""
    primer_seconds: float | None = None
    """When the new music begins, if the primer goes on with a rest after its last note."""

    def __post_init__(self) -> None:
        if not 0.0 <= (self.primer_seconds or 0.0) < math.inf:
            raise OptionError(
                f"the primer lasts {self.primer_seconds} s; allowed are finite numbers from 0"
            )
        object.__setattr__(self, "sampling", as_sampling(self.sampling))
        object.__setattr__(self, "controls", as_controls(self.controls))
        object.__setattr__(self, "constraints", as_constraints(self.constraints))
