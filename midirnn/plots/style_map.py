"""Primers as points in two dimensions, coloured by composer, and the paths of continuations."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from midirnn.plots.saving import (
    GRID,
    INK,
    MUTED,
    check_suffix,
    make_figure,
    save_figure,
    style_axes,
    write_title,
)

COLORS = (
    "#4361ee", "#e85d04", "#2a9d8f", "#9d4edd", "#d00000", "#6c757d", "#b5179e", "#386641",
    "#f4a261", "#0077b6", "#7f5539", "#588157",
)  # fmt: skip
_MARKERS = "osD^vP"
Floats = npt.NDArray[np.floating[Any]]


def plot_style_map(
    places: Floats,
    labels: Sequence[str],
    path: str | os.PathLike[str],
    *,
    ways: Sequence[tuple[str, Floats]] = (),
    explained: Sequence[float] = (),
    title: str | None = None,
) -> None:
    """Draw points (N, 2 or more) coloured by their labels into a PNG, SVG or PDF file.

    ``ways`` are the names and paths (M, 2 or more) of continuations: each is a line from a circle
    to an arrow. Raises :class:`OptionError` for a file name without a known suffix.
    """
    target = check_suffix(path)
    figure = make_figure(8.6, 6.2)
    axes = figure.subplots()
    style_axes(axes)
    axes.grid(color=GRID, linewidth=0.7)
    names = sorted(set(labels), key=lambda name: (-list(labels).count(name), name))
    for number, name in enumerate(names):
        own = places[[label == name for label in labels]]
        axes.scatter(
            own[:, 0],
            own[:, 1],
            s=30,
            color=COLORS[number % len(COLORS)],
            marker=_MARKERS[number // len(COLORS) % len(_MARKERS)],
            edgecolors="white",
            linewidths=0.6,
            label=f"{name} ({len(own)})",
            zorder=2,
        )
        middle = own.mean(axis=0)
        axes.scatter(
            middle[0],
            middle[1], s=160, color=COLORS[number % len(COLORS)], marker="X",
                     edgecolors="white", linewidths=1.2, zorder=3)  # fmt: skip
    for name, way in ways:
        _draw_way(axes, name, way)
    for axis, share, text in zip((axes.xaxis, axes.yaxis), [*explained, *["", ""]][:2],
                                 ("first", "second"), strict=True):  # fmt: skip
        of_all = f" ({share:.0%} of the variance)" if share != "" else ""
        axis.set_label_text(f"{text} principal component{of_all}", color=INK)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left",
                bbox_to_anchor=(1.0, 1.0))  # fmt: skip
    if title:
        write_title(axes, title)
    save_figure(figure, target)


def _draw_way(axes: Axes, name: str, way: Floats) -> None:
    """Draw the path of a continuation, from the end of its primer."""
    axes.plot(way[:, 0], way[:, 1], color=INK, linewidth=1.1, zorder=4)
    axes.scatter(
        way[0, 0], way[0, 1], s=70, facecolors="none", edgecolors=INK, linewidths=1.4, zorder=5
    )
    start, end = ((float(x), float(y)) for x, y in (way[max(0, len(way) - 12), :2], way[-1, :2]))
    first = float(way[0, 0]), float(way[0, 1])
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": INK}, zorder=5)
    axes.annotate(name, first, xytext=(6, 6), textcoords="offset points", fontsize=8,
                  color=MUTED)  # fmt: skip
