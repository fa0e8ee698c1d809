"""How each architecture is trained: the table of tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from midirnn.codecs import Codec
from midirnn.datasets.mixture import Source
from midirnn.errors import OptionError
from midirnn.models.architectures import LANGUAGE_MODEL, ArchitectureConfig
from midirnn.models.windowed_config import AttentionConfig, ConvolutionConfig
from midirnn.training.config import TrainingConfig
from midirnn.training.distributed import ALONE, Team
from midirnn.training.language_task import LanguageModelTask
from midirnn.training.memory import keep_freed_memory
from midirnn.training.task import Task

TASKS: dict[str, Callable[..., Task]] = {
    LANGUAGE_MODEL: LanguageModelTask,
    ConvolutionConfig.architecture: LanguageModelTask,
    AttentionConfig.architecture: LanguageModelTask,
}
"""The class of the task for each architecture, by name; :func:`make_task` calls it."""


def make_task(
    config: ArchitectureConfig,
    recipe: TrainingConfig,
    codec: Codec[Any],
    sources: Sequence[Source],
    team: Team = ALONE,
) -> Task:
    """Return the task of training a new model, whose random weights depend on the recipe's seed.

    Sets the number of threads that torch uses in this process. Raises :class:`OptionError` for an
    architecture that cannot be trained.
    """
    if config.architecture not in TASKS:
        raise OptionError(
            f"the architecture {config.architecture!r} cannot be trained; known are "
            f"{', '.join(TASKS)}"
        )
    torch.set_num_threads(recipe.threads)
    keep_freed_memory()
    torch.manual_seed(recipe.seed)
    return TASKS[config.architecture](config, recipe, codec, sources, team)
