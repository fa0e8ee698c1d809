"""How likely engines find music, against what is written out token by token."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midirnn.codecs.performance import TokenType
from midirnn.engines.base import Advance
from midirnn.engines.load import Model
from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.errors import OptionError
from midirnn.models.config import ModelConfig
from midirnn.sampling.engine_comparison import compare_engines
from midirnn.sampling.filters import log_likelihood
from tests.datasets.songs import song
from tests.engines.stepping import CODEC, CONFIGS, trained_weights
from tests.models.reference import token_losses
from tests.sampling.mock_engine import MockEngine

PIECES = [CODEC.encode(song(seed, notes=20)) for seed in range(3)]


def test_a_token_is_as_likely_as_its_share_among_those_allowed() -> None:
    logits = np.log(np.array([1.0, 2.0, 3.0, 94.0])).astype(np.float32)
    mask = np.array([True, True, True, False])
    assert log_likelihood(logits, mask, 1) == pytest.approx(np.log(2 / 6), abs=1e-6)
    assert log_likelihood(1000 + logits, mask, 1) == pytest.approx(np.log(2 / 6), abs=1e-4)


def test_the_only_token_allowed_is_certain() -> None:
    assert log_likelihood(np.zeros(3, np.float32), np.array([False, True, False]), 1) == 0.0


@pytest.mark.parametrize("config", CONFIGS[:2])
def test_nats_are_those_written_out_token_by_token(config: ModelConfig) -> None:
    model = Model("random", Path(), config, CODEC, trained_weights(config), {})
    found = compare_engines({"numpy": model.engine("numpy")}, CODEC, PIECES)
    losses = [token_losses(model.config, model.weights, CODEC, piece) for piece in PIECES]
    assert found.tokens == sum(map(len, PIECES))
    assert found.nats_per_token["numpy"] == pytest.approx(np.mean(np.concatenate(losses)), abs=1e-5)


def test_engines_differ_from_the_first_by_what_their_logits_do() -> None:
    first, again = MockEngine(CODEC, 0), MockEngine(CODEC, 0)
    other = MockEngine(CODEC, 0, likes={TokenType.VELOCITY: 0.5})
    found = compare_engines({"a": first, "b": again, "c": other}, CODEC, PIECES)
    assert set(found.mean_difference) == set(found.max_difference) == {"b", "c"}
    assert found.max_difference["b"] == 0.0
    assert found.max_difference["c"] == pytest.approx(0.5, abs=1e-5)
    velocities = CODEC.vocabulary.slice_of(TokenType.VELOCITY)
    share = (velocities.stop - velocities.start) / CODEC.vocab_size
    assert found.mean_difference["c"] == pytest.approx(0.5 * share, abs=1e-5)
    assert found.nats_per_token["a"] == found.nats_per_token["b"] != found.nats_per_token["c"]


def test_times_are_those_of_the_clock() -> None:
    ticks = count()
    engines = {"a": MockEngine(CODEC), "b": MockEngine(CODEC)}
    found = compare_engines(engines, CODEC, PIECES[:1], clock=lambda: next(ticks) / 1000)
    assert found.step_ms == pytest.approx({"a": 1.0, "b": 1.0})


def test_times_are_those_of_whole_steps() -> None:
    seconds = 0.0

    class Engine(NumpyEngine):
        def _advance(self, *arguments: Any) -> Advance:
            nonlocal seconds
            seconds += 0.25
            return super()._advance(*arguments)

    engine = Engine(CONFIGS[0], trained_weights(CONFIGS[0]))
    found = compare_engines({"slow": engine}, CODEC, PIECES[:1], clock=lambda: seconds)
    assert found.step_ms == {"slow": 250.0}


def test_no_music_is_refused() -> None:
    with pytest.raises(OptionError, match="no tokens to compare engines by"):
        compare_engines({"a": MockEngine(CODEC)}, CODEC, [])
