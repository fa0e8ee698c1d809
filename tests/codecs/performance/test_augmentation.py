"""Other keys and tempos of the same piece."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.codecs import Augmentation, PerformanceCodec
from midirnn.errors import OptionError
from midirnn.performance import Performance
from tests.datasets.songs import song
from tests.strategies import performance_codecs, performances

CODEC = PerformanceCodec()
SONG = CODEC.encode(song(1, 40))
SEEDS = st.integers(0, 2**32 - 1)
AUGMENTATIONS = st.builds(Augmentation, st.integers(0, 24), st.floats(0.0, 0.99))


@given(performances(max_notes=20), performance_codecs(), AUGMENTATIONS, SEEDS)
def test_what_is_augmented_keeps_the_grammar(
    performance: Performance, codec: PerformanceCodec, augmentation: Augmentation, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    augmented = codec.augment(codec.encode(performance), augmentation, rng)
    assert augmented.dtype == np.uint16
    codec.constraint().scan(codec.constraint().start(), augmented)


@given(performances(max_notes=10, pitches=st.integers(21, 108)), st.integers(0, 24), SEEDS)
def test_a_piece_for_the_piano_stays_on_its_keys_and_keeps_its_intervals(
    performance: Performance, transpose: int, seed: int
) -> None:
    tokens = CODEC.encode(performance)
    rng = np.random.default_rng(seed)
    before = CODEC.decode(tokens)
    after = CODEC.decode(CODEC.augment(tokens, Augmentation(transpose), rng))
    moved = after.pitch.astype(int) - before.pitch
    assert len(set(moved.tolist())) <= 1
    assert (abs(moved) <= transpose).all()
    assert ((after.pitch >= 21) & (after.pitch <= 108)).all()
    assert np.array_equal(after.start, before.start)
    assert np.array_equal(after.velocity, before.velocity)


@given(performances(max_notes=10), st.integers(0, 24), SEEDS)
def test_what_is_not_on_the_piano_loses_no_note_and_never_moves_further_away(
    performance: Performance, transpose: int, seed: int
) -> None:
    tokens = CODEC.encode(performance)
    rng = np.random.default_rng(seed)
    before = CODEC.decode(tokens)
    after = CODEC.decode(CODEC.augment(tokens, Augmentation(transpose), rng))
    assert len(after) == len(before)
    assert after.pitch.min(initial=21) >= min(21, before.pitch.min(initial=21))
    assert after.pitch.max(initial=108) <= max(108, before.pitch.max(initial=108))


@given(st.floats(0.0, 0.5), SEEDS)
def test_a_stretched_piece_lasts_longer_or_shorter_by_no_more_than_the_share(
    stretch: float, seed: int
) -> None:
    tokens = CODEC.augment(SONG, Augmentation(stretch=stretch), np.random.default_rng(seed))
    factor = CODEC.decode(tokens).duration / CODEC.decode(SONG).duration
    assert 1 - stretch - 0.01 <= factor <= 1 + stretch + 0.01


def test_key_and_tempo_are_drawn_afresh_each_time() -> None:
    rng = np.random.default_rng(0)
    augmentation = Augmentation(transpose=6, stretch=0.05)
    drawn = [CODEC.decode(CODEC.augment(SONG, augmentation, rng)) for _ in range(60)]
    assert len({int(performance.pitch[0]) for performance in drawn}) == 13
    assert len({performance.duration for performance in drawn}) > 20


def test_the_same_seed_draws_the_same() -> None:
    augmentation = Augmentation(transpose=6, stretch=0.05)
    one, other = (CODEC.augment(SONG, augmentation, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, other)


def test_without_transposition_and_stretch_nothing_happens_and_nothing_is_drawn() -> None:
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert not Augmentation()
    assert CODEC.augment(SONG, Augmentation(), rng) is SONG
    assert rng.bit_generator.state == before


def test_a_piece_without_notes_stays_as_it_is() -> None:
    tokens = np.array([300], np.uint16)
    augmented = CODEC.augment(tokens, Augmentation(3, 0.05), np.random.default_rng(0))
    assert augmented.tolist() == [300]


@pytest.mark.parametrize(
    ("transpose", "stretch", "message"),
    [
        (-1, 0.0, "transpose is -1; allowed are 0 to 24 semitones"),
        (25, 0.0, "transpose is 25"),
        (0, -0.1, "stretch is -0.1; allowed are values from 0 to below 1"),
        (0, 1.0, "stretch is 1.0"),
        (0, float("nan"), "stretch is nan"),
    ],
)
def test_values_out_of_range_are_refused(transpose: int, stretch: float, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Augmentation(transpose, stretch)
