"""Nothing that a model reads, or that masks allow, depends on what comes later in a piece."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from midirnn.codecs import PerformanceCodec, Tokens
from midirnn.codecs.controls import CONTROLS
from midirnn.datasets.windows import Batch, Inputs, Stream, empty_batch
from midirnn.models.config import ModelConfig
from midirnn.models.language_model import from_weights
from tests.datasets.songs import song
from tests.models.reference import random_weights

CODEC = PerformanceCodec()
PIECE = np.tile(CODEC.encode(song(5, 40)), 2)  # so that there is something to recall
CONFIG = ModelConfig(
    embedding_size=6,
    hidden_size=8,
    num_layers=2,
    recall_notes=30,
    term_notes=30,
    control_inputs=True,
    style_inputs=True,
)
CUTS = [1, 2, 57, 150, len(PIECE) - 1]


@pytest.fixture(params=["C++", "numpy"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows are made in C++, where there is a compiler, and in numpy."""
    if request.param == "numpy":
        for module in ("midirnn.features.recall", "midirnn.terms.scan"):
            monkeypatch.setattr(f"{module}.native_library", lambda: None)


def windows_of(
    tokens: Tokens, config: ModelConfig, window: int, begin: int = 0, shown: bool = False
) -> list[Batch]:
    """Return the windows of a piece from ``begin`` on, read as in training."""
    stream = Stream(CODEC, window, Inputs(config.start_token, config.features))
    stream.open(tokens, begin, choices={"controls": [True] * len(CONTROLS)} if shown else None)
    batches = []
    while not stream.is_done:
        batches.append(empty_batch(1, window, CODEC.vocab_size, config.features))
        stream.read(batches[-1], 0)
    return batches


def read(batches: list[Batch]) -> dict[str, np.ndarray]:
    """Return all rows that are valid, one after another: inputs, masks and features."""
    rows = {
        name: np.concatenate([getattr(batch, name)[batch.valid] for batch in batches])
        for name in ("inputs", "targets", "mask")
    }
    for name in batches[0].features:
        rows[name] = np.concatenate([batch.features[name][batch.valid] for batch in batches])
    return rows


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    ("recall_notes", "window", "begin"), [(30, 64, 0), (9, 7, 0), (30, 50, 33)]
)
def test_windows_of_a_piece_cut_short_are_those_of_the_whole_piece(
    recall_notes: int, window: int, begin: int, cut: int
) -> None:
    begin = min(begin, cut - 1)
    config = dataclasses.replace(CONFIG, recall_notes=recall_notes)
    whole = read(windows_of(PIECE, config, window, begin))
    short = read(windows_of(PIECE[:cut], config, window, begin))
    assert {"inputs", "mask", "held", "recall", "controls", "style", "terms"} <= whole.keys()
    for name, rows in whole.items():
        assert len(short[name]) == cut - begin
        np.testing.assert_array_equal(short[name], rows[: cut - begin], name)


def test_what_is_read_is_not_the_same_everywhere() -> None:
    rows = read(windows_of(PIECE, CONFIG, 64))
    for name in ("mask", "held", "recall", "terms"):
        assert len(np.unique(rows[name].reshape(len(PIECE), -1), axis=0)) > 10, name
    assert not rows["controls"].any() and not rows["style"].any()


def test_controls_that_are_shown_do_say_what_comes() -> None:
    whole = read(windows_of(PIECE, CONFIG, 64, shown=True))
    short = read(windows_of(PIECE[:57], CONFIG, 64, shown=True))
    assert not np.array_equal(short["controls"], whole["controls"][:57])
    np.testing.assert_array_equal(short["terms"], whole["terms"][:57])


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("cut", CUTS)
@torch.no_grad()
def test_logits_of_a_piece_cut_short_are_those_of_the_whole_piece(cut: int) -> None:
    model = from_weights(CONFIG, random_weights(CONFIG))
    logits = []
    for tokens in (PIECE, PIECE[:cut]):
        (batch,) = windows_of(tokens, CONFIG, len(PIECE))
        features = {name: torch.from_numpy(rows) for name, rows in batch.features.items()}
        found, _ = model(torch.from_numpy(batch.inputs), features)
        logits.append(found[0, :cut])
    assert torch.equal(logits[1], logits[0])
