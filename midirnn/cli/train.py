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


NO_BF16 = "this processor does not support bfloat16"


@dataclass(frozen=True)
class ModelFlags(ModelConfig):
    """The fields of a model's config as flags, but for the sizes that are the data set's."""

    vocab_size: Annotated[int, Parameter(parse=False)] = ModelConfig.vocab_size
    longest_shift: Annotated[int, Parameter(parse=False)] = ModelConfig.longest_shift


def train(
    dataset: Annotated[
        Path, Parameter(name="DATASET", help="A data set: a folder made by midirnn encode.")
    ],
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Folder for the run.")],
    resume: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Resume the run in --output."),
    ] = False,
    start_from: Annotated[
        str | None,
        Parameter(help="Start from the weights of a model of the same size: name, folder, run."),
    ] = None,
    tensorboard: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Also write metrics for TensorBoard, to tensorboard/ in the run.",
        ),
    ] = False,
    model: Annotated[ModelFlags | None, Parameter(name="*", group="Model")] = None,
    recipe: Annotated[TrainingConfig | None, Parameter(name="*", group="Recipe")] = None,
) -> None:
    """Train a model on a data set.

    The run's folder holds checkpoints (``last``, ``best``), metrics.jsonl and curves.png. Ctrl-C
    saves and stops; --resume continues exactly there. With torchrun several processes, on one
    machine or many, share the work: torchrun --nproc-per-node 2 -m midirnn train ...
    """
    model, recipe = model or ModelFlags(), recipe or TrainingConfig()
    if is_first_process():  # errors come before torch is loaded, which takes seconds
        _open(dataset, model)
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


def _open(dataset: Path, model: ModelFlags) -> tuple[Dataset, ModelConfig]:
    """Return the data set, and the config of a model to train on it."""
    from midirnn.datasets import Dataset

    opened = Dataset.open(dataset)
    opened.file("train")
    return opened, model.for_codec(opened.codec)


def _check(output: Path, *, resume: bool, start_from: str | None) -> None:
    """Raise an error if the run cannot start, or not be resumed, in that folder."""
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
    model: ModelFlags,
    recipe: TrainingConfig,
    *,
    resume: bool,
    start_from: str | None,
    tensorboard: bool,
) -> None:
    """Train in one process of the run."""
    from midirnn.engines.load import find_model
    from midirnn.models.checkpoint import read_checkpoint
    from midirnn.plots import plot_curves
    from midirnn.training.folder import METRICS_FILE
    from midirnn.training.run import Trainer
    from midirnn.training.tasks import make_task
    from midirnn.training.tensorboard import TensorBoard

    opened, config = _open(dataset, model)
    with TensorBoard(output) if tensorboard and team.is_first else nullcontext() as board:
        task = make_task(
            config,
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
    """Print a line if the run's precision is not the one asked for, or is slow here."""
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


def _reporting(board: TensorBoard | None) -> Callable[[Report], None]:
    """Return a function that prints reports, and passes them to TensorBoard if there is one."""

    def report(report: Report) -> None:
        _print_report(report)
        if board is not None:
            board(report)

    return report


class _StopOnSignal:
    """Turns the first Ctrl-C or SIGTERM into a stop after the current step.

    A second signal of the same kind stops at once: for one Ctrl-C torchrun sends one of each.
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
        print(f"step {report.step:,}  {tokens / 1e6:.2f} M tokens  {result}", flush=True)
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
    """Return hours and minutes, or minutes and seconds."""
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
