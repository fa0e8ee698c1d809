"""How much of each signal the layers of some networks hold: a table in colours."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from midirnn.plots.saving import INK, check_suffix, make_figure, save_figure, write_title
from midirnn.probing.probes import TOKEN, Probe

_INCHES_PER_COLUMN, _INCHES_PER_ROW = 0.62, 0.36
_DARK = 0.6  # numbers on darker colours are white


def plot_probes(
    found: Mapping[str, Sequence[Probe]], path: str | os.PathLike[str], *, title: str | None = None
) -> None:
    """Draw the R2 of each signal and layer of some models into a PNG, SVG or PDF file.

    Raises :class:`OptionError` for a file name without a known suffix.
    """
    target = check_suffix(path)
    signals = list(dict.fromkeys(one.signal for probes in found.values() for one in probes))
    columns, values, edges = [], [], [0]
    for probes in found.values():
        by_layer = {layer: {p.signal: p.r2 for p in probes if p.layer == layer}
                    for layer in dict.fromkeys(p.layer for p in probes)}  # fmt: skip
        for layer, of_layer in by_layer.items():
            columns.append(TOKEN if layer is None else str(layer + 1))
            values.append([of_layer.get(signal, np.nan) for signal in signals])
        edges.append(len(columns))
    table = np.array(values).T
    width = 2.4 + _INCHES_PER_COLUMN * len(columns)
    figure = make_figure(max(width, 5.0), 1.5 + _INCHES_PER_ROW * len(signals))
    axes = figure.subplots()
    axes.imshow(np.clip(table, 0, 1), cmap="Purples", vmin=0, vmax=1, aspect="auto")
    for row, column in np.argwhere(np.isfinite(table)):
        value = table[row, column]
        color = "white" if value > _DARK else INK
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=color, fontsize=8)
    for edge in edges[1:-1]:
        axes.axvline(edge - 0.5, color="white", linewidth=4)
    axes.set_xticks(range(len(columns)), columns, fontsize=8)
    axes.set_yticks(range(len(signals)), signals, fontsize=9, color=INK)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel("layer (token: the last token alone)", color=INK)
    names = axes.secondary_xaxis("top")
    middles = [(a + b - 1) / 2 for a, b in pairwise(edges)]
    names.set_xticks(middles, list(found), fontsize=9, color=INK)
    names.tick_params(length=0)
    names.spines["top"].set_visible(False)
    if title:
        write_title(axes, f"{title}\n")
    save_figure(figure, target)
