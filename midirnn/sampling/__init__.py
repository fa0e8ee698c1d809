"""Sample tokens from logits, and generate pieces."""

from __future__ import annotations

from midirnn.sampling.filters import SamplingConfig
from midirnn.sampling.generate import generate
from midirnn.sampling.sampler import Sampler, SamplerState
from midirnn.sampling.surprise import Likelihood, likelihood

__all__ = ["Likelihood", "Sampler", "SamplerState", "SamplingConfig", "generate", "likelihood"]
