"""``midirnn train``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from cyclopts import Parameter

from midirnn.cli.main import is_first_process, print_error
from midirnn.cli.targets import check_folder
from midirnn.cli.train_report import StopOnSignal, print_end, print_precision, reporting
from midirnn.errors import CheckpointError, OptionError
from midirnn.models.cells import CELLS
from midirnn.models.config import ModelConfig
from midirnn.models.windowed_config import AttentionConfig, ConvolutionConfig
from midirnn.training.config import (
    DECAY_SETTINGS,
    FREE_SETTINGS,
    TrainingConfig,
    inherited,
)

if TYPE_CHECKING:
    from midirnn.datasets.mixture import Mixture
    from midirnn.training.distributed import Team


PLAYABLE: dict[str, type[ModelConfig]] = {
    kind.architecture: kind for kind in (ModelConfig, ConvolutionConfig, AttentionConfig)
}
"""The architectures that continue tokens, by the value of ``--architecture``."""


class _Flags:
    """Remembers which fields were given as flags, even if with their default."""

    given: frozenset[str]

    def __new__(cls, **given: Any) -> Self:
        flags = super().__new__(cls)
        object.__setattr__(flags, "given", frozenset(given))
        return flags


@dataclass(frozen=True)
class ModelFlags(_Flags, ModelConfig):
    """The fields of a model's config as flags, except for the sizes that the data set gives."""

    vocab_size: Annotated[int, Parameter(parse=False)] = ModelConfig.vocab_size
    longest_shift: Annotated[int, Parameter(parse=False)] = ModelConfig.longest_shift

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            raise OptionError(f"--cell is {self.cell!r}; allowed are {', '.join(CELLS)}")
        super().__post_init__()


@dataclass(frozen=True)
class WindowFlags(_Flags):
    """The additional fields of models that look back on a window."""

    architecture: Annotated[
        str,
        Parameter(
            help="Kind of network: language_model (recurrent layers), convolution (causal dilated "
            "convolutions) or attention (a small transformer)."
        ),
    ] = ModelConfig.architecture
    longest_dilation: Annotated[
        int, Parameter(help="With convolution: dilations double from layer to layer up to this.")
    ] = ConvolutionConfig.longest_dilation
    attention_heads: Annotated[int, Parameter(help="With attention: number of heads.")] = (
        AttentionConfig.attention_heads
    )
    span: Annotated[
        int, Parameter(help="With attention: how many tokens back each layer looks.")
    ] = AttentionConfig.span

    def apply(self, config: ModelConfig) -> ModelConfig:
        """Return the config of the architecture that was asked for."""
        if self.architecture not in PLAYABLE:
            raise OptionError(
                f"--architecture is {self.architecture!r}; allowed are {', '.join(PLAYABLE)}"
            )
        kind = PLAYABLE[self.architecture]
        own = {field.name for field in dataclasses.fields(kind)} - config.to_dict().keys()
        for name in sorted(self.given - own - {"architecture"}):
            raise OptionError(
                f"--{name.replace('_', '-')} does not belong to the architecture "
                f"{self.architecture!r}"
            )
        return kind.from_dict(config.to_dict() | {name: getattr(self, name) for name in own})


PARTNERS: dict[str, tuple[Callable[[ModelConfig, TrainingConfig], bool], str]] = {
    "cell": (
        lambda config, _: config.architecture == ModelConfig.architecture,
        f"--architecture {ModelConfig.architecture}",
    ),
    "style_inputs": (
        lambda config, _: config.control_inputs or not config.style_inputs,
        "--control-inputs",
    ),
    "steered": (lambda config, _: config.control_inputs, "--control-inputs"),
    "muon_learning_rate": (lambda _, recipe: recipe.optimizer == "muon", "--optimizer muon"),
}
"""The flags that have an effect only under a condition, and the flag that meets it."""


@dataclass(frozen=True)
class RecipeFlags(_Flags, TrainingConfig):
    """The fields of a recipe as flags."""


def train(
    *datasets: Annotated[
        str,
        Parameter(
            name="DATASET",
            required=True,
            help="Data sets: folders made by midirnn encode, each with an optional weight "
            "(FOLDER:0.5 is read half as often as its size suggests).",
        ),
    ],
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Folder for the run.")],
    resume: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Resume the run in --output."),
    ] = False,
    start_from: Annotated[
        str | None,
        Parameter(help="Start from the weights of a model of the same size: name, folder or run."),
    ] = None,
    decay_from: Annotated[
        Path | None,
        Parameter(
            help="Start from the last checkpoint of this run and decay the learning rate over "
            "--tokens or --minutes. The run itself is not changed."
        ),
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
    window_model: Annotated[WindowFlags | None, Parameter(name="*", group="Model")] = None,
    recipe: Annotated[RecipeFlags | None, Parameter(name="*", group="Recipe")] = None,
) -> None:
    """Train a model on one or more data sets.

    The run's folder holds checkpoints (``last``, ``best``), metrics.jsonl and curves.png. Ctrl-C
    saves and stops; --resume continues exactly there, with the run's own settings. To share the
    work among several processes, on one machine or many, use torchrun: torchrun --nproc-per-node 2
    -m midirnn train ...
    """
    asked = _Asked(
        model or ModelFlags(),
        window_model or WindowFlags(),
        recipe or RecipeFlags(),
        output,
        resume,
        start_from,
        decay_from,
    )
    if is_first_process():  # errors come before torch is loaded, which takes seconds
        _plan(datasets, asked)
    from midirnn.training.distributed import join

    with join(print_error) as team:
        _train(team, datasets, asked, tensorboard=tensorboard)


@dataclass(frozen=True)
class _Asked:
    """The arguments of the command line."""

    model: ModelFlags
    window_model: WindowFlags
    recipe: RecipeFlags
    output: Path
    resume: bool
    start_from: str | None
    decay_from: Path | None


@dataclass(frozen=True)
class _Plan:
    """What is trained, on which data."""

    mixture: Mixture
    config: ModelConfig
    recipe: TrainingConfig


def _plan(datasets: Sequence[str], asked: _Asked) -> _Plan:
    """Open the data sets and work out the settings; raise an error if the run cannot start."""
    from midirnn.datasets.mixture import Mixture

    mixture = Mixture.open(datasets)
    codec = mixture.datasets[0].codec
    config = asked.window_model.apply(asked.model.for_codec(codec))
    recipe = TrainingConfig(**dataclasses.asdict(asked.recipe))
    _check(asked)
    if asked.resume:
        config, recipe = _inherit(asked.output, config, recipe, asked, FREE_SETTINGS)
    elif asked.decay_from is not None:
        own = (*FREE_SETTINGS, *DECAY_SETTINGS)
        config, recipe = _inherit(asked.decay_from, config, recipe, asked, own)
        recipe = recipe.decaying()
    else:
        _check_partners(asked, config, recipe)
    if recipe.minutes and "tokens" in asked.recipe.given:
        raise OptionError(
            f"--tokens has no effect on a run of --minutes {recipe.minutes:g}: leave it out, or "
            "give --minutes 0"
        )
    config.check_codec(codec)
    return _Plan(mixture, config, recipe)


def _check_partners(asked: _Asked, config: ModelConfig, recipe: TrainingConfig) -> None:
    """Raise :class:`OptionError` for a flag that has no effect in a new run."""
    for name in sorted(asked.model.given | asked.recipe.given):
        has_effect, partner = PARTNERS.get(name, (None, ""))
        if has_effect is not None and not has_effect(config, recipe):
            raise OptionError(f"--{name.replace('_', '-')} has no effect without {partner}")


def _check(asked: _Asked) -> None:
    """Raise an error if the run cannot start, or cannot be resumed, in its folder."""
    from midirnn.datasets.store import MANIFEST
    from midirnn.engines.adapters import ADAPTER_FILE
    from midirnn.engines.load import find_model
    from midirnn.training.folder import holds_run

    output = asked.output
    if (output / MANIFEST).exists():
        raise OptionError(f"{output} holds a data set: choose another --output")
    if holds_run(output) and not asked.resume:
        raise OptionError(
            f"{output} holds a run already: go on with it (--resume) or choose another --output"
        )
    if asked.resume and not holds_run(output):
        raise CheckpointError(f"{output} holds no run to resume")
    if asked.start_from is not None and asked.decay_from is not None:
        raise OptionError("--start-from and --decay-from exclude each other: give one of them")
    if asked.decay_from is not None and not holds_run(asked.decay_from):
        raise CheckpointError(f"{asked.decay_from} holds no run to decay")
    if asked.start_from is not None and not asked.resume:
        model = find_model(asked.start_from)
        if (model / ADAPTER_FILE).exists():
            raise OptionError(f"{asked.start_from} is a tuned model: start from its base instead")
    check_folder(output)


def _inherit(
    run: Path, config: ModelConfig, recipe: TrainingConfig, asked: _Asked, own: Sequence[str]
) -> tuple[ModelConfig, TrainingConfig]:
    """Return a run's settings, except for those given as flags and those in ``own``."""
    from midirnn.models.checkpoint import read_checkpoint
    from midirnn.training.folder import last_checkpoint

    kept = read_checkpoint(last_checkpoint(run))
    if isinstance(kept.config, ModelConfig):
        of_data = ("vocab_size", "longest_shift")
        given = {*asked.model.given, *asked.window_model.given} - {"architecture"}
        if "architecture" in asked.window_model.given and type(config) is not type(kept.config):
            raise OptionError(
                f"{run} has the architecture {kept.config.architecture!r}, and --architecture asks "
                f"for {config.architecture!r}"
            )
        config = inherited(config, kept.config, {*given, *of_data})
    trained = TrainingConfig.from_dict(kept.info.get("training", {}))
    return config, inherited(recipe, trained, {*asked.recipe.given, *own})


def _train(team: Team, datasets: Sequence[str], asked: _Asked, *, tensorboard: bool) -> None:
    """Train in one process of the run."""
    from midirnn.engines.load import find_model
    from midirnn.models.checkpoint import read_checkpoint
    from midirnn.plots import plot_curves
    from midirnn.training.folder import METRICS_FILE
    from midirnn.training.run import Trainer
    from midirnn.training.tasks import make_task
    from midirnn.training.tensorboard import TensorBoard

    plan, output = _plan(datasets, asked), asked.output
    with TensorBoard(output) if tensorboard and team.is_first else nullcontext() as board:
        codec = plan.mixture.datasets[0].codec
        task = make_task(plan.config, plan.recipe, codec, plan.mixture.sources(), team)
        trainer = Trainer(output, task, plan.recipe, report=reporting(board), team=team)
        if asked.resume:
            trainer.resume()
        elif asked.decay_from is not None:
            trainer.decay_from(asked.decay_from)
        elif asked.start_from is not None:
            trainer.start_from(asked.start_from, read_checkpoint(find_model(asked.start_from)))
        if team.is_first:
            print_precision(trainer)
        with StopOnSignal(quiet=team.size > 1) as stop:
            progress = trainer.run(stop.is_asked)
    if not team.is_first:
        return
    if (output / METRICS_FILE).exists():
        plot_curves([output], output / "curves.png")
    print_end(progress, trainer, output)
