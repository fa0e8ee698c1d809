"""Pictures: piano rolls and training curves. The only home of matplotlib."""

from __future__ import annotations

from midirnn.plots.curves import plot_curves
from midirnn.plots.piano_roll import plot_piano_roll

__all__ = ["plot_curves", "plot_piano_roll"]
