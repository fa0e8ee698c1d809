"""The distributions of features of two sets of pieces."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from midirnn.arrays import Float64Array
from midirnn.judging.distances import GRID, kernel_width, log_density
from midirnn.judging.features import FEATURES, Feature
from midirnn.judging.sets import beginning
from midirnn.performance import Performance
from midirnn.plots.saving import INK, MUTED, check_suffix, make_figure, save_figure, style_axes

_COLORS = ("#4361ee", "#e85d04")
_COLUMNS = 5
_WHITE_KEYS = {0: "C", 2: "D", 4: "E", 5: "F", 7: "G", 9: "A", 11: "B"}
_TIMES = {1: "40 ms", 4: "0.3 s", 7: "2.6 s", 10: "20 s"}
"""The bins of times double from 20 ms on."""
_NARROWEST = 0.02  # of the range that is drawn: equal values have zero width


def plot_sets(
    sets: Mapping[str, Sequence[Performance]], seconds: float, path: str | os.PathLike[str]
) -> None:
    """Draw each feature of the first ``seconds`` of two sets of pieces, in a panel of its own.

    A feature of one number is drawn as a density over the pieces, with a tick for each piece; a
    histogram as its mean. Raises :class:`OptionError` for a file name without a known suffix.
    """
    target = check_suffix(path)
    figure = make_figure(14.0, 5.6)
    panels = figure.subplots(-(-len(FEATURES) // _COLUMNS), _COLUMNS).ravel()
    cut = {name: [beginning(p, seconds) for p in pieces] for name, pieces in sets.items()}
    for axes, feature in zip(panels, FEATURES, strict=False):
        style_axes(axes)
        axes.set_title(feature.name.replace("_", " "), fontsize=10, color=INK, loc="left")
        axes.set_yticks([])
        values = [np.stack([feature.of(*p) for p in pieces]) for pieces in cut.values()]
        _draw(axes, feature, values)
    names = [f"{name} ({len(pieces)})" for name, pieces in sets.items()]
    lines = [panels[1].plot([], [], color=color, linewidth=2)[0] for color in _COLORS]
    figure.legend(lines, names, loc="outside upper right", frameon=False, labelcolor=INK, ncols=2)
    save_figure(figure, target)


def _draw(axes: Axes, feature: Feature, values: Sequence[Float64Array]) -> None:
    for color, of_set in zip(_COLORS, values, strict=True):
        if feature.is_histogram:
            mean = of_set.mean(axis=0)
            axes.stairs(mean, fill=True, color=color, alpha=0.25)
            axes.stairs(mean, color=color, linewidth=1.5)
            axes.set_xticks(*_ticks(feature))
        else:
            _draw_density(axes, of_set[:, 0], color, values)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelcolor=MUTED)


def _ticks(feature: Feature) -> tuple[list[float], list[str]]:
    """Return the positions and the texts of the labels for a histogram's bins."""
    if "pitch_class" in feature.name:
        return [bin_ + 0.5 for bin_ in _WHITE_KEYS], list(_WHITE_KEYS.values())
    return [bin_ + 0.5 for bin_ in _TIMES], list(_TIMES.values())


def _draw_density(
    axes: Axes, values: Float64Array, color: str, all_values: Sequence[Float64Array]
) -> None:
    """Draw the density of a set's values, and a tick for each piece."""
    together = np.concatenate(all_values)
    span = float(np.ptp(together)) or 1.0
    width = max(kernel_width(values), _NARROWEST * span)
    low, high = float(together.min()) - span / 4, float(together.max()) + span / 4
    grid = np.linspace(max(low, 0.0), high, GRID)  # no feature is below 0
    density = np.exp(log_density(values, width, grid))
    axes.fill_between(grid, density, color=color, alpha=0.25, linewidth=0)
    axes.plot(grid, density, color=color, linewidth=1.5)
    axes.plot(values, np.zeros_like(values), "|", color=color, markersize=9, clip_on=False)
