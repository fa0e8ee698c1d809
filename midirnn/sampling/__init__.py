"""Sample tokens from logits, and generate pieces."""

from __future__ import annotations

from midirnn.sampling.filters import SamplingConfig
from midirnn.sampling.generate import generate
from midirnn.sampling.sampler import Sampler, SamplerState

__all__ = ["Sampler", "SamplerState", "SamplingConfig", "generate"]
