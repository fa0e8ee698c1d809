"""Piano rolls and training curves. Only this package imports matplotlib."""

from __future__ import annotations

from midirnn.plots.curves import plot_curves
from midirnn.plots.piano_roll import plot_piano_roll

__all__ = ["plot_curves", "plot_piano_roll"]
