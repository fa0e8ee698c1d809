"""What the units of a model encode: their states while it reads pieces, and what they follow."""

from __future__ import annotations

from midirnn.lazy import lazy_names

_MODULES = {
    "Trace": "tracing",
    "trace": "tracing",
    "measure_signals": "signals",
    "find_units": "units",
    "FoundUnit": "units",
}

__getattr__ = lazy_names(__name__, _MODULES)
