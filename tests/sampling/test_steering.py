"""A model that can be steered goes where it is asked to: the weights that come with midirnn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from midirnn.codecs.controls import Controls, parse_pitch_classes
from midirnn.engines.load import Model, load
from midirnn.errors import OptionError
from midirnn.performance import Performance
from midirnn.sampling import Sampler, generate
from tests.sampling.mock_engine import MockEngine

DENSITIES = (2.0, 4.0, 6.0, 9.0, 13.0, 18.0)
SECONDS = 20.0
SEEDS = range(4)


@pytest.fixture(scope="module")
def piano() -> Model:
    return load("piano")


def rank_correlation(asked: npt.ArrayLike, found: npt.ArrayLike) -> float:
    """Spearman's: the correlation of the ranks; equal values share the mean of their ranks."""

    def ranks(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse], np.float64)

    return float(np.corrcoef(ranks(asked), ranks(found))[0, 1])


def played(piano: Model, controls: Controls, seed: int) -> Performance:
    return generate(piano, seconds=SECONDS, controls=controls, seed=seed)


def test_the_density_follows_what_is_asked_for(piano: Model) -> None:
    found = [
        [len(played(piano, Controls(notes_per_second=density), seed)) / SECONDS for seed in SEEDS]
        for density in DENSITIES
    ]
    assert rank_correlation(DENSITIES, np.mean(found, axis=1)) > 0.9
    assert rank_correlation(np.repeat(DENSITIES, len(SEEDS)), np.ravel(found)) > 0.85


def test_the_loudness_follows_what_is_asked_for(piano: Model) -> None:
    # What is asked for is what occurs: few seconds in the data are louder than 90 on average.
    asked = (30.0, 45.0, 60.0, 75.0, 90.0)
    found = [
        [played(piano, Controls(loudness=loudness), seed).velocity.mean() for seed in SEEDS]
        for loudness in asked
    ]
    assert rank_correlation(np.repeat(asked, len(SEEDS)), np.ravel(found)) > 0.9


@pytest.mark.parametrize("key", ["C major", "F# major", "Eb minor", "A minor"])
def test_pitches_are_those_of_the_key_asked_for(piano: Model, key: str) -> None:
    weights = np.array(parse_pitch_classes(key))
    asked, free = (
        np.concatenate([played(piano, controls, seed).pitch for seed in range(3)]) % 12
        for controls in (Controls(pitch_classes=weights.tolist()), Controls())
    )
    inside, by_itself = weights[asked].mean(), weights[free].mean()
    assert inside > 0.85
    assert inside > by_itself


def test_it_can_be_asked_for_something_else_while_it_plays(piano: Model) -> None:
    sampler = Sampler(piano.engine(), piano.codec, seed=0)
    shares = []
    for density in (3.0, 15.0, 3.0):
        sampler.steer(Controls(notes_per_second=density))
        for _ in range(300):  # the seconds in which what was asked before fades
            sampler.next()
        before = sampler.grammar_state.step, sampler.grammar_state.next_rank
        for _ in range(900):
            sampler.next()
        state = sampler.grammar_state
        shares.append((state.next_rank - before[1]) / (state.step - before[0]))
    assert shares[1] > 2 * shares[0]
    assert shares[1] > 2 * shares[2]


def test_a_model_that_was_not_trained_for_it_refuses(piano: Model) -> None:
    sampler = Sampler(MockEngine(piano.codec), piano.codec)
    with pytest.raises(OptionError, match="has no controls"):
        sampler.steer(Controls(loudness=60.0))
    sampler.steer(None)
