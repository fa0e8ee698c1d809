"""A piano roll: pitch over time, colour by velocity, the pedal below."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from midirnn.arrays import Float64Array
from midirnn.errors import OptionError
from midirnn.midievents import SUSTAIN_DOWN
from midirnn.performance import Performance
from midirnn.plots.saving import (
    INK,
    MUTED,
    check_suffix,
    make_figure,
    save_figure,
    style_axes,
    write_title,
)
from midirnn.wording import counted

MAX_PRIMER_SECONDS = 86_400.0
"""No MIDI file lasts longer than a day."""

INCHES_PER_SECOND = 0.22
MIN_WIDTH, MAX_WIDTH = 11.0, 42.0  # inches; at 160 dots per inch at most 6,720 dots
INCHES_PER_SEMITONE = 0.085
_MIN_SEMITONES = 30
_TICK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_INCHES_PER_TICK = 0.9
_BLACK_KEYS = (1, 3, 6, 8, 10)
_MAX_VECTOR_NOTES = 5000  # beyond that, the notes in SVG and PDF are one image
_LABEL_ROOM = 0.1  # of the width
_PRIMER_SHADE = "#dfeaf7"
_MAX_SURPRISE = 20.0  # nats; more is drawn in the same colour


def plot_piano_roll(
    performance: Performance,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    primer_seconds: float | None = None,
    surprise: Float64Array | None = None,
) -> None:
    """Draw a piano roll into a PNG, SVG or PDF file, according to its suffix.

    Notes are drawn as they were played, with the sustain pedal as a band below them. The first
    ``primer_seconds`` are shaded and end in a line. Long pieces make wide pictures. The colour of
    a note is its velocity, or its ``surprise`` in nats, one value for each note.

    Raises :class:`OptionError` for a file name without a known suffix, or an impossible primer.
    """
    target = check_suffix(path)
    colors = by_velocity(performance) if surprise is None else _by_surprise(surprise)
    if primer_seconds is not None and not 0 <= primer_seconds <= MAX_PRIMER_SECONDS:
        raise OptionError(
            f"the primer lasts {primer_seconds:g} s; allowed are 0 to {MAX_PRIMER_SECONDS:g}"
        )
    end = max(performance.duration, primer_seconds or 0.0, 1.0)
    low, high = pitch_range(performance)
    width = float(np.clip(1.6 + end * INCHES_PER_SECOND, MIN_WIDTH, MAX_WIDTH))
    height = 1.3 + (high - low) * INCHES_PER_SEMITONE
    figure = make_figure(width, height)
    has_pedal = bool((performance.pedal_value >= SUSTAIN_DOWN).any())
    ratios = [(high - low) * INCHES_PER_SEMITONE, 0.14]
    if has_pedal:
        roll, band = figure.subplots(2, 1, sharex=True, height_ratios=ratios)
        roll.tick_params(axis="x", bottom=False)
        draw_pedal(band, performance, end)
    else:
        roll = band = figure.subplots()
    draw_keys(roll, low, high)
    notes = draw_notes(roll, performance, colors, end)
    if primer_seconds is not None:
        _draw_primer(roll, primer_seconds, end)
    draw_colors(figure, notes, colors, [roll, band] if has_pedal else [roll])
    label_time(band, end, width)
    _write_title(roll, performance, title)
    save_figure(figure, target)


def pitch_range(performance: Performance) -> tuple[int, int]:
    """Return the lowest and highest pitch to show: with some room, and at least some octaves."""
    low = int(performance.pitch.min(initial=127)) if len(performance) else 60
    high = int(performance.pitch.max(initial=0)) if len(performance) else 60
    spare = max(0, _MIN_SEMITONES - (high - low))
    return max(0, low - 2 - spare // 2), min(127, high + 4 + spare // 2)


@dataclass(frozen=True, eq=False)
class NoteColors:
    """What the colours of notes mean; the notes with high values are drawn on top."""

    label: str
    values: npt.NDArray[np.float64]
    top: float
    ticks: Sequence[float]
    low: float = 0.0


def by_velocity(performance: Performance) -> NoteColors:
    """Return colours that show how loud each note is."""
    return NoteColors("velocity", performance.velocity.astype(float), 127, (1, 32, 64, 96, 127), 1)


def _by_surprise(surprise: Float64Array) -> NoteColors:
    top = _MAX_SURPRISE
    return NoteColors("surprise (nats)", np.minimum(surprise, top), top, range(0, int(top) + 1, 5))


def _color_map() -> Colormap:
    """Return colours from amber (low) to indigo (high), all of which stand out from white."""
    return ListedColormap(colormaps["plasma_r"](np.linspace(0.12, 1.0, 127)), name="notes")


def draw_keys(axes: Axes, low: int, high: int) -> None:
    """Draw the keyboard behind the notes: rows of black keys, a line and a label at each C."""
    style_axes(axes)
    for pitch in range(low, high + 1):
        if pitch % 12 in _BLACK_KEYS:
            axes.axhspan(pitch - 0.5, pitch + 0.5, color="#f4f4f8", linewidth=0, zorder=0)
    octaves = [pitch for pitch in range(low, high + 1) if pitch % 12 == 0]
    for pitch in octaves:
        axes.axhline(pitch - 0.5, color="#d3d3de", linewidth=0.7, zorder=0.5)
    axes.set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves])
    axes.set_ylim(low - 0.5, high + 0.5)


def draw_notes(
    axes: Axes, performance: Performance, colors: NoteColors, end: float
) -> PolyCollection:
    """Draw a bar for each note, long enough to be seen; those of high values are on top."""
    order = np.argsort(colors.values, kind="stable")
    start, pitch = performance.start[order], performance.pitch[order].astype(float)
    stop = np.maximum(performance.end[order], start + end / 1500)
    bars = PolyCollection(
        _rectangles(start, stop, pitch - 0.5, pitch + 0.5),
        array=colors.values[order],
        cmap=_color_map(),
        norm=Normalize(colors.low, colors.top),
        edgecolors="white",
        linewidths=0.4,
        rasterized=len(performance) > _MAX_VECTOR_NOTES,
        zorder=2,
    )
    axes.add_collection(bars, autolim=False)
    if not len(performance):
        axes.text(0.5, 0.5, "no notes", transform=axes.transAxes, ha="center", color=MUTED)
    return bars


def _rectangles(
    left: Float64Array, right: Float64Array, bottom: Float64Array, top: Float64Array
) -> list[npt.NDArray[np.float64]]:
    """Return the corners of each rectangle, of shape (4, 2)."""
    corners = np.stack(
        [np.stack([left, right, right, left], 1), np.stack([bottom, bottom, top, top], 1)], 2
    )
    return list(corners)


def draw_colors(
    figure: Figure, notes: PolyCollection, colors: NoteColors, axes: list[Axes]
) -> None:
    """Draw the legend of the notes' colours, to the right of the axes."""
    bar = figure.colorbar(notes, ax=axes, pad=0.01, aspect=30)
    bar.set_label(colors.label, color=INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=9, length=3)
    bar.set_ticks(colors.ticks)


def draw_pedal(axes: Axes, performance: Performance, end: float) -> None:
    """Draw a thin band that is dark where any part's sustain pedal is down."""
    style_axes(axes)
    for part in np.unique(performance.pedal_part):
        own = performance.pedal_part == part
        time = np.append(performance.pedal_time[own], end)
        down = np.append(performance.pedal_value[own] >= SUSTAIN_DOWN, False)
        changes = np.flatnonzero(np.diff(down, prepend=False))
        begin, stop = time[changes[::2]], time[changes[1::2]]
        axes.broken_barh(
            list(zip(begin, np.maximum(stop - begin, 0.0), strict=True)),
            (0, 1),
            facecolors="#6d6d80",
            linewidth=0,
        )
    axes.set_ylim(0, 1)
    axes.set_yticks([0.5], ["pedal"])
    axes.tick_params(axis="y", length=0)
    axes.set_facecolor("#f4f4f8")
    axes.spines["left"].set_visible(False)


def _draw_primer(axes: Axes, seconds: float, end: float) -> None:
    """Shade the primer and draw a line at its end; name both sides if there is room."""
    axes.axvspan(0, seconds, color=_PRIMER_SHADE, linewidth=0, zorder=0.2, alpha=0.8)
    axes.axvline(seconds, color=INK, linewidth=1.1, linestyle=(0, (4, 3)), zorder=3)
    sides = (("primer", "right", -4, seconds), ("continuation", "left", 4, end - seconds))
    for text, side, offset, room in sides:
        if room < _LABEL_ROOM * end:
            continue
        axes.annotate(
            text,
            (seconds, 1),
            xycoords=("data", "axes fraction"),
            xytext=(offset, -4),
            textcoords="offset points",
            ha=side,
            va="top",
            fontsize=9,
            color=INK,
            annotation_clip=False,
        )


def label_time(axes: Axes, end: float, width: float) -> None:
    """Draw a time axis in seconds, with ticks as dense as the width allows."""
    least = end / width * _INCHES_PER_TICK
    step = next((step for step in _TICK_STEPS if step >= least), _TICK_STEPS[-1])
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.set_xlim(0, end)
    axes.set_xlabel("time (s)", color=INK)


def _write_title(axes: Axes, performance: Performance, title: str | None) -> None:
    minutes, seconds = divmod(round(performance.duration), 60)
    count = len(performance)
    facts = f"{counted(count, 'note', 'notes')}, {minutes}:{seconds:02d}"
    axes.set_title(facts, loc="right", fontsize=9, color=MUTED)
    if title:
        write_title(axes, title)
