"""``midirnn train``."""

from __future__ import annotations

import math
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.errors import CheckpointError, OptionError
from midirnn.models.config import ModelConfig
from midirnn.training.config import TrainingConfig

if TYPE_CHECKING:
    from midirnn.training.run import Progress, Report


def train(
    dataset: Annotated[Path, Parameter(name="DATASET", help="A folder that encode has made.")],
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="The folder of the run.")],
    resume: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Go on where the run in --output stopped."),
    ] = False,
    model: Annotated[ModelConfig | None, Parameter(name="*", group="Model")] = None,
    recipe: Annotated[TrainingConfig | None, Parameter(name="*", group="Recipe")] = None,
) -> None:
    """Train a model on a data set.

    The run's folder gets checkpoints (``last``, ``best``), metrics.jsonl and curves.png. Ctrl-C
    saves and stops; --resume goes on exactly there.
    """
    from midirnn.datasets import Dataset
    from midirnn.plots import plot_curves
    from midirnn.training.run import LAST, METRICS_FILE, Trainer, recover_run

    opened = Dataset.open(dataset)
    recover_run(output)
    if (output / LAST).exists() and not resume:
        raise OptionError(
            f"{output} holds a run already: go on with it (--resume) or choose another --output"
        )
    if resume and not (output / LAST).exists():
        raise CheckpointError(f"{output} holds no run to resume")
    chosen = model or ModelConfig()
    if chosen.vocab_size != opened.codec.vocab_size:
        raise OptionError(
            f"--vocab-size is {chosen.vocab_size}, and the tokens of {dataset} go to "
            f"{opened.codec.vocab_size}"
        )
    trainer = Trainer(
        output,
        chosen,
        recipe or TrainingConfig(),
        opened.codec,
        opened.pieces("train"),
        opened.pieces("validation") if "validation" in opened.splits else [],
        report=_print_report,
    )
    if resume:
        trainer.resume()
    with _StopOnSignal() as stop:
        progress = trainer.run(stop.is_asked)
    if (output / METRICS_FILE).exists():
        plot_curves([output], output / "curves.png")
    _print_end(progress, trainer.config, output)


class _StopOnSignal:
    """Turns the first Ctrl-C or SIGTERM into a stop after the present step."""

    def __init__(self) -> None:
        self._asked = False

    def __enter__(self) -> _StopOnSignal:
        self._before = {
            number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        print("stopping after this step; again to stop at once", file=sys.stderr)

    def is_asked(self) -> bool:
        """Whether a stop was asked for."""
        return self._asked


def _print_report(report: Report) -> None:
    """A line for each report: progress in place on a terminal, validations for good."""
    values = report.values
    if "validation_nats_per_token" in values:
        print(
            f"step {report.step:,}  {values['tokens'] / 1e6:.2f} M tokens  "
            f"validation {values['validation_nats_per_token']:.4f} nats per token",
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


def _duration(seconds: float) -> str:
    """Hours and minutes, or minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes}:{rest:02}"


def _print_end(progress: Progress, config: TrainingConfig, output: Path) -> None:
    done = progress.step >= config.total_steps
    best = (
        f"best validation {progress.best_nats:.4f} nats per token"
        if math.isfinite(progress.best_nats)
        else "not validated"
    )
    print(
        f"{'finished' if done else 'stopped'} at step {progress.step:,} of {config.total_steps:,}: "
        f"{progress.tokens:,} tokens, {best}, in {output}"
    )
