"""Rests in what is sampled: they end, at low temperatures too."""

from __future__ import annotations

import numpy as np
import pytest

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.performance import TokenType
from midirnn.engines.load import load
from midirnn.judging.features import onset_gaps
from midirnn.performance import Performance
from midirnn.sampling import Sampler, SamplingConfig
from midirnn.sampling.rests import FIRST_NOTE_SECONDS, Rest, Rests
from tests.codecs.characters import CharacterCodec
from tests.sampling.continuing import continue_primer
from tests.sampling.mock_engine import MockEngine

CODEC = PerformanceCodec()
SHIFTS = CODEC.vocabulary.slice_of(TokenType.TIME_SHIFT)
FULL_SHIFT = SHIFTS.stop - 1


class Drowsy(MockEngine):
    """Likes the longest time shift best, as models do; anything else together is as likely."""

    def _set(self, token: int, held: np.ndarray, fed: int) -> None:
        super()._set(token, held, fed)
        logits = self._state.logits
        logits[FULL_SHIFT] = np.log(np.exp(np.delete(logits, FULL_SHIFT)).sum())


def music(temperature: float, seed: int = 0, **config: float) -> Performance:
    sampling = SamplingConfig(temperature=temperature, **config)
    sampler = Sampler(Drowsy(CODEC, scale=0.5), CODEC, sampling, seed=seed)
    return continue_primer(sampler, 30.0, None).performance


@pytest.mark.parametrize("temperature", [0.0, 0.2, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_music_begins_soon_and_no_rest_lasts_too_long(temperature: float, seed: int) -> None:
    made = music(temperature, seed, max_rest_seconds=4.0)
    assert made.start[0] <= FIRST_NOTE_SECONDS
    assert np.diff(made.start).max() <= 4.0 + 0.011


def test_a_low_temperature_does_not_make_rests_more_likely() -> None:
    def share(temperature: float) -> float:
        engine = Drowsy(CODEC, scale=0.5)
        sampler = Sampler(engine, CODEC, SamplingConfig(temperature=temperature, top_p=1.0))
        return float(sampler.distribution()[FULL_SHIFT])

    assert share(1.0) == pytest.approx(0.5, abs=0.2)
    for temperature in (0.2, 0.5, 0.9):
        assert share(temperature) <= share(1.0) + 1e-9
    assert share(0.0) in (0.0, 1.0)


def test_at_a_temperature_of_1_the_music_is_what_the_limit_alone_leaves() -> None:
    rarely = {"likes": {TokenType.TIME_SHIFT: -1.0}}
    for seed in range(3):
        pieces = []
        for longest in (6.0, 3600.0):
            sampling = SamplingConfig(max_rest_seconds=longest)
            sampler = Sampler(MockEngine(CODEC, **rarely), CODEC, sampling, seed=seed)
            pieces.append(continue_primer(sampler, 20.0, None).performance)
        assert onset_gaps(pieces[1], 20.0)[:-1].max() < FIRST_NOTE_SECONDS, "no rest to shorten"
        assert np.array_equal(pieces[0].start, pieces[1].start)
        assert np.array_equal(pieces[0].pitch, pieces[1].pitch)


def test_what_must_be_a_rest_stays_one() -> None:
    rests = Rests(CODEC, 6.0)
    only_shifts = np.zeros(CODEC.vocab_size, dtype=bool)
    only_shifts[SHIFTS] = True
    kept = rests.within(Rest(steps=600, is_opening=False), only_shifts)
    assert np.array_equal(kept, only_shifts)


def test_a_rest_is_part_of_the_state_of_a_sampler() -> None:
    sampler = Sampler(Drowsy(CODEC), CODEC, seed=1)
    sampler.hear([CODEC.vocabulary.slice_of(TokenType.NOTE_ON).start + 60, FULL_SHIFT])
    state = sampler.snapshot()
    ahead = [sampler.next() for _ in range(30)]
    sampler.restore(state)
    assert [sampler.next() for _ in range(30)] == ahead
    assert state.rest == Rest(100, False, True)


def test_a_codec_without_time_has_no_rests() -> None:
    codec = CharacterCodec()
    rests = Rests(codec, 6.0)
    mask = np.ones(codec.vocab_size, dtype=bool)
    assert rests.after(Rest(), 3) == Rest()
    assert rests.within(Rest(), mask) is mask


@pytest.mark.parametrize("temperature", [0.3, 0.5])
def test_piano_does_not_play_a_chord_and_a_rest_over_and_over(temperature: float) -> None:
    model = load("piano")
    engine = model.engine("numpy")
    for seed in range(4):
        sampler = Sampler(engine, model.codec, SamplingConfig(temperature=temperature), seed=seed)
        onsets = continue_primer(sampler, 30.0, None).performance.start
        gaps = np.diff(np.sort(onsets), prepend=0.0, append=30.0)
        assert gaps[gaps >= 2.0].sum() < 10.0
        assert len(onsets) / 30.0 > 3.0
