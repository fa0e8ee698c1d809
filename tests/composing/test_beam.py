"""Beam search: stochastic beams are a sample without replacement, plain ones collapse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.composing.beam import beam_search, with_noise
from midirnn.engines.load import load
from midirnn.errors import OptionError
from midirnn.performance import Performance
from midirnn.sampling.constraints import Constraints, parse_scale
from midirnn.sampling.filters import SamplingConfig
from midirnn.sampling.requests import Request
from tests.datasets.songs import song

MODEL = load("piano-small")
REQUEST = Request(seconds=3.0)


def notes(piece: Performance) -> list[tuple[float, int]]:
    return list(zip(piece.start.tolist(), piece.pitch.tolist(), strict=True))


@given(st.lists(st.floats(-30.0, 0.0), min_size=1, max_size=20), st.floats(-900.0, 5.0))
def test_the_greatest_noisy_log_probability_is_that_of_the_beam(
    values: list[float], greatest: float
) -> None:
    noisy = with_noise(np.array(values), greatest, np.random.default_rng(0))
    assert noisy.max() == greatest
    assert np.isfinite(noisy).all()


def test_the_greatest_is_drawn_as_often_as_it_is_probable() -> None:
    p, rng = np.array([0.6, 0.3, 0.1]), np.random.default_rng(0)
    first = [int(with_noise(np.log(p), 0.0, rng).argmax()) for _ in range(4000)]
    np.testing.assert_allclose(np.bincount(first) / 4000, p, atol=0.03)


def test_the_two_greatest_are_a_sample_without_replacement() -> None:
    p, rng = np.array([0.6, 0.3, 0.1]), np.random.default_rng(0)
    pairs = [tuple(np.argsort(-with_noise(np.log(p), 0.0, rng))[:2]) for _ in range(4000)]
    both = sum({0, 1} == set(pair) for pair in pairs) / 4000
    assert both == pytest.approx(0.6 * 0.3 / 0.4 + 0.3 * 0.6 / 0.7, abs=0.03)


def test_all_beams_differ_and_the_same_seed_gives_the_same_ones() -> None:
    found = beam_search(MODEL, 6, request=REQUEST, seed=3)
    again = beam_search(MODEL, 6, request=REQUEST, seed=3)
    pieces = [candidate.generated.performance for candidate in found]
    assert pieces == [candidate.generated.performance for candidate in again]
    assert len({tuple(notes(piece)) for piece in pieces}) == 6
    measures = [candidate.measure for candidate in found]
    assert measures == sorted(measures, reverse=True)


def test_stochastic_beams_are_different_even_where_one_continuation_is_nearly_certain() -> None:
    cold = Request(2.0, sampling=SamplingConfig(temperature=0.3, top_p=1.0))
    found = beam_search(MODEL, 4, request=cold, primer=song(0), seed=1)
    assert len({tuple(notes(c.generated.continuation)) for c in found}) == 4


def test_plain_beams_are_likelier_emptier_and_more_alike_than_stochastic_ones() -> None:
    request = Request(seconds=6.0)
    plain, stochastic = (
        beam_search(MODEL, 8, request=request, stochastic=kind, seed=1) for kind in (False, True)
    )
    best = [max(c.generated.log_likelihood for c in found) for found in (plain, stochastic)]
    assert best[0] > best[1]
    counts = [
        np.mean([len(c.generated.performance) for c in found]) for found in (plain, stochastic)
    ]
    assert counts[0] < counts[1] / 2
    assert len({c.generated.performance.pitch[:4].tobytes() for c in plain}) < 8
    assert len({c.generated.performance.pitch[:4].tobytes() for c in stochastic}) == 8


def test_beams_keep_constraints_come_to_an_end_and_follow_a_primer() -> None:
    rules = Constraints(key=parse_scale("C"), lowest=48, highest=84)
    request = Request(4.0, constraints=rules, end=True)
    primer = song(0)
    for candidate in beam_search(MODEL, 3, "continuity", request, primer, seed=2):
        made = candidate.generated
        new = made.continuation
        assert set(new.pitch.tolist()) <= {p for p in range(48, 85) if p % 12 in rules.key}  # type: ignore[operator]
        assert notes(made.performance)[: len(primer)] == notes(primer)
        assert made.performance.end.max() <= made.primer_seconds + 8.0


def test_a_beam_of_one_is_a_sample() -> None:
    (alone,) = beam_search(MODEL, 1, request=REQUEST, seed=5)
    assert len(alone.generated.performance) > 0


@pytest.mark.parametrize("width", [0, 257])
def test_beams_that_cannot_be_are_an_error_of_one_line(width: int, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=rf"beam is {width}; allowed are 1 to 256"):
        beam_search(MODEL, width)
