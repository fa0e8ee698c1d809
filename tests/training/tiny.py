"""A model and a data set so small that a step takes a millisecond."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from midirnn.codecs import PerformanceCodec, Tokens
from midirnn.datasets.mixture import Source
from midirnn.models.config import ModelConfig
from midirnn.performance import Performance
from midirnn.training.config import TrainingConfig
from midirnn.training.distributed import ALONE
from midirnn.training.language_task import LanguageModelTask
from midirnn.training.run import METRICS_FILE, Trainer
from midirnn.training.tasks import make_task

CODEC = PerformanceCodec()
MODEL = ModelConfig(embedding_size=8, hidden_size=16, num_layers=2)


def ostinato(seed: int, notes: int = 40) -> Performance:
    """Three pitches round and round: soon learnt."""
    rng = np.random.default_rng(seed)
    root = int(rng.integers(50, 60))
    return Performance.from_notes(
        (0.25 * n, 0.25 * n + 0.2, root + (0, 4, 7)[n % 3], 64 if n % 3 else 80)
        for n in range(notes)
    )


TRAIN = [CODEC.encode(ostinato(seed)) for seed in range(4)]
VALIDATION = [CODEC.encode(ostinato(seed, 20)) for seed in range(4, 6)]


def recipe(steps: int = 20, **changes: Any) -> TrainingConfig:
    """A recipe of so many steps of 2 rows of 16 tokens."""
    values = {
        "tokens": steps * 32,
        "batch_size": 2,
        "window": 16,
        "segment": 64,
        "warmup_steps": 5,
        "validation_steps": 7,
        "transpose": 2,
        "stretch": 0.05,
        "bf16": False,
    }
    return TrainingConfig(**(values | changes))


def trainer(
    folder: Path,
    config: TrainingConfig | None = None,
    *,
    model: ModelConfig = MODEL,
    codec: PerformanceCodec = CODEC,
    train: Sequence[Tokens] = TRAIN,
    validation: Sequence[Tokens] = VALIDATION,
    **options: Any,
) -> Trainer:
    used = config or recipe()
    sources = [Source("songs", train, validation)]
    task = make_task(model, used, codec, sources, options.get("team", ALONE))
    return Trainer(folder, task, used, **options)


def task_of(made: Trainer) -> LanguageModelTask:
    """The task of a trainer of a language model."""
    assert isinstance(made.task, LanguageModelTask)
    return made.task


def metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics without those that time decides."""
    lines = [json.loads(line) for line in (folder / METRICS_FILE).read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "tokens_per_second"} for line in lines]
