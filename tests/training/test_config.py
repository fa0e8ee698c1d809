"""Recipes: what they refuse, how many steps they make, how the learning rate goes."""

from __future__ import annotations

from itertools import pairwise

import pytest

from midirnn.errors import OptionError
from midirnn.training.config import TrainingConfig

NAN = float("nan")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("tokens", 0, "tokens is 0; it must be at least 1"),
        ("batch_size", 0, "batch_size is 0; it must be at least 1"),
        ("window", -1, "window is -1; it must be at least 1"),
        ("segment", -1, "segment is -1; it must be at least 0"),
        ("threads", 0, "threads is 0; it must be at least 1"),
        ("validation_steps", 0, "validation_steps is 0; it must be at least 1"),
        ("validation_tokens", 0, "validation_tokens is 0; it must be at least 1"),
        ("warmup_steps", -1, "warmup_steps is -1; it must be at least 0"),
        ("patience", -1, "patience is -1; it must be at least 0"),
        ("seed", -1, "seed is -1; it must be at least 0"),
        ("learning_rate", -0.1, "learning_rate is -0.1; allowed are 0 to 10"),
        ("learning_rate", NAN, "learning_rate is nan; allowed are 0 to 10"),
        ("muon_learning_rate", 11.0, "muon_learning_rate is 11.0; allowed are 0 to 10"),
        ("weight_decay", -1.0, "weight_decay is -1.0; allowed are 0 to 10"),
        ("beta2", 1.0, "beta2 is 1.0; allowed are 0 to 0.999999"),
        ("decay_start", 1.1, "decay_start is 1.1; allowed are 0 to 1"),
        ("final_learning_rate_share", 2.0, "final_learning_rate_share is 2.0; allowed are 0 to 1"),
        ("checkpoint_minutes", -1.0, "checkpoint_minutes is -1.0; allowed are 0 to 1,000,000"),
        ("clip_norm", 0.0, "clip_norm is 0.0; it must be over 0"),
        ("clip_norm", NAN, "clip_norm is nan; it must be over 0"),
        ("optimizer", "sgd", "optimizer is 'sgd'; known are adamw, muon"),
    ],
)
def test_a_value_that_means_nothing_is_refused_in_one_line(
    field: str, value: object, message: str
) -> None:
    with pytest.raises(OptionError) as caught:
        TrainingConfig(**{field: value})  # type: ignore[arg-type]
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("tokens", "steps"), [(1, 1), (2047, 1), (2048, 1), (4095, 1), (4096, 2), (20_480, 10)]
)
def test_a_step_is_a_batch_of_windows_and_there_is_one_at_least(tokens: int, steps: int) -> None:
    assert TrainingConfig(tokens=tokens, batch_size=16, window=128).total_steps == steps


def test_the_learning_rate_rises_stays_and_falls() -> None:
    config = TrainingConfig(
        tokens=100, batch_size=1, window=1, warmup_steps=10, decay_start=0.5,
        final_learning_rate_share=0.1,
    )  # fmt: skip
    shares = [config.learning_rate_share(step) for step in range(101)]
    assert shares[:10] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert shares[10:51] == [1.0] * 41
    assert shares[75] == pytest.approx(0.55)
    assert shares[100] == pytest.approx(0.1)
    assert all(before > after for before, after in pairwise(shares[50:]))


def test_without_a_fall_the_learning_rate_stays() -> None:
    config = TrainingConfig(tokens=10, batch_size=1, window=1, warmup_steps=0, decay_start=1.0)
    assert {config.learning_rate_share(step) for step in range(11)} == {1.0}


def test_a_recipe_comes_back_from_its_dictionary() -> None:
    config = TrainingConfig(tokens=5, optimizer="muon", bf16=False)
    assert TrainingConfig(**config.to_dict()) == config
