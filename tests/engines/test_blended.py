"""A tuned model blended with its base: exact at both ends, in between the mean of their logits."""

from __future__ import annotations

import pickle
from collections.abc import Iterable

import numpy as np
import pytest

from midirnn.codecs.held import no_notes
from midirnn.engines.blended import BlendedEngine
from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.engines.state import FloatVector
from midirnn.errors import OptionError
from midirnn.models.config import ModelConfig
from tests.engines.stepping import CONFIGS, trained_weights

TOKENS = [300, 60, 290, 188, 380, 64, 310, 192, 365, 67]


def engine_of(config: ModelConfig, seed: int) -> NumpyEngine:
    return NumpyEngine(config, trained_weights(config, seed))


def logits_after(engine: NumpyEngine | BlendedEngine, tokens: Iterable[int]) -> list[FloatVector]:
    found = []
    for token in tokens:
        engine.feed(token, no_notes())
        found.append(engine.logits().copy())
    return found


@pytest.mark.parametrize("config", [CONFIGS[1], CONFIGS[6], CONFIGS[11], CONFIGS[14]])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_at_either_end_it_is_that_model_alone(config: ModelConfig, share: float) -> None:
    blended = BlendedEngine(engine_of(config, 0), engine_of(config, 1), share)
    alone = engine_of(config, round(share))
    np.testing.assert_array_equal(logits_after(blended, TOKENS), logits_after(alone, TOKENS))


@pytest.mark.parametrize("config", [CONFIGS[1], CONFIGS[14]])
def test_in_between_it_has_the_mean_of_their_logits(config: ModelConfig) -> None:
    blended = BlendedEngine(engine_of(config, 0), engine_of(config, 1), 0.25)
    base, tuned = (logits_after(engine_of(config, seed), TOKENS) for seed in (0, 1))
    expected = 0.75 * np.array(base) + 0.25 * np.array(tuned)
    np.testing.assert_allclose(logits_after(blended, TOKENS), expected, atol=1e-4)


def test_a_share_that_is_turned_counts_from_the_next_token_on() -> None:
    blended = BlendedEngine(engine_of(CONFIGS[1], 0), engine_of(CONFIGS[1], 1), 1.0)
    tuned = engine_of(CONFIGS[1], 1)
    np.testing.assert_array_equal(logits_after(blended, TOKENS), logits_after(tuned, TOKENS))
    before = blended.snapshot()
    blended.set_share(0.5)
    np.testing.assert_array_equal(blended.logits(), tuned.logits())
    [mixed] = logits_after(blended, [62])
    assert not np.array_equal(mixed, logits_after(tuned, [62])[0])
    # Back at the old share, the same token gives what it gave: nothing stale is in the cache.
    blended.set_share(1.0)
    blended.restore(before)
    np.testing.assert_array_equal(logits_after(blended, [62])[0], tuned.logits())


def test_a_step_that_is_computed_late_has_the_share_at_which_it_was_fed() -> None:
    early, late = (BlendedEngine(engine_of(CONFIGS[1], 0), engine_of(CONFIGS[1], 1)) for _ in "ab")
    for engine in (early, late):
        engine.set_share(0.3)
        engine.feed(60, no_notes())
    expected = early.logits().copy()
    late.set_share(0.9)
    np.testing.assert_array_equal(late.logits(), expected)


def test_another_tuned_model_takes_over_where_the_music_is() -> None:
    blended = BlendedEngine(engine_of(CONFIGS[1], 0))
    base = engine_of(CONFIGS[1], 0)
    np.testing.assert_array_equal(logits_after(blended, TOKENS), logits_after(base, TOKENS))
    tuned = engine_of(CONFIGS[1], 1)
    blended.set_tuned(tuned)
    np.testing.assert_array_equal(blended.logits(), base.logits())
    tuned.restore(base.snapshot())
    np.testing.assert_array_equal(logits_after(blended, [62])[0], logits_after(tuned, [62])[0])
    blended.set_tuned(None)
    base.restore(tuned.snapshot())
    np.testing.assert_array_equal(logits_after(blended, [64])[0], logits_after(base, [64])[0])


def test_pieces_begin_in_the_initial_states_of_both() -> None:
    rng = np.random.default_rng(0)
    base, tuned = engine_of(CONFIGS[1], 0), engine_of(CONFIGS[1], 1)
    initial = tuple(rng.standard_normal(part.shape).astype(np.float32) for part in tuned.initial)
    zeros = logits_after(tuned, TOKENS)
    tuned.begin_from(initial)
    begun = logits_after(tuned, TOKENS)
    assert not np.array_equal(begun, zeros)
    blended = BlendedEngine(base, tuned, 1.0)
    np.testing.assert_array_equal(logits_after(blended, TOKENS), begun)
    blended.reset()
    np.testing.assert_array_equal(logits_after(blended, TOKENS), begun)


def test_twins_and_pickled_snapshots_go_on_alike() -> None:
    blended = BlendedEngine(engine_of(CONFIGS[6], 0), engine_of(CONFIGS[6], 1), 0.5)
    logits_after(blended, TOKENS)
    twin, state = blended.twin(), pickle.loads(pickle.dumps(blended.snapshot()))
    expected = logits_after(blended, TOKENS)
    np.testing.assert_array_equal(logits_after(twin, TOKENS), expected)
    twin.restore(state)
    np.testing.assert_array_equal(logits_after(twin, TOKENS), expected)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_shares_outside_of_0_to_1_are_refused(share: float) -> None:
    blended = BlendedEngine(engine_of(CONFIGS[0], 0))
    with pytest.raises(OptionError, match="allowed are 0 to 1"):
        blended.set_share(share)
