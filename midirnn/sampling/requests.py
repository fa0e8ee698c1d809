"""What is asked for of a piece, whichever engine and seed it is drawn with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from midirnn.codecs import Codec
from midirnn.codecs.controls import Controls
from midirnn.engines.base import StepEngine
from midirnn.performance import Performance
from midirnn.sampling.constraints import Constraints
from midirnn.sampling.filters import SamplingConfig
from midirnn.sampling.following import DEFAULT_FOLLOW
from midirnn.sampling.generate import DEFAULT_SECONDS, Generated, continuing
from midirnn.sampling.sampler import Sampler, SamplerState
from midirnn.sampling.together import Steps


@dataclass(frozen=True)
class Request:
    """What :func:`~midirnn.generate` is told about music, but for the primer and the seed."""

    seconds: float = DEFAULT_SECONDS
    sampling: SamplingConfig | None = None
    controls: Controls | None = None
    follow: float = DEFAULT_FOLLOW
    follow_seconds: float | None = None
    end: bool = False
    constraints: Constraints | None = None

    def begin(
        self,
        engine: StepEngine,
        codec: Codec[Any],
        primer: Performance | None,
        *,
        seed: int,
        measures: bool = False,
        heard_before: list[SamplerState] | None = None,
    ) -> Steps[Generated]:
        """Begin a piece, which stops after every token; see :func:`continuing`."""
        return continuing(
            Sampler(engine, codec, self.sampling, seed=seed, measures=measures),
            self.seconds,
            primer,
            self.controls,
            self.follow,
            follow_seconds=self.follow_seconds,
            end=self.end,
            constraints=self.constraints,
            heard_before=heard_before,
        )
