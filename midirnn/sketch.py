"""A small piano roll as SVG, for notebooks: what a performance shows of itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

WIDTH, ROW, MARGIN = 900, 4, 14
"""Pixels: of the picture, of a semitone, and below for the time."""

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
