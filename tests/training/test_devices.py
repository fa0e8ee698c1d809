"""Training on other devices than a CPU: the same code, and nothing in it assumes a CPU."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from midirnn.datasets.windows import Batch, Inputs, TrainingWindows
from midirnn.models import language_model, layers
from midirnn.models.language_model import LanguageModel
from midirnn.training.evaluate import evaluate
from midirnn.training.losses import token_losses
from tests.training.tiny import CODEC, MODEL, TRAIN, VALIDATION, recipe, trainer

STEERED = dataclasses.replace(MODEL, control_inputs=True, recall_notes=8)
GRU = dataclasses.replace(MODEL, cell="gru")
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


@pytest.fixture(params=[MODEL, STEERED, GRU], ids=["plain", "steered", "gru"])
def model(request: pytest.FixtureRequest) -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(request.param)


def batch_for(model: LanguageModel) -> Batch:
    return next(
        TrainingWindows(
            lambda rng: TRAIN[0],
            CODEC,
            rows=range(2),
            window=16,
            segment=None,
            inputs=Inputs(model.config.start_token, model.config.features),
            seed=0,
            steered=0.5,
        )
    )


def step(model: LanguageModel, batch: Batch, *, bf16: bool = False) -> list[torch.Tensor]:
    """Losses, state and gradients of a step from the zero state."""
    device = next(model.parameters()).device
    state = model.initial_state(len(batch.targets), device)
    losses, valid, behind = token_losses(model, batch, state, bf16=bf16)
    model.zero_grad()
    (losses * valid).mean().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return [losses.detach(), *(part.detach() for part in behind), *gradients]


def test_all_of_a_step_is_where_the_weights_are(model: LanguageModel) -> None:
    # A meta tensor has no values, but meets no tensor of a CPU without an error.
    made = step(model.to("meta"), batch_for(model))
    assert {tensor.device.type for tensor in made} == {"meta"}
    assert len(made) == 1 + len(model.cell.states) + len(list(model.parameters()))


def test_torch_s_own_layer_stands_in_for_the_loop_that_is_made_for_cpus(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_for(model)
    ours, ours_bf16 = step(model, batch), step(model, batch, bf16=True)[0]
    for module in (layers, language_model):
        monkeypatch.setattr(module, "projects_input", lambda cell, device: False)
    theirs, theirs_bf16 = step(model, batch), step(model, batch, bf16=True)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(ours_bf16, theirs_bf16[0], atol=0.05, rtol=0.02)
    assert {tensor.dtype for tensor in theirs_bf16} == {torch.float32}


@on_a_gpu
def test_a_run_with_dropout_goes_on_where_it_was_on_a_gpu(tmp_path: Path) -> None:
    config = recipe(12, ema_decay=0.9)
    dropout = dataclasses.replace(MODEL, dropout=0.2)
    whole = trainer(tmp_path / "whole", config, model=dropout)
    assert whole.device.type == "cuda"
    whole.run()
    made = trainer(tmp_path / "parts", config, model=dropout)
    made.run(lambda: made.progress.step >= 5)
    resumed = trainer(tmp_path / "parts", config, model=dropout)
    resumed.resume()
    resumed.run()
    for one, other in zip(whole.parameters, resumed.parameters, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0.0)


@on_a_gpu
def test_an_evaluation_is_the_same_on_a_gpu(model: LanguageModel) -> None:
    expected = evaluate(model, CODEC, VALIDATION).nats
    assert evaluate(model.to("cuda"), CODEC, VALIDATION).nats == pytest.approx(expected, rel=1e-4)
