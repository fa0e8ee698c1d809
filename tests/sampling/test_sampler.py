"""The sampler: engine, grammar and random numbers move together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.held import held_rows, no_notes
from midirnn.codecs.performance import TokenType
from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.errors import OptionError
from midirnn.models.config import ModelConfig
from midirnn.sampling.filters import SamplingConfig
from midirnn.sampling.repetition import LONGEST_REPEAT_NOTES, LONGEST_TRILL_NOTES
from midirnn.sampling.sampler import Sampler
from tests.datasets.songs import song
from tests.models.reference import random_weights
from tests.sampling.mock_engine import MockEngine

CODEC = PerformanceCodec()
SONG = CODEC.encode(song(2, 30)).tolist()


def sampler(seed: int | None = 0, config: SamplingConfig | None = None, table: int = 0) -> Sampler:
    return Sampler(MockEngine(CODEC, table), CODEC, config, seed=seed)


def tokens(of: Sampler, count: int = 100) -> list[int]:
    return [of.next() for _ in range(count)]


def test_a_repetition_penalty_makes_the_last_pitches_less_likely() -> None:
    odds = []
    for penalty in (1.0, 4.0):
        config = SamplingConfig(top_p=1.0, repetition_penalty=penalty)
        sampler = Sampler(MockEngine(CODEC), CODEC, config, seed=3)
        while len(sampler.sounding) < 1:
            sampler.next()
        pitch = sampler.sounding[-1]
        allowed = np.zeros(CODEC.vocab_size, dtype=bool)
        allowed[[pitch, pitch + 1]] = True
        p = sampler.distribution(allowed)
        odds.append(p[pitch] / p[pitch + 1])
    assert odds[1] == pytest.approx(odds[0] / 4.0, rel=1e-5)


def test_the_same_seed_gives_the_same_tokens_and_another_gives_others() -> None:
    assert tokens(sampler(1)) == tokens(sampler(1))
    assert tokens(sampler(1)) != tokens(sampler(2))
    assert tokens(sampler(None)) != tokens(sampler(None))


def test_at_temperature_zero_the_seed_does_not_matter() -> None:
    config = SamplingConfig(temperature=0.0)
    assert tokens(sampler(1, config)) == tokens(sampler(2, config))


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.02, 0.3, 5.0]),
    st.sampled_from([0.0, 0.3, 1.0, 10.0]),
)
def test_every_stream_keeps_the_grammar_and_the_limit(
    seed: int, max_note_seconds: float, temperature: float
) -> None:
    config = SamplingConfig(temperature=temperature, max_note_seconds=max_note_seconds)
    drawn = np.array(tokens(sampler(seed, config), 80), np.uint16)
    CODEC.constraint().scan(CODEC.constraint().start(), drawn)
    played = CODEC.decode(drawn)
    assert (played.end - played.start <= max_note_seconds + 1e-9).all()


def test_the_engine_is_fed_every_token_with_what_sounds_after_it() -> None:
    made = sampler()
    made.hear(SONG[:20])
    drawn = tokens(made, 30)
    engine = made.engine
    assert isinstance(engine, MockEngine)
    assert engine.fed == SONG[:20] + drawn
    again = MockEngine(CODEC)
    held = held_rows(CODEC, no_notes(), np.array(engine.fed, np.uint16))
    for token, row in zip(engine.fed, held, strict=True):
        again.feed(token, row)
    assert np.array_equal(again.logits(), engine.logits())


def test_it_draws_what_its_distribution_says() -> None:
    made = sampler(config=SamplingConfig(top_k=5))
    made.hear(SONG[:30])
    state = made.snapshot()
    p = made.distribution()
    assert np.count_nonzero(p) == 5
    found = np.zeros(CODEC.vocab_size)
    for _ in range(2000):
        found[made.next()] += 1
        rng = made.rng.bit_generator.state
        made.restore(state)
        made.rng.bit_generator.state = rng  # go on with other random numbers
    assert abs(found / 2000 - p).max() < 0.05


def test_a_snapshot_brings_the_same_tokens_back() -> None:
    made = sampler(5)
    tokens(made, 40)
    state = made.snapshot()
    first = tokens(made, 60)
    for _ in range(2):
        made.restore(state)
        assert tokens(made, 60) == first


def test_a_snapshot_of_the_real_engine_brings_the_same_tokens_back() -> None:
    config = ModelConfig(embedding_size=8, hidden_size=16, num_layers=2)
    made = Sampler(NumpyEngine(config, random_weights(config)), CODEC, seed=1)
    tokens(made, 20)
    state = made.snapshot()
    first = tokens(made, 60)
    made.restore(state)
    assert tokens(made, 60) == first


def test_after_a_snapshot_another_way_can_be_taken() -> None:
    made = sampler(5)
    state = made.snapshot()
    drawn = tokens(made, 20)
    made.restore(state)
    made.hear([60])
    assert made.sounding == [60]
    made.restore(state)
    assert made.sounding == []
    assert tokens(made, 20) == drawn


def test_reset_goes_to_the_start_and_the_random_numbers_go_on() -> None:
    made = sampler(5)
    first = tokens(made, 30)
    made.reset()
    assert made.sounding == []
    assert made.grammar_state.step == 0
    assert tokens(made, 30) != first


def test_what_sounds_comes_in_the_order_in_which_it_was_struck() -> None:
    made = sampler()
    made.hear([64, 60, 67, 256, 128 + 60])
    assert made.sounding == [64, 67]


def test_knobs_can_be_turned_on_the_way() -> None:
    made = sampler(5)
    tokens(made, 10)
    made.configure(SamplingConfig(top_k=1))
    assert np.count_nonzero(made.distribution()) == 1
    made.configure(SamplingConfig())
    assert np.count_nonzero(made.distribution()) > 1


def test_only_what_is_allowed_is_drawn_where_that_is_said() -> None:
    made = sampler(5)
    shifts = CODEC.vocabulary.slice_of(TokenType.TIME_SHIFT)
    allowed = np.zeros(CODEC.vocab_size, dtype=bool)
    allowed[shifts.start + 49 : shifts.start + 60] = True
    for _ in range(20):
        made.reset()
        assert allowed[made.next(allowed & made.mask())]
    assert (made.distribution(allowed)[~allowed] == 0).all()


def test_a_model_and_a_codec_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(
        OptionError, match="the model has 388 tokens and the codec 'performance' has 356"
    ):
        Sampler(MockEngine(CODEC), PerformanceCodec(velocity_bins=0))


def test_a_seed_below_zero_is_refused() -> None:
    with pytest.raises(OptionError, match="seed is -1; it must be 0 or more"):
        sampler(-1)


def test_what_was_recalled_for_long_is_forgotten_for_a_while() -> None:
    config = ModelConfig(embedding_size=4, hidden_size=8, num_layers=1, recall_notes=100)
    weights = random_weights(config, seed=3)
    weights["trust.bias"][:] = 50.0  # plays whatever it recalls
    sampler = Sampler(NumpyEngine(config, weights), CODEC, seed=1)
    runs, repeated = [0], 0
    for _ in range(3000):
        pitch, length = sampler.engine.snapshot().memories["recall"].matches[0].tolist()
        token = sampler.next()
        if token < 128:
            repeated = repeated + 1 if length and token == pitch else 0
            runs.append(repeated)
            if repeated == LONGEST_REPEAT_NOTES:
                assert len(sampler.engine.snapshot().memories["recall"].history) <= 1
    assert max(runs) == LONGEST_REPEAT_NOTES


def trilling_sampler() -> Sampler:
    """A sampler of a model that plays on E and F as long as it may."""
    codec = PerformanceCodec(velocity_bins=0)
    config = ModelConfig(vocab_size=codec.vocab_size, embedding_size=4, hidden_size=8, num_layers=1)
    weights = random_weights(config, seed=3)
    weights["output.bias"][:128] = -50.0
    weights["output.bias"][[64, 65]] = 10.0
    return Sampler(NumpyEngine(config, weights), codec, seed=1)


def test_a_trill_ends_after_so_many_notes_and_may_begin_anew() -> None:
    pitches = [token for token in tokens(trilling_sampler(), 2000) if token < 128]
    others = [index for index, pitch in enumerate(pitches) if pitch not in (64, 65)]
    assert len(others) > 3
    assert set((np.diff([-1, *others]) - 1).tolist()) == {LONGEST_TRILL_NOTES}


def test_a_trill_goes_on_where_there_is_no_choice() -> None:
    made = trilling_sampler()
    on_two_pitches = np.ones(made.codec.vocab_size, dtype=bool)
    on_two_pitches[:128] = False
    on_two_pitches[[64, 65]] = True
    pitches = []
    for _ in range(500):
        allowed = made.mask() & on_two_pitches
        note_ons = allowed & (np.arange(len(allowed)) < 128)
        token = made.next(note_ons if note_ons.any() else allowed)
        pitches += [token] if token < 128 else []
    assert len(pitches) > 2 * LONGEST_TRILL_NOTES
    assert set(pitches) == {64, 65}
