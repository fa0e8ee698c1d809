"""Make figures and write them to files."""

from __future__ import annotations

import os
from pathlib import Path

from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from midirnn.errors import OptionError
from midirnn.files import one_line_errors, replacing_file

SUFFIXES = (".png", ".svg", ".pdf")

INK = "#22223b"
MUTED = "#8d8d9b"
GRID = "#e4e4ec"

_DOTS_PER_INCH = 160
# Without a date and with a fixed salt, equal figures are equal files.
_METADATA = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}


def make_figure(width: float, height: float) -> Figure:
    """Return a figure of this size in inches, with automatic layout."""
    layout = ConstrainedLayoutEngine(h_pad=0.05, w_pad=0.1, hspace=0.0)
    return Figure(figsize=(width, height), layout=layout)


def check_suffix(path: str | os.PathLike[str]) -> Path:
    """Return the path. Raises :class:`OptionError` if its suffix is not that of a picture."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(
            f"{path} does not say which kind of picture to write; its name must end in "
            f"{' or '.join(SUFFIXES)}"
        )
    return path


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure whole or not at all. Raises :class:`OptionError` if it cannot be written."""
    suffix = path.suffix.lower()
    with (
        rc_context({"svg.hashsalt": "midirnn"}),
        one_line_errors(path, OptionError),
        replacing_file(path) as file,
    ):
        figure.savefig(file, format=suffix[1:], dpi=_DOTS_PER_INCH, metadata=_METADATA[suffix])


_FALLBACK_FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Source Han Sans",
    "WenQuanYi Zen Hei", "Hiragino Sans", "PingFang SC", "Yu Gothic", "Microsoft YaHei",
    "Malgun Gothic", "Noto Sans", "Arial Unicode MS", "Segoe UI",
)  # fmt: skip
"""Fonts with characters that Matplotlib's own lacks; those that are installed are used."""


def write_title(axes: Axes, title: str) -> None:
    """Write a title at the left. A character that no installed font has is written as an escape.

    So are the surrogates that stand for bytes of a file name that is not UTF-8.
    """
    installed = set(font_manager.get_font_names())
    families = ["DejaVu Sans", *(name for name in _FALLBACK_FONTS if name in installed)]
    fonts = [font_manager.get_font(font_manager.findfont(family)) for family in families]
    shown = "".join(
        character
        if character.isascii() or any(font.get_char_index(ord(character)) for font in fonts)
        else character.encode("ascii", "backslashreplace").decode()
        for character in title
    )
    axes.set_title(shown, loc="left", fontsize=12, color=INK, parse_math=False, fontfamily=families)


def style_axes(axes: Axes) -> None:
    """Style axes: no box, thin grey lines."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=9, length=3)
    axes.set_axisbelow(True)
