from __future__ import annotations

import os

from hypothesis import settings

# Before torch and numpy are loaded: two threads for such small products are many times slower than
# one wherever something else runs, and xdist's other workers do.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# HYPOTHESIS_PROFILE=thorough pytest: fifty times as many examples.
settings.register_profile("quick", max_examples=40, deadline=None)
settings.register_profile("ci", max_examples=40, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=2000, deadline=None)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "quick")
)
