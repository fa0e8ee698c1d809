"""How near a predicted expression comes to a played one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.judging.expression import (
    MEASURED,
    CellMeans,
    agreement,
    agreement_by_title,
    as_written,
    mean_agreement,
    rank_correlation,
)
from midirnn.scores import Expression
from midirnn.scores.pairs import Pair, make_pair
from tests.scores.examples import melody
from tests.scores.test_expression import some_expression


def pair(title: str = "melody", seed: int = 0) -> Pair:
    score = melody()
    return make_pair(score, some_expression(score, seed), f"{seed}.mid", title, "test")


@given(st.lists(st.integers(-5, 5), min_size=3, max_size=40), st.integers(0, 99))
def test_rank_correlation_is_spearmans(values: list[int], seed: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    a = np.array(values, float)
    b = a + np.random.default_rng(seed).integers(-3, 4, len(a))
    if len(set(a)) > 1 and len(set(b)) > 1:
        assert rank_correlation(a, b) == pytest.approx(stats.spearmanr(a, b)[0])


def test_a_constant_orders_nothing() -> None:
    assert rank_correlation(np.ones(5), np.arange(5.0)) == 0.0


def test_the_performance_itself_agrees_with_itself() -> None:
    one = pair()
    itself = {name: np.nan_to_num(one.column(name)) for name in MEASURED}
    for found in agreement(one, itself).values():
        assert found.correlation == pytest.approx(1.0)
        assert found.error == 0.0


def test_the_plain_score_orders_nothing() -> None:
    found = agreement(pair(), as_written(pair()))
    assert {one.correlation for one in found.values()} == {0.0}
    assert found["velocity"].error == pytest.approx(np.abs(pair().column("velocity")).mean())


def test_each_title_counts_once() -> None:
    pairs = [pair("a", 0), pair("a", 1), pair("b", 2)]
    by_title = agreement_by_title(pairs, as_written)
    assert list(by_title) == ["a", "b"]
    mean = mean_agreement(list(by_title.values()))
    errors = [np.abs(one.column("velocity")).mean() for one in pairs]
    assert mean["velocity"].error == pytest.approx((errors[0] / 2 + errors[1] / 2 + errors[2]) / 2)


def test_the_mean_of_a_cell_is_what_its_notes_had() -> None:
    score = melody()
    expression = Expression.plain(score)
    loud = Expression(
        expression.tempo,
        expression.pedal,
        expression.timing,
        np.where(score.pitch > 64, 20.0, -20.0),
        expression.articulation,
    )
    each = [make_pair(score, loud, str(i), "melody", "train") for i in range(200)]
    predicted = CellMeans(each)(each[0])["velocity"]
    assert np.abs(predicted - loud.velocity).max() < 3
