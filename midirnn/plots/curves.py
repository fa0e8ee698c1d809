"""The curves of training runs, from their ``metrics.jsonl``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, Formatter, MaxNLocator, StrMethodFormatter

from midirnn.arrays import Float64Array
from midirnn.errors import CheckpointError
from midirnn.plots.saving import (
    GRID,
    INK,
    check_suffix,
    make_figure,
    save_figure,
    style_axes,
    write_title,
)

METRICS = "metrics.jsonl"

COLORS = ("#4361ee", "#e85d04", "#2a9d8f", "#9d4edd", "#d00000", "#6c757d", "#b5179e", "#386641")
_LOSS, _VALIDATION = "loss", "validation_nats_per_token"
_LOWER_PANELS: dict[str, tuple[str, Callable[[], Formatter]]] = {
    "lr": ("learning rate", lambda: StrMethodFormatter("{x:g}")),
    "tokens_per_second": ("tokens / s", lambda: EngFormatter(sep=" ")),
}
"""The panels below the loss: the name in the metrics, the label and the number format."""
_SMOOTHED_POINTS = 200  # a smoothed curve has about this many independent points


@dataclass(frozen=True)
class Run:
    """A training run's name and the records of its metrics, in order of the optimiser's steps."""

    name: str
    records: tuple[dict[str, Any], ...]

    def series(self, key: str) -> tuple[Float64Array, Float64Array]:
        """Return tokens seen and values of the records that have ``key``; shape ``(N,)`` each."""
        rows = [r for r in self.records if isinstance(r.get(key), int | float)]
        tokens = np.array([row["tokens"] for row in rows], np.float64)
        return tokens, np.array([row[key] for row in rows], np.float64)


def plot_curves(
    runs: Sequence[str | os.PathLike[str]],
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
) -> None:
    """Draw the curves of training runs (folders) into a PNG, SVG or PDF file.

    The loss is drawn over the tokens seen: the training loss raw and smoothed, the validation loss
    as points, with the learning rate and the speed below. Raises :class:`CheckpointError` for a run
    without metrics, and :class:`OptionError` for a file name without a known suffix.
    """
    target = check_suffix(path)
    loaded = read_runs(runs)
    lower = [key for key in _LOWER_PANELS if any(len(run.series(key)[0]) for run in loaded)]
    figure = make_figure(9.0, 4.6 + 1.1 * len(lower))
    ratios = [4.0] + [1.0] * len(lower)
    panels = figure.subplots(1 + len(lower), 1, sharex=True, squeeze=False, height_ratios=ratios)
    top, *others = panels[:, 0]
    for axes in (top, *others):
        style_axes(axes)
        axes.grid(color=GRID, linewidth=0.7)
    _draw_loss(top, loaded)
    for axes, key in zip(others, lower, strict=True):
        _draw_lower(axes, loaded, key)
    figure.align_ylabels()
    last = panels[-1, 0]
    last.set_xlabel("tokens seen", color=INK)
    last.xaxis.set_major_formatter(EngFormatter(sep=" "))
    if title:
        write_title(top, title)
    save_figure(figure, target)


def read_runs(paths: Sequence[str | os.PathLike[str]]) -> list[Run]:
    """Read the runs in some folders; each gets a different name."""
    folders = [Path(path) for path in paths]
    if not folders:
        raise CheckpointError("there is no run to draw; name at least one folder of a run")
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    return [Run(n, _read_metrics(f / METRICS)) for n, f in zip(names, folders, strict=True)]


def _read_metrics(path: Path) -> tuple[dict[str, Any], ...]:
    """Read the records of a metrics file: the last of each step, in order.

    A truncated last line is skipped: a run that was killed may leave one.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        if (path.parent / "last").is_dir():
            raise CheckpointError(
                f"{path.parent} holds no {METRICS} yet: the run has trained for too few steps"
            ) from None
        raise CheckpointError(
            f"{path.parent} holds no {METRICS}: it is not a training run; "
            "make one with: midirnn train"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error})") from None
    records: dict[tuple[int, bool], dict[str, Any]] = {}
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            key = (int(record["step"]), _VALIDATION in record)
            float(record["tokens"])
        except (ValueError, TypeError, KeyError):
            if number == len(lines):
                break
            raise CheckpointError(f"{path} is damaged: line {number} is not a record") from None
        records[key] = record
    if not records:
        raise CheckpointError(f"{path} is empty: the run has not written any metrics yet")
    return tuple(records[key] for key in sorted(records))


def _draw_loss(axes: Axes, runs: Sequence[Run]) -> None:
    """Draw the training loss, raw and smoothed, and the validation loss with its best value."""
    for run, color in _colored(runs):
        name = "" if len(runs) == 1 else f"{run.name}: "
        tokens, loss = run.series(_LOSS)
        if len(tokens):
            marker = _marker(tokens)
            axes.plot(tokens, loss, color=color, linewidth=0.6, alpha=0.25)
            axes.plot(
                tokens, _smooth(loss), color=color, linewidth=1.4, marker=marker,
                label=f"{name}training, smoothed",
            )  # fmt: skip
        tokens, loss = run.series(_VALIDATION)
        if np.isfinite(loss).any():
            label = f"{name}validation, best {np.nanmin(loss):.3f}"
            axes.plot(
                tokens, loss, color=color, linewidth=1.2, linestyle=(0, (4, 2)), marker="o",
                markersize=5, markerfacecolor="white", label=label,
            )  # fmt: skip
    axes.set_ylabel("nats per token", color=INK)
    axes.set_ylim(*_loss_limits(runs))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)


def _draw_lower(axes: Axes, runs: Sequence[Run], key: str) -> None:
    for run, color in _colored(runs):
        tokens, values = run.series(key)
        axes.plot(tokens, values, color=color, linewidth=1.1, marker=_marker(tokens))
    label, formatter = _LOWER_PANELS[key]
    axes.set_ylabel(label, color=INK, fontsize=9)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(formatter())
    axes.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))


def _marker(values: Float64Array) -> str | None:
    """Return a marker for a curve of a single point, which no line would show."""
    return "o" if len(values) == 1 else None


def _colored(runs: Sequence[Run]) -> list[tuple[Run, str]]:
    return [(run, COLORS[index % len(COLORS)]) for index, run in enumerate(runs)]


def _smooth(values: Float64Array) -> Float64Array:
    """Return a centred moving average that shrinks at both ends; shape ``(N,)``."""
    half = len(values) // _SMOOTHED_POINTS
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    reach = np.minimum(half, np.minimum(index, len(values) - 1 - index))
    smoothed: Float64Array = (sums[index + reach + 1] - sums[index - reach]) / (2 * reach + 1)
    return smoothed


def _loss_limits(runs: Sequence[Run]) -> tuple[float | None, float | None]:
    """Return axis limits that leave out the loss of the first steps, far above the rest."""
    losses = [loss[np.isfinite(loss)] for run in runs for loss in [run.series(_LOSS)[1]]]
    checks = [loss[np.isfinite(loss)] for run in runs for loss in [run.series(_VALIDATION)[1]]]
    shown = np.concatenate([*(loss[len(loss) // 50 :] for loss in losses), *checks])
    if not len(shown):
        return None, None
    margin = max(0.05, 0.05 * float(np.ptp(shown)))
    return float(shown.min()) - margin, float(shown.max()) + margin
