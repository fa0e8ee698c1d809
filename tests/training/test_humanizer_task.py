"""Training a network that plays scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from midirnn import DatasetError
from midirnn.models.checkpoint import read_checkpoint
from midirnn.models.humanizer_config import HumanizerConfig
from midirnn.scores.pairs import Pair
from midirnn.scores.quantities import QUANTITIES
from midirnn.scores.traits import TRAITS
from midirnn.training.config import TrainingConfig
from midirnn.training.humanizer_task import HumanizerTask
from midirnn.training.run import Trainer

SMALL = HumanizerConfig(
    embedding_size=16, encoder_size=16, encoder_layers=1, decoder_size=16, dropout=0.0
)
RECIPE = TrainingConfig(
    tokens=90 * 8 * 32,
    batch_size=8,
    window=32,
    learning_rate=2e-2,
    warmup_steps=5,
    validation_steps=30,
    validation_tokens=1000,
    bf16=False,
)


def pairs(count: int = 6, notes: int = 100) -> list[Pair]:
    """Return performances in which high notes are loud, and every fourth note is slow."""
    random = np.random.default_rng(0)
    made = []
    for number in range(count):
        traits = random.normal(0, 0.5, (notes, len(TRAITS))).astype(np.float16)
        values = np.zeros((notes, len(QUANTITIES)), np.float32)
        names = [quantity.name for quantity in QUANTITIES]
        values[:, names.index("velocity")] = np.where(traits[:, 0] > 0, 16, -16)
        values[::4, names.index("tempo")] = 0.5
        values[::7, names.index("articulation")] = np.nan
        split = "validation" if number == 0 else "train"
        begins = np.ones(notes, bool)
        made.append(Pair(f"{number}.mid", f"title {number}", split, traits, values, begins))
    return made


def test_the_loss_falls_below_that_of_the_frequencies_of_values(tmp_path: Path) -> None:
    task = HumanizerTask(SMALL, RECIPE, pairs())
    trainer = Trainer(tmp_path / "run", task, RECIPE)
    trainer.run()
    classes = task.validation[0][2]
    baseline = 0.0
    for column in classes.T:
        counts = np.unique(column[column >= 0], return_counts=True)[1]
        shares = counts / counts.sum()
        baseline -= float((shares * np.log(shares)).sum())
    assert trainer.progress.best_nats < baseline
    assert read_checkpoint(tmp_path / "run" / "best").config == SMALL


def test_a_decoder_that_has_the_context_alone_is_trained_too(tmp_path: Path) -> None:
    config, recipe = replace(SMALL, aligned=False), replace(RECIPE, tokens=5 * 8 * 32)
    Trainer(tmp_path / "run", HumanizerTask(config, recipe, pairs()), recipe).run()
    assert read_checkpoint(tmp_path / "run" / "best").config == config


def test_a_run_that_is_resumed_ends_as_one_that_was_not_stopped(tmp_path: Path) -> None:
    recipe = replace(RECIPE, tokens=10 * 8 * 32)
    whole = Trainer(tmp_path / "whole", HumanizerTask(SMALL, recipe, pairs()), recipe)
    whole.run()
    steps = iter([False] * 4 + [True])
    Trainer(tmp_path / "cut", HumanizerTask(SMALL, recipe, pairs()), recipe).run(
        lambda: next(steps)
    )
    again = Trainer(tmp_path / "cut", HumanizerTask(SMALL, recipe, pairs()), recipe)
    again.resume()
    again.run()
    first, second = (read_checkpoint(tmp_path / name / "last").weights for name in ("whole", "cut"))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_pieces_shorter_than_a_window_cannot_be_trained_on() -> None:
    with pytest.raises(DatasetError, match="shorter --window"):
        HumanizerTask(SMALL, replace(RECIPE, window=500), pairs())
