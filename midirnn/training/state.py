"""What a run starts from: its own last checkpoint, or the weights of another model."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from midirnn.errors import CheckpointError
from midirnn.models.checkpoint import Checkpoint, Weights, read_checkpoint, settings_of
from midirnn.training.config import DECAY_SETTINGS, FREE_SETTINGS, LENGTHS, TrainingConfig
from midirnn.training.folder import (
    TRAINING_STATE_FILE,
    last_checkpoint,
    read_training_state,
    refuse_difference,
)
from midirnn.training.task import Task


@dataclass
class Progress:
    """How far a run has come."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best_nats: float = math.inf
    """The lowest value of the task's objective: nats per token, for a language model."""
    validations_since_best: int = 0
    recent: list[float] = field(default_factory=list)
    """Losses of the steps since the last line of metrics."""


_KEYS = {"optimizers", "progress", "rng", "config"}
"""The keys of a saved state that are the trainer's own; the task adds others."""

_TYPES: list[Any] = [
    Progress,
    (Progress, "midirnn.training.run.Progress"),  # where it used to be defined
    np.ndarray,
    np.dtype,
    type(np.dtype(np.uint16)),
    type(np.dtype(np.bool_)),
    np.ndarray.__reduce__(np.empty(0))[0],  # the function that unpickles an array
]
"""The types in a saved state, besides tensors and built-in types."""


def read_last(
    folder: Path, task: Task, config: TrainingConfig, data: dict[str, Any]
) -> tuple[Weights, dict[str, Any]]:
    """Read the weights and the state of a run's last checkpoint.

    Raises :class:`CheckpointError` if it is missing or damaged, or was made with other settings or
    other data, naming both values. A run whose learning rate is constant may have another length,
    but none that it has exceeded already.
    """
    checkpoint = read_checkpoint(folder)
    _refuse_other_model(checkpoint, task, folder)
    state = _read_state(folder, task)
    refuse_difference(state.get("data", data), data, folder)
    is_constant = config.decay_start >= 1.0 == min(state["config"]["decay_start"], 1.0)
    _refuse_other_recipe(state, config, folder, (*FREE_SETTINGS, *LENGTHS * is_constant))
    _refuse_shorter(state, config, folder)
    if task.config.obsolete_weights:
        _drop_obsolete(state, len(list(task.model.parameters())))
    return checkpoint.weights, state


def read_constant(run: Path, task: Task, config: TrainingConfig) -> tuple[Weights, dict[str, Any]]:
    """Read the last checkpoint of a run whose learning rate is constant, to decay it.

    The run may still be training.
    """
    for _ in range(_READINGS):
        folder = last_checkpoint(run)
        checkpoint, state = read_checkpoint(folder), _read_state(folder, task)
        if checkpoint.info.get("step") == state["progress"].step:
            break
    else:
        raise CheckpointError(f"{folder} changes while it is read; try again")
    _refuse_other_model(checkpoint, task, folder)
    _refuse_other_recipe(state, config, folder, (*FREE_SETTINGS, *DECAY_SETTINGS))
    progress, recipe = state["progress"], TrainingConfig.from_dict(state["config"])
    if recipe.learning_rate_share(progress.step, progress.seconds) != 1.0:
        part, advice = "decay", "train one with a later --decay-start (1: never)"
        if progress.step < recipe.warmup_steps:
            part, advice = "warm-up", f"train it beyond its warm-up of {recipe.warmup_steps} steps"
        raise CheckpointError(
            f"{run} is in its {part} at step {progress.step}; only a run whose learning rate is "
            f"constant can be decayed: {advice}"
        )
    return checkpoint.weights, state


_READINGS = 3
"""How often to try to read a checkpoint that is being replaced."""


def _read_state(folder: Path, task: Task) -> dict[str, Any]:
    keys: Collection[str] = _KEYS | task.state_keys
    return read_training_state(folder / TRAINING_STATE_FILE, keys, _TYPES)


def _refuse_other_model(checkpoint: Checkpoint, task: Task, folder: Path) -> None:
    refuse_difference(checkpoint.config.to_dict(), task.config.to_dict(), folder)
    refuse_difference(settings_of(checkpoint.codec), settings_of(task.codec), folder)


def _refuse_other_recipe(
    state: dict[str, Any], config: TrainingConfig, folder: Path, free: Collection[str]
) -> None:
    asked = config.to_dict()
    kept = TrainingConfig().to_dict() | state["config"]  # a setting may be newer than the run
    for name in free:
        kept.pop(name), asked.pop(name)
    refuse_difference(kept, asked, folder)


def _refuse_shorter(state: dict[str, Any], config: TrainingConfig, folder: Path) -> None:
    """Refuse a new length of the run that is less than what it has had already."""
    progress, kept = state["progress"], TrainingConfig.from_dict(state["config"])
    is_new = any(getattr(kept, name) != getattr(config, name) for name in LENGTHS)
    if not is_new or config.done(progress.step, progress.seconds) <= 1.0:
        return
    if config.minutes:
        had, asked = f"{progress.seconds / 60:.1f} minutes", f"--minutes {config.minutes:g}"
    else:
        had = f"{progress.step:,} steps"
        asked = f"--tokens {config.tokens} ({config.total_steps:,} steps)"
    raise CheckpointError(f"{folder} was saved after {had}, more than {asked}: resume with more")


def _drop_obsolete(state: dict[str, Any], parameters: int) -> None:
    """Drop what an old run saved for a weight that a model without held notes no longer has.

    It was the second parameter of the model, and the second of AdamW, the first optimiser. It was
    never used, so it has no optimiser state.
    """
    groups = [group for saved in state["optimizers"] for group in saved["param_groups"]]
    if sum(len(group["params"]) for group in groups) > parameters:
        del groups[0]["params"][1]
    if len(state.get("average", [])) > parameters:
        del state["average"][1]


def load_weights(task: Task, weights: Weights) -> None:
    """Load the weights of a checkpoint with the same config into the task's model."""
    task.model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})


def start_from(task: Task, name: str, checkpoint: Checkpoint) -> None:
    """Load another model's weights into the task's model; parts that it lacks stay as they are.

    Raises :class:`CheckpointError` if architecture, sizes or codec differ, or a setting that
    changes what the weights mean.
    """
    refuse_difference(settings_of(checkpoint.codec), settings_of(task.codec), Path(name))
    for part in ("architecture", *task.config.must_match):
        theirs, ours = getattr(checkpoint.config, part), getattr(task.config, part)
        if theirs != ours:
            raise CheckpointError(
                f"cannot start from {name}: its {part} is {theirs}, and {ours} here"
            )
    weights = task.model.state_dict()
    for weight, array in checkpoint.weights.items():
        shape = tuple(weights[weight].shape) if weight in weights else None
        if shape != array.shape:
            raise CheckpointError(
                f"cannot start from {name}: its {weight} is {array.shape}, and "
                f"{'there is none' if shape is None else f'it is {shape}'} here"
            )
        weights[weight] = torch.from_numpy(array)
    task.model.load_state_dict(weights)
