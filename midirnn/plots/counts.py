"""How often pitches, velocities and tokens occur in a data set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from midirnn.plots.curves import COLORS
from midirnn.plots.saving import (
    GRID,
    INK,
    check_suffix,
    make_figure,
    save_figure,
    style_axes,
    write_title,
)

if TYPE_CHECKING:
    from midirnn.datasets.statistics import SplitStatistics


def plot_counts(
    splits: Mapping[str, SplitStatistics],
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
) -> None:
    """Draw the shares of each pitch, velocity and token, a line for each split.

    Raises :class:`OptionError` for a file name without a known suffix.
    """
    target = check_suffix(path)
    kinds = [
        name
        for name in ("pitch", "velocity", "token")
        if any(getattr(split, f"{name}_counts").any() for split in splits.values())
    ] or ["token"]
    figure = make_figure(9.0, 0.6 + 2.1 * len(kinds))
    panels = figure.subplots(len(kinds), 1, squeeze=False)[:, 0]
    for axes, kind in zip(panels, kinds, strict=True):
        style_axes(axes)
        axes.grid(color=GRID, linewidth=0.7)
        for index, (name, split) in enumerate(splits.items()):
            counts = getattr(split, f"{kind}_counts")
            shares = counts / max(1, counts.sum())
            color = COLORS[index % len(COLORS)]
            axes.step(np.arange(len(shares)), shares, color=color, linewidth=1, label=name)
        axes.set_xlabel(kind, color=INK)
        axes.set_ylabel("share", color=INK)
    panels[0].legend(frameon=False, fontsize=9, labelcolor=INK)
    if title:
        write_title(panels[0], title)
    save_figure(figure, target)
