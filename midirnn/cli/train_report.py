"""What ``midirnn train`` prints while it trains, and how it is stopped."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from midirnn.training.folder import Report
    from midirnn.training.run import Trainer
    from midirnn.training.state import Progress
    from midirnn.training.tensorboard import TensorBoard

NO_BF16 = "this processor does not support bfloat16"


def print_precision(trainer: Trainer) -> None:
    """Print a line if the run's precision is not the requested one, or is slow here."""
    asked, used, has_bf16 = trainer.config.bf16, trainer.bf16, trainer.has_bf16
    if used and not has_bf16:
        line = f"{NO_BF16}: continuing in it, slowly, as the run was started"
    elif asked and not used and has_bf16:
        line = "continuing in fp32, as the run was started"
    elif asked and not used:
        line = f"{NO_BF16}: training in fp32"
    else:
        return
    print(line, file=sys.stderr)


def reporting(board: TensorBoard | None) -> Callable[[Report], None]:
    """Return a function that prints reports, and passes them to TensorBoard if there is one."""

    def report(report: Report) -> None:
        _print_report(report)
        if board is not None:
            board(report)

    return report


class StopOnSignal:
    """Turns the first Ctrl-C or SIGTERM into a stop after the current step.

    A second signal of the same kind stops at once: for one Ctrl-C torchrun sends one of each.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._asked: set[int] = set()
        self._quiet = quiet

    def __enter__(self) -> StopOnSignal:
        self._before = {
            number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if number in self._asked:
            raise KeyboardInterrupt
        if not self._asked and not self._quiet:
            print("stopping after this step; press Ctrl-C again to stop at once", file=sys.stderr)
        self._asked.add(number)

    def is_asked(self) -> bool:
        """Return whether a stop was requested."""
        return bool(self._asked)


def _print_report(report: Report) -> None:
    """Print a line for a report: progress overwrites itself on a terminal, validations stay."""
    values = report.values
    if "loss" not in values:  # a validation: its first metric is the objective
        tokens = values["tokens"]
        objective = next(name for name in values if name not in ("step", "tokens"))
        kind, _, unit = objective.partition("_")
        result = f"{kind} {values[objective]:.4f} {unit.replace('_', ' ')}"
        print(
            f"step {report.step:,}  {tokens / 1e6:.2f} M tokens  {result}{_of_each(values)}",
            flush=True,
        )
        return
    if not sys.stderr.isatty() and report.step % 200:
        return
    speed = values["tokens_per_second"]
    left = (report.total_steps - report.step) / max(report.step, 1) * values["tokens"] / speed
    line = (
        f"step {report.step:,} of {report.total_steps:,}  loss {values['loss']:.3f}  "
        f"{speed:,.0f} tokens/s  {_duration(left)} left"
    )
    print(line, end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)


def _of_each(values: dict[str, float]) -> str:
    """Return the result of a validation on each data set, if there are several."""
    each = [(name.partition("/")[2], value) for name, value in values.items() if "/" in name]
    return f" ({', '.join(f'{name} {value:.4f}' for name, value in each)})" if each else ""


def _duration(seconds: float) -> str:
    """Return hours and minutes, or minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes}:{rest:02}"


def print_end(progress: Progress, trainer: Trainer, output: Path) -> None:
    """Print how far a run has come, and its best validation."""
    total = max(
        progress.step, round(progress.step / trainer.config.done(progress.step, progress.seconds))
    )
    best = (
        f"best validation {progress.best_nats:.4f} nats per token"
        if math.isfinite(progress.best_nats)
        else "not validated"
    )
    print(
        f"{'finished' if trainer.is_done else 'stopped'} at step {progress.step:,} of {total:,}: "
        f"{progress.tokens:,} tokens, {best}, in {output}"
    )
