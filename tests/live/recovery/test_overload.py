"""A model that is slower than its music is asked for less, and for more once it can again."""

from __future__ import annotations

import pytest

from midirnn.live.improviser.choice import MOST_THINNING
from midirnn.live.recovery.overload import MOST_TOKENS, Overload


def work(overload: Overload, seconds_per_token: float, music_per_token: float = 0.025) -> None:
    """It draws 100 tokens, as many at a time as it is asked for."""
    for _ in range(100):
        overload.note(1, seconds_per_token, music_per_token)


def test_a_fast_model_is_asked_for_all_and_for_many_tokens_at_a_time() -> None:
    overload = Overload()
    assert overload.tokens == 1
    work(overload, 0.0002)
    assert (overload.thinning, overload.tokens) == (0, MOST_TOKENS)


@pytest.mark.parametrize("seconds_per_token", [0.02, 0.06, 0.5])
def test_a_slow_model_is_asked_for_thinner_and_thinner_music(seconds_per_token: float) -> None:
    overload = Overload()
    degrees = []
    for _ in range(10):
        work(overload, seconds_per_token)
        degrees.append(overload.thinning)
    assert degrees == sorted(degrees)
    assert degrees[-1] == MOST_THINNING
    assert overload.tokens == 1


def test_one_hiccup_changes_nothing() -> None:
    overload = Overload()
    work(overload, 0.0002)
    overload.note(1, 0.8, 0.025)
    work(overload, 0.0002)
    assert overload.thinning == 0


def test_a_model_that_is_fast_again_plays_in_full_again() -> None:
    overload = Overload()
    for _ in range(10):
        work(overload, 0.06)
    for _ in range(10):
        work(overload, 0.0002)
    assert overload.thinning == 0
