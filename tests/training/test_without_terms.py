"""Terms that are left out of a structured output."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midirnn.errors import OptionError
from midirnn.models.checkpoint import Weights, read_checkpoint
from midirnn.terms import OutputTerms
from midirnn.training.run import LAST
from tests.training.tiny import CODEC, MODEL, recipe, trainer

TERMS = OutputTerms(CODEC.groups())
SLICES = TERMS.slices
WITH_TERMS = dataclasses.replace(MODEL, term_notes=16)
LEFT_OUT = ("votes", "interonset", "velocity_1", "density")


def train(folder: Path, *, start_from: Path | None = None, **changes: Any) -> Weights:
    """Return the weights after a short run."""
    made = trainer(folder, recipe(12, **changes), model=WITH_TERMS)
    if start_from is not None:
        made.start_from("other", read_checkpoint(start_from / LAST))
    made.run()
    return read_checkpoint(folder / LAST).weights


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_they_add_nothing_and_the_others_are_learned(tmp_path: Path, optimizer: str) -> None:
    weights = train(
        tmp_path, without_terms=" votes,interonset, velocity_1,density", optimizer=optimizer
    )
    for part in ("terms.weight", "terms.bias"):
        assert weights[part].shape[0] == TERMS.rows
        for name in LEFT_OUT:
            assert not weights[part][SLICES[name]].any(), name
        for name in ("age", "interval_1", "velocity_2"):
            assert weights[part][SLICES[name]].any(), name


def test_weights_that_a_run_starts_from_lose_them(tmp_path: Path) -> None:
    first = train(tmp_path / "first")
    assert first["terms.weight"][SLICES["age"]].any()
    second = train(
        tmp_path / "second",
        start_from=tmp_path / "first",
        without_terms="age",
        learning_rate=0.0,
        weight_decay=0.0,
    )
    assert not second["terms.weight"][SLICES["age"]].any()
    kept = np.ones(TERMS.rows, bool)
    kept[SLICES["age"]] = False
    np.testing.assert_array_equal(second["terms.weight"][kept], first["terms.weight"][kept])


def test_a_run_without_some_is_resumed_exactly(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", without_terms="age,recency")
    options = recipe(12, without_terms="age,recency")
    made = trainer(tmp_path / "parts", options, model=WITH_TERMS)
    stops = iter([False] * 4 + [True])
    made.run(lambda: next(stops))
    again = trainer(tmp_path / "parts", options, model=WITH_TERMS)
    again.resume()
    again.run()
    resumed = read_checkpoint(tmp_path / "parts" / LAST).weights
    for name, weight in whole.items():
        np.testing.assert_array_equal(resumed[name], weight, err_msg=name)


def test_a_term_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"^there is no term 'ages'; known are interval_1, .*"):
        trainer(tmp_path, recipe(without_terms="age,ages"), model=WITH_TERMS)


def test_a_model_without_terms_has_none_to_leave_out(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="set term_notes, too"):
        trainer(tmp_path, recipe(without_terms="age"))
