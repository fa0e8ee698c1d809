"""A score and a performance of it, one above the other."""

from __future__ import annotations

import os

import numpy as np
from matplotlib.axes import Axes

from midirnn.performance import Performance
from midirnn.plots.piano_roll import (
    INCHES_PER_SECOND,
    INCHES_PER_SEMITONE,
    MAX_WIDTH,
    MIN_WIDTH,
    by_velocity,
    draw_colors,
    draw_keys,
    draw_notes,
    draw_pedal,
    label_time,
    pitch_range,
)
from midirnn.plots.saving import (
    INK,
    check_suffix,
    make_figure,
    save_figure,
    style_axes,
    write_title,
)

_TEMPO_INCHES = 1.1
_PEDAL_INCHES = 0.14
_COLOR = "#4361ee"


def plot_performed(
    written: Performance,
    played: Performance,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
) -> None:
    """Draw a score above its performance, with pedal and tempo, into a PNG, SVG or PDF file.

    Each has its own time axis. The tempo is that of the performance's tempo map, smoothed over a
    second. Raises :class:`OptionError` for a file name without a known suffix.
    """
    target = check_suffix(path)
    ends = [max(piece.duration, 1.0) for piece in (written, played)]
    low, high = pitch_range(written)
    roll = (high - low) * INCHES_PER_SEMITONE
    width = float(np.clip(1.6 + max(ends) * INCHES_PER_SECOND, MIN_WIDTH, MAX_WIDTH))
    heights = [roll, roll, _PEDAL_INCHES, _TEMPO_INCHES]
    figure = make_figure(width, sum(heights) + 1.6)
    above, below, pedal, tempo = figure.subplots(4, 1, height_ratios=heights)
    for axes, piece, end, name in (
        (above, written, ends[0], "as written"),
        (below, played, ends[1], "as played"),
    ):
        draw_keys(axes, low, high)
        colors = by_velocity(piece)
        notes = draw_notes(axes, piece, colors, end)
        axes.set_ylabel(name, color=INK)
        label_time(axes, end, width)
    for axes in (above, below, pedal):
        axes.set_xlabel("")
    draw_pedal(pedal, played, ends[1])
    _draw_tempo(tempo, played, ends[1], width)
    for axes in (below, pedal):
        axes.tick_params(axis="x", bottom=False, labelbottom=False)
        axes.set_xlim(0, ends[1])
    draw_colors(figure, notes, colors, [above, below, pedal, tempo])
    if title:
        write_title(above, title)
    save_figure(figure, target)


def _draw_tempo(axes: Axes, played: Performance, end: float, width: float) -> None:
    """Draw the tempo of a performance, in quarter notes per minute."""
    style_axes(axes)
    seconds = np.array([tempo.seconds for tempo in played.tempos] + [end])
    quarters = np.append(
        0.0, np.cumsum(np.diff(seconds) * [tempo.bpm / 60 for tempo in played.tempos])
    )
    at = np.linspace(0.5, max(end - 0.5, 0.5), max(2, int(4 * end)))
    passed = np.interp(at + 0.5, seconds, quarters) - np.interp(at - 0.5, seconds, quarters)
    axes.plot(at, passed * 60, color=_COLOR, linewidth=1.2)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("tempo", color=INK)
    label_time(axes, end, width)
