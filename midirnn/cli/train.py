"""``midirnn train``."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.cli.main import is_first_process, print_error
from midirnn.cli.targets import check_folder
from midirnn.errors import CheckpointError, OptionError
from midirnn.models.config import ModelConfig
from midirnn.training.config import TrainingConfig

if TYPE_CHECKING:
    from midirnn.datasets import Dataset
    from midirnn.training.distributed import Team
    from midirnn.training.folder import Report
    from midirnn.training.run import Trainer
    from midirnn.training.state import Progress
    from midirnn.training.tensorboard import TensorBoard


@dataclass(frozen=True)
class ModelFlags(ModelConfig):
    """The fields of a model's config as flags: all but what the data set says."""

    vocab_size: Annotated[int, Parameter(show=False)] = ModelConfig.vocab_size
    """No longer needed."""


def train(
    dataset: Annotated[Path, Parameter(name="DATASET", help="A folder that encode has made.")],
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="The folder of the run.")],
    resume: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Go on where the run in --output stopped."),
    ] = False,
    start_from: Annotated[
        str | None,
        Parameter(help="A model of the same size whose weights to begin with: name, folder, run."),
    ] = None,
    tensorboard: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Show the metrics in TensorBoard too: tensorboard/.",
        ),
    ] = False,
    model: Annotated[ModelFlags | None, Parameter(name="*", group="Model")] = None,
    recipe: Annotated[TrainingConfig | None, Parameter(name="*", group="Recipe")] = None,
) -> None:
    """Train a model on a data set.

    The run's folder gets checkpoints (``last``, ``best``), metrics.jsonl and curves.png. Ctrl-C
    saves and stops; --resume goes on exactly there. Several processes, on one machine or many,
    share the work where torchrun starts them: torchrun --nproc-per-node 2 -m midirnn train ...
    """
    model, recipe = model or ModelFlags(), recipe or TrainingConfig()
    if is_first_process():  # errors come before torch is loaded, which takes seconds
        model.for_codec(_open(dataset).codec)
        if model.vocab_size != ModelConfig.vocab_size:
            print("--vocab-size is no longer needed: the data set's codec says it", file=sys.stderr)
        _check(output, resume=resume, start_from=start_from)
    from midirnn.training.distributed import join

    with join(print_error) as team:
        _train(
            team,
            dataset,
            output,
            model,
            recipe,
            resume=resume,
            start_from=start_from,
            tensorboard=tensorboard,
        )


def _open(dataset: Path) -> Dataset:
    """Open a data set that has pieces to train on."""
    from midirnn.datasets import Dataset

    opened = Dataset.open(dataset)
    opened.file("train")
    return opened


def _check(output: Path, *, resume: bool, start_from: str | None) -> None:
    """Raise an error where the run cannot begin, or not go on, in that folder."""
    from midirnn.engines.load import find_model
    from midirnn.training.folder import holds_run

    if holds_run(output) and not resume:
        raise OptionError(
            f"{output} holds a run already: go on with it (--resume) or choose another --output"
        )
    if resume and not holds_run(output):
        raise CheckpointError(f"{output} holds no run to resume")
    if start_from is not None and not resume:
        find_model(start_from)
    check_folder(output)


def _train(
    team: Team,
    dataset: Path,
    output: Path,
    model: ModelConfig,
    recipe: TrainingConfig,
    *,
    resume: bool,
    start_from: str | None,
    tensorboard: bool,
) -> None:
    """What :func:`train` does in each process of a run."""
    from midirnn.engines.load import find_model
    from midirnn.models.checkpoint import read_checkpoint
    from midirnn.plots import plot_curves
    from midirnn.training.folder import METRICS_FILE
    from midirnn.training.run import Trainer
    from midirnn.training.tasks import make_task
    from midirnn.training.tensorboard import TensorBoard

    opened = _open(dataset)
    with TensorBoard(output) if tensorboard and team.is_first else nullcontext() as board:
        task = make_task(
            model.for_codec(opened.codec),
            recipe,
            opened.codec,
            opened.stored_pieces("train"),
            opened.stored_pieces("validation") if "validation" in opened.splits else [],
            team,
        )
        trainer = Trainer(output, task, recipe, report=_reporting(board), team=team)
        if resume:
            trainer.resume()
        elif start_from is not None:
            trainer.start_from(start_from, read_checkpoint(find_model(start_from)))
        if team.is_first:
            _print_precision(trainer)
        with _StopOnSignal(quiet=team.size > 1) as stop:
            progress = trainer.run(stop.is_asked)
    if not team.is_first:
        return
    if (output / METRICS_FILE).exists():
        plot_curves([output], output / "curves.png")
    _print_end(progress, trainer.config, output)


def _print_precision(trainer: Trainer) -> None:
    """Say where the run is in another precision than was asked, or in one that is slow here."""
    asked, used, has_bf16 = trainer.config.bf16, trainer.bf16, trainer.has_bf16
    if used and not has_bf16:
        line = "no instructions for bfloat16: going on slowly in it, in which the run began"
    elif asked and not used and has_bf16:
        line = "going on in fp32, in which the run began"
    elif asked and not used:
        line = "no instructions for bfloat16: training in fp32"
    else:
        return
    print(line, file=sys.stderr)


def _reporting(board: TensorBoard | None) -> Callable[[Report], None]:
    """Prints a report, and shows it in TensorBoard where that is wanted."""

    def report(report: Report) -> None:
        _print_report(report)
        if board is not None:
            board(report)

    return report


class _StopOnSignal:
    """Turns the first Ctrl-C or SIGTERM into a stop after the present step.

    A second one of the same kind stops at once: of one Ctrl-C torchrun makes one of each.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._asked: set[int] = set()
        self._quiet = quiet

    def __enter__(self) -> _StopOnSignal:
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
            print("stopping after this step; again to stop at once", file=sys.stderr)
        self._asked.add(number)

    def is_asked(self) -> bool:
        """Whether a stop was asked for."""
        return bool(self._asked)


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
