"""Hidden units over time, with the signals they follow, below the piano roll or the text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from midirnn.performance import SUSTAIN_DOWN
from midirnn.plots.piano_roll import (
    INCHES_PER_SECOND,
    MAX_WIDTH,
    MIN_WIDTH,
    by_velocity,
    draw_keys,
    draw_notes,
    draw_pedal,
    label_time,
    pitch_range,
)
from midirnn.plots.saving import (
    INK,
    MUTED,
    check_suffix,
    make_figure,
    save_figure,
    style_axes,
    write_title,
)
from midirnn.probing.tracing import Trace
from midirnn.probing.units import FoundUnit, Unit

UNIT_COLOR, SIGNAL_COLOR = "#4361ee", "#b9b9c6"
_FITTED_SHADE = "#f3efe4"
_ROLL_INCHES, _STRIP_INCHES, _PEDAL_INCHES, _INCHES_PER_UNIT = 2.6, 0.62, 0.14, 0.11
_CHARACTERS_BEFORE, _CHARACTERS_AFTER = 50, 130
"""How many characters of a text are drawn before and after its middle."""
_TEXT_WIDTH = 22.0

Floats = npt.NDArray[np.floating[Any]]


def plot_units(
    one: Trace,
    found: Sequence[FoundUnit],
    path: str | os.PathLike[str],
    *,
    others: Sequence[Unit] = (),
    title: str | None = None,
    is_halved: bool = True,
) -> None:
    """Draw units of a piece over time into a PNG, SVG or PDF file.

    There is a strip for each unit in ``found``: in blue its prediction of the signal that it
    follows, in grey the signal. If the piece ``is_halved``, units were chosen on its first half,
    which is shaded. ``others`` are rows of a heat map below. The piano roll is on top; of a text,
    some lines around its middle are drawn. Raises :class:`OptionError` for a file name without a
    known suffix.
    """
    target = check_suffix(path)
    is_music = one.performance is not None
    heat = len(others) * _INCHES_PER_UNIT
    heights = [_STRIP_INCHES] * len(found) + ([heat] if others else [])
    if is_music:
        heights = [_ROLL_INCHES, *([_PEDAL_INCHES] if _has_pedal(one) else []), *heights]
    width = _width(one)
    figure = make_figure(width, sum(heights) + 1.2)
    panels = list(
        figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    )
    at, part = _places(one)
    top, last = panels[0], panels[-1]
    if is_music:
        _draw_roll(panels, one)
    for unit, axes in zip(found, panels, strict=False):
        _draw_strip(axes, one, unit, at, part, is_halved)
    if others:
        _draw_heat(panels[len(found)], one, others, at, part)
    if is_music:
        label_time(last, float(at[-1]), width)
    else:
        _label_characters(top, last, one, part)
    if title:
        write_title(top, title if is_music else f"{title}\n")
    _explain(figure, is_halved)
    save_figure(figure, target)


def _has_pedal(one: Trace) -> bool:
    played = one.performance
    return played is not None and bool((played.pedal_value >= SUSTAIN_DOWN).any())


def _width(one: Trace) -> float:
    if one.seconds is None:
        return _TEXT_WIDTH
    wanted = 3.2 + float(one.seconds[-1]) * INCHES_PER_SECOND
    return float(np.clip(wanted, MIN_WIDTH, MAX_WIDTH))


def _places(one: Trace) -> tuple[Floats, slice]:
    """Return the position of each token on the axis, and which tokens are drawn."""
    if one.seconds is not None:
        return one.seconds, slice(None)
    middle = len(one) // 2
    first = max(0, middle - _CHARACTERS_BEFORE)
    return np.arange(len(one), dtype=float), slice(first, middle + _CHARACTERS_AFTER)


def _draw_roll(panels: list[Axes], one: Trace) -> None:
    """Draw the piano roll and the pedal, and remove their panels from the list."""
    assert one.performance is not None and one.seconds is not None
    end = float(one.seconds[-1])
    played = one.performance
    if played.duration > end + 1.0:
        played = played.slice(0.0, end)
    roll = panels.pop(0)
    draw_keys(roll, *pitch_range(played))
    draw_notes(roll, played, by_velocity(played), end)
    roll.tick_params(axis="x", bottom=False)
    if _has_pedal(one):
        band = panels.pop(0)
        draw_pedal(band, played, end)
        band.tick_params(axis="x", bottom=False)


def _draw_strip(
    axes: Axes, one: Trace, found: FoundUnit, at: Floats, part: slice, is_halved: bool
) -> None:
    """Draw a signal, and a unit's prediction of it."""
    style_axes(axes)
    at = at[part]
    unit = found.unit
    told = found.predict(one.states[unit.state][part, unit.layer, unit.place])
    if is_halved:
        axes.axvspan(at[0], max(at[0], _middle(one)), color=_FITTED_SHADE, linewidth=0)
    if found.signal in one.signals:
        signal = one.signals[found.signal][part]
        axes.fill_between(
            at, np.nanmin(signal), signal, color=SIGNAL_COLOR, linewidth=0, step="post"
        )
        spread = np.nanmax(signal) - np.nanmin(signal) or 1.0
        axes.set_ylim(np.nanmin(signal) - 0.12 * spread, np.nanmax(signal) + 0.12 * spread)
    axes.plot(at, told, color=UNIT_COLOR, linewidth=0.9, drawstyle="steps-post", rasterized=True)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="x", bottom=False)
    axes.set_ylabel(found.signal, rotation=0, ha="right", va="center", color=INK, fontsize=9)
    axes.text(
        1.004,
        0.5,
        f"{unit}\n{found.fitted:+.2f} fitted\n{found.shown:+.2f} shown",
        transform=axes.transAxes,
        va="center",
        fontsize=7.5,
        color=INK,
    )


def _middle(one: Trace) -> float:
    """Return where the second half begins."""
    half = len(one) // 2
    return float(half if one.seconds is None else one.seconds[half])


def _draw_heat(axes: Axes, one: Trace, units: Sequence[Unit], at: Floats, part: slice) -> None:
    """Draw rows of units, each from its lowest value (white) to its highest."""
    style_axes(axes)
    rows = np.stack([one.states[u.state][part, u.layer, u.place] for u in units])
    low, high = rows.min(axis=1, keepdims=True), rows.max(axis=1, keepdims=True)
    scaled = (rows - low) / np.maximum(high - low, 1e-9)
    at = at[part]
    edges = np.append(at, at[-1] + (1.0 if one.seconds is None else 0.01))
    axes.pcolormesh(
        edges,
        np.arange(len(units) + 1),
        scaled,
        cmap="Purples",
        rasterized=True,
        shading="flat",
    )
    axes.set_yticks(np.arange(len(units)) + 0.5, [str(unit) for unit in units], fontsize=6)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)


def _label_characters(top: Axes, last: Axes, one: Trace, part: slice) -> None:
    """Write the text above the strips, a character for each token."""
    text = one.text or ""
    first, stop = part.start, min(part.stop, len(text))
    top.set_xlim(first, stop)
    last.set_xlabel("characters", color=INK)
    for index in range(first, stop):
        shown = {"\n": "¶"}.get(text[index], text[index])
        top.annotate(
            shown,
            (index + 0.5, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            family="DejaVu Sans Mono",
            color=MUTED if shown == "¶" else INK,
            parse_math=False,
        )


def _explain(figure: Figure, is_halved: bool) -> None:
    """Explain the colours below the picture."""
    where = "the first half (shaded), shown on the second" if is_halved else "other pieces"
    figure.supxlabel(
        f"blue: the unit, scaled to the signal; grey: the signal. Chosen on {where}",
        fontsize=8,
        color=MUTED,
    )
