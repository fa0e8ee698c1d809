"""A score, played."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn import OptionError, Performance, ScoreError, humanize, write_midi
from midirnn.composing.humanize import draw
from midirnn.scores import Score
from midirnn.scores.quantities import QUANTITIES
from tests.engines.test_humanizer_engine import engine_of
from tests.scores.examples import melody, scores

ENGINE = engine_of()


@given(scores(), st.integers(0, 9), st.floats(0, 1.5))
@settings(max_examples=30, deadline=None)
def test_no_note_is_lost_and_none_is_added(score: Score, seed: int, amount: float) -> None:
    played = humanize(score, seed=seed, amount=amount, model=ENGINE)
    assert Counter(played.pitch.tolist()) == Counter(score.written.pitch.tolist())


def test_the_same_seed_gives_the_same_performance() -> None:
    one, again, other = (humanize(melody(), seed=s, model=ENGINE) for s in (3, 3, 4))
    assert one == again
    assert one != other


def test_without_amount_the_score_is_played_as_written() -> None:
    score = melody()
    played = humanize(score, seed=1, amount=0, model=ENGINE)
    assert played.start == pytest.approx(score.written.start)
    assert set(played.velocity.tolist()) == {64}


def test_more_amount_is_more_expression() -> None:
    spread = [
        float(np.std(humanize(melody(), seed=5, amount=a, model=ENGINE).velocity.astype(float)))
        for a in (0.0, 0.5, 1.0, 1.5)
    ]
    assert spread == sorted(spread)


def test_an_accent_is_played_louder_by_its_factor_whatever_the_network_does() -> None:
    plain = melody()
    louder = np.where(np.arange(len(plain)) == 2, 1.5, 1.0)
    accented = plain.with_notation(plain.meters, louder)
    for amount in (0.0, 0.5, 1.0):
        one, other = (
            humanize(score, seed=5, amount=amount, model=ENGINE) for score in (plain, accented)
        )
        expected = one.velocity.astype(float)
        expected[2] *= 1.5**amount
        assert other.velocity.tolist() == pytest.approx(np.clip(expected, 1, 127), abs=1)
        assert other.start.tolist() == one.start.tolist()


def test_exactly_timed_notes_and_files_are_scores_too(tmp_path: Path) -> None:
    write_midi(melody().written, tmp_path / "melody.mid")
    one = humanize(tmp_path / "melody.mid", seed=1, model=ENGINE)
    assert one.start == pytest.approx(humanize(melody().written, seed=1, model=ENGINE).start)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"amount": 1.6}, "amount is 1.6; allowed are 0"),
        ({"amount": float("nan")}, "amount is nan"),
        ({"bpm": 0.0}, "tempo is 0; allowed are 5"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_a_value_that_is_not_allowed_is_named(options: dict[str, float], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        humanize(melody(), model=ENGINE, **options)  # type: ignore[arg-type]


def test_a_score_without_notes_is_refused() -> None:
    with pytest.raises(ScoreError, match="no notes"):
        humanize(Performance(), model=ENGINE)


@given(st.integers(0, 2**32 - 1), st.sampled_from(QUANTITIES))
def test_what_is_drawn_lies_in_a_class_that_is_likely(seed: int, quantity: object) -> None:
    random = np.random.default_rng(seed)
    probabilities = np.zeros(len(quantity.centres), np.float32)  # type: ignore[attr-defined]
    likely = int(random.integers(len(probabilities)))
    probabilities[likely] = 1.0
    value = draw(quantity, probabilities, random)  # type: ignore[arg-type]
    assert quantity.classes(np.array([value])).tolist() == [likely]  # type: ignore[attr-defined]
