"""Continue a primer with a sampler."""

from __future__ import annotations

from typing import Any

from midirnn.performance import Performance
from midirnn.sampling.continuation import Progress, continuing
from midirnn.sampling.generated import Generated
from midirnn.sampling.requests import Request
from midirnn.sampling.sampler import Sampler
from midirnn.sampling.together import run_to_end


def continue_primer(
    sampler: Sampler[Any],
    seconds: float,
    primer: Performance | None,
    *,
    progress: Progress | None = None,
    **asked: Any,
) -> Generated:
    """Return the continuation of a primer by a request for these seconds and what is asked."""
    return run_to_end(continuing(sampler, Request(seconds, **asked), primer, progress=progress))
