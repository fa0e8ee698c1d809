"""Runs that begin with the weights of another model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from midirnn.errors import CheckpointError
from midirnn.models.checkpoint import Checkpoint, read_checkpoint
from midirnn.models.config import ModelConfig
from midirnn.training.run import LAST
from tests.training.tiny import MODEL, VALIDATION, recipe, trainer

TIED = dataclasses.replace(MODEL, embedding_size=16, tied_embedding=True)


def trained(folder: Path, model: ModelConfig = MODEL) -> Checkpoint:
    trainer(folder, recipe(3), model=model).run()
    return read_checkpoint(folder / LAST)


def test_it_begins_where_the_other_ended_and_counts_what_that_saw(tmp_path: Path) -> None:
    first = trained(tmp_path / "first")
    made = trainer(tmp_path / "second", recipe(3, learning_rate=0.0))
    made.start_from("first", first)
    made.run()
    second = read_checkpoint(tmp_path / "second" / LAST)
    for name, weight in first.weights.items():
        np.testing.assert_allclose(second.weights[name], weight, rtol=1e-5)
    assert second.info["started_from"] == {"model": "first", "tokens_seen": 96}
    assert second.info["tokens_seen"] == 2 * 96


def test_parts_that_are_new_change_nothing_at_first(tmp_path: Path) -> None:
    richer = dataclasses.replace(MODEL, recall_notes=8, control_inputs=True)
    first = trainer(tmp_path / "first", recipe(3))
    first.run()
    made = trainer(tmp_path / "second", recipe(3), model=richer)
    made.start_from("first", read_checkpoint(tmp_path / "first" / LAST))
    tokens = torch.from_numpy(VALIDATION[0][:20].astype(np.int64))[None]
    held = torch.zeros(1, 20, 128, dtype=torch.bool)
    with torch.no_grad():
        features = {"held": held}
        assert torch.equal(made.model(tokens, features)[0], first.model(tokens, features)[0])


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (dataclasses.replace(MODEL, hidden_size=12), MODEL, r"is \(48,\), and it is \(64,\) here"),
        (dataclasses.replace(MODEL, recall_notes=8), MODEL, "and there is none here"),
        (dataclasses.replace(TIED, tied_embedding=False), TIED, "is False, and True here"),
        (TIED, dataclasses.replace(TIED, tied_embedding=False), "is True, and False here"),
        (MODEL, dataclasses.replace(MODEL, residual=False), "its residual is True, and False here"),
        (dataclasses.replace(MODEL, held_input=False), MODEL, "its held_input is False, and True"),
        (MODEL, dataclasses.replace(MODEL, layer_norm=True), "its layer_norm is False, and True"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, first: ModelConfig, second: ModelConfig, message: str
) -> None:
    made = trainer(tmp_path / "second", model=second)
    with pytest.raises(CheckpointError, match=f"cannot start from first: .*{message}"):
        made.start_from("first", trained(tmp_path / "first", first))
