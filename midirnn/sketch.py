"""Small piano rolls: as SVG for notebooks, and as text for terminals."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.pitch_names import pitch_name

WIDTH, ROW, MARGIN = 900, 4, 14
"""Pixels: the width of the picture, the height of a semitone, the margin below for the time."""

SHADES = ("#f0a868", "#d97a8f", "#9c5fb5", "#3c3a9c")
"""Colours from soft to loud."""

LEAST_SEMITONES = 24


def piano_roll_svg(
    start: npt.NDArray[Any],
    end: npt.NDArray[Any],
    pitch: npt.NDArray[Any],
    velocity: npt.NDArray[Any],
) -> str:
    """Return a piano roll; notes that cover the same pixels are drawn once.

    The arrays have the shape ``(N,)``; times are in seconds.
    """
    low, high = int(pitch.min(initial=127)), int(pitch.max(initial=0))
    if not len(pitch):
        low = high = 60
    spare = max(0, LEAST_SEMITONES - (high - low)) // 2
    low, high = max(0, low - spare), min(127, high + spare)
    length = max(float(end.max(initial=0.0)), 1.0)
    height = (high - low + 1) * ROW
    left = np.floor(start / length * WIDTH).astype(int)
    width = np.maximum(np.ceil(end / length * WIDTH).astype(int) - left, 1)
    top = (high - pitch.astype(int)) * ROW
    shade = np.minimum(velocity.astype(int) * len(SHADES) // 128, len(SHADES) - 1)
    boxes = np.unique(np.stack([shade, left, top, width], axis=1), axis=0)
    paths = "".join(
        f'<path fill="{color}" d="{_path(boxes[boxes[:, 0] == index])}"/>'
        for index, color in enumerate(SHADES)
    )
    octaves = "".join(
        f'<path stroke="#e0e0e8" d="M0 {(high - c + 1) * ROW}H{WIDTH}"/>'
        for c in range(low, high + 1)
        if c % 12 == 0
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height + MARGIN}" '
        f'style="background:white" font-family="sans-serif" font-size="10" fill="#555">'
        f"{octaves}{paths}"
        f'<text x="2" y="{height + 11}">0 s</text>'
        f'<text x="{WIDTH - 2}" y="{height + 11}" text-anchor="end">{length:.1f} s</text></svg>'
    )


def _path(boxes: npt.NDArray[Any]) -> str:
    """Return the rectangles (shade, left, top, width) as a path."""
    return "".join(f"M{x} {y}h{w}v{ROW}h-{w}z" for _, x, y, w in boxes.tolist())


TEXT_COLUMNS, TEXT_SEMITONES = 72, 3
"""Characters per line, and semitones per line."""

TEXT_SHADES = " .o#"
"""From cells that are silent to cells in which something sounds throughout."""


def piano_roll_text(
    start: npt.NDArray[Any], end: npt.NDArray[Any], pitch: npt.NDArray[Any]
) -> list[str]:
    """Return a piano roll in ASCII, the highest pitches first; no lines without notes."""
    if not len(pitch):
        return []
    length = max(float(end.max()), 1e-9)
    low, high = int(pitch.min()) // TEXT_SEMITONES, int(pitch.max()) // TEXT_SEMITONES
    covered = np.zeros((high - low + 1, TEXT_COLUMNS))
    edges = np.arange(TEXT_COLUMNS + 1) * length / TEXT_COLUMNS
    for row in range(len(covered)):
        inside = pitch // TEXT_SEMITONES == low + row
        for begin, stop in zip(start[inside], end[inside], strict=True):
            overlap = np.minimum(edges[1:], stop) - np.maximum(edges[:-1], begin)
            covered[row] += np.maximum(overlap, 0.0)
    share = np.minimum(covered * TEXT_COLUMNS / length, 1.0)
    shade = np.ceil(share * (len(TEXT_SHADES) - 1)).astype(int)
    names = [pitch_name(TEXT_SEMITONES * (low + row)) for row in range(len(shade))]
    lines = [
        f"{names[row]:>4} {''.join(TEXT_SHADES[s] for s in shade[row])}"
        for row in reversed(range(len(shade)))
    ]
    scale = f"0 s{f'{length:.1f} s':>{TEXT_COLUMNS - 3}}"
    return [line.rstrip() for line in (*lines, f"     {scale}")]
