"""The moving average of the weights: what is validated and kept as the best."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from midirnn.errors import OptionError
from midirnn.models.checkpoint import read_checkpoint
from midirnn.training.evaluate import evaluate
from midirnn.training.run import BEST, LAST
from tests.training.tiny import CODEC, VALIDATION, metrics, recipe, trainer


def test_it_is_the_mean_that_the_decay_defines(tmp_path: Path) -> None:
    made = trainer(tmp_path / "run", recipe(20, ema_decay=0.5, validation_steps=1000))
    history: list[list[torch.Tensor]] = []

    def note() -> bool:
        history.append([p.detach().clone() for p in made.parameters])
        return False

    begun = [p.detach().clone() for p in made.parameters]
    made.run(note)
    expected = begun
    for step, weights in enumerate(history, 1):
        decay = min(0.5, (1 + step) / (10 + step))
        expected = [decay * e + (1 - decay) * w for e, w in zip(expected, weights, strict=True)]
    for average, mean in zip(made.average.weights, expected, strict=True):
        torch.testing.assert_close(average, mean)


def test_it_is_validated_and_kept_as_the_best_while_the_weights_go_on(tmp_path: Path) -> None:
    config = recipe(20, ema_decay=0.9, validation_steps=20)
    made = trainer(tmp_path / "run", config)
    made.run()
    last, best = (read_checkpoint(tmp_path / "run" / name).weights for name in (LAST, BEST))
    averages = dict(zip(dict(made.model.named_parameters()), made.average.weights, strict=True))
    for name, parameter in made.model.named_parameters():
        assert np.array_equal(last[name], parameter.detach().numpy())
        assert np.array_equal(best[name], averages[name].numpy())
        assert not np.array_equal(best[name], last[name])
    (told,) = [line for line in metrics(tmp_path / "run") if "validation_nats_per_token" in line]
    made.model.load_state_dict({name: torch.from_numpy(array) for name, array in best.items()})
    nats = evaluate(made.model, CODEC, VALIDATION).nats_per_token
    assert nats == pytest.approx(told["validation_nats_per_token"])


def test_it_does_not_change_what_is_learnt(tmp_path: Path) -> None:
    trainer(tmp_path / "with", recipe(20, ema_decay=0.9)).run()
    trainer(tmp_path / "without", recipe(20)).run()
    one, other = (read_checkpoint(tmp_path / n / LAST).weights for n in ("with", "without"))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_run_with_it_resumes_exactly(tmp_path: Path) -> None:
    config = recipe(20, ema_decay=0.95)
    whole = trainer(tmp_path / "whole", config)
    whole.run()
    made = trainer(tmp_path / "parts", config)
    made.run(lambda: made.progress.step >= 9)
    resumed = trainer(tmp_path / "parts", config)
    resumed.resume()
    resumed.run()
    assert all(map(torch.equal, whole.average.weights, resumed.average.weights))
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "parts")


def test_it_begins_with_the_weights_that_a_run_is_started_from(tmp_path: Path) -> None:
    trainer(tmp_path / "first", recipe(5)).run()
    checkpoint = read_checkpoint(tmp_path / "first" / LAST)
    made = trainer(tmp_path / "second", recipe(20, learning_rate=0.0, ema_decay=0.9))
    made.start_from("first", checkpoint)
    made.run(lambda: True)
    names = dict(made.model.named_parameters())
    for name, average in zip(names, made.average.weights, strict=True):
        np.testing.assert_allclose(average.numpy(), checkpoint.weights[name], rtol=1e-6)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_that_means_nothing_is_refused(decay: float) -> None:
    with pytest.raises(OptionError, match="ema_decay is"):
        recipe(ema_decay=decay)
