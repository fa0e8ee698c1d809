"""Many pieces at once: what each lane computes is what an engine of its own does."""

from __future__ import annotations

import numpy as np
import pytest

from midirnn.engines.numpy_batch import BLOCK, NumpyBatch, _Columns
from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.models.config import ModelConfig
from tests.engines.stepping import CONFIGS
from tests.models.reference import random_weights

SILENCE = np.zeros(128, dtype=bool)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_lane_gives_the_logits_of_an_engine_of_its_own(config: ModelConfig) -> None:
    weights = random_weights(config, 0)
    batch = NumpyBatch(config, weights)
    engines = [NumpyEngine(config, weights) for _ in range(3)]
    lanes = [batch.open_lane() for _ in engines]
    rng = np.random.default_rng(0)
    for _ in range(5):
        for engine, lane in zip(engines, lanes, strict=True):
            token = int(rng.integers(config.vocab_size))
            engine.feed(token, SILENCE)
            lane.feed(token, SILENCE)
        for engine, lane in zip(engines, lanes, strict=True):
            np.testing.assert_allclose(lane.logits(), engine.logits(), atol=2e-5)


def test_what_a_lane_computes_is_the_same_to_the_last_bit_whatever_the_others_play() -> None:
    config = ModelConfig(388, embedding_size=32, hidden_size=48, num_layers=2)
    weights = random_weights(config, 0)
    found = []
    for before, after in ((0, 0), (3, 1), (BLOCK, 0), (5, 2 * BLOCK), (60, 70), (200, 56)):
        batch = NumpyBatch(config, weights)
        lanes = [batch.open_lane() for _ in range(before + 1 + after)]
        for step in range(4):
            for number, lane in enumerate(lanes):
                is_watched = number == before
                lane.feed(100 + step if is_watched else (7 * number + step) % 388, SILENCE)
        found.append(lanes[before].logits().tobytes())
    assert len(set(found)) == 1


def test_a_snapshot_goes_from_a_lane_to_another_and_to_an_engine() -> None:
    config = ModelConfig(388, embedding_size=8, hidden_size=8, num_layers=1)
    weights = random_weights(config, 0)
    batch = NumpyBatch(config, weights)
    first, second = batch.open_lane(), batch.open_lane()
    first.feed(60, SILENCE)
    second.restore(first.snapshot())
    np.testing.assert_array_equal(first.logits(), second.logits())
    engine = NumpyEngine(config, weights)
    engine.restore(first.snapshot())
    np.testing.assert_array_equal(engine.logits(), first.logits())


def test_products_are_no_wider_than_gives_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ModelConfig(388, embedding_size=8, hidden_size=8, num_layers=1)
    weights = random_weights(config, 0)
    found = []
    for widest in (BLOCK, 64):
        monkeypatch.setattr(_Columns, "is_exact", lambda self, width, most=widest: width <= most)
        batch = NumpyBatch(config, weights)
        lanes = [batch.open_lane() for _ in range(150)]
        for number, lane in enumerate(lanes):
            lane.feed(number, SILENCE)
        found.append(np.stack([lane.logits() for lane in lanes]))
    np.testing.assert_allclose(*found, atol=1e-6)
