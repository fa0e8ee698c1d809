"""Sets of pieces are compared by the densities of the distances between them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from midirnn.arrays import Float64Array
from midirnn.errors import OptionError
from midirnn.judging import distances
from midirnn.judging.distances import (
    compare,
    inter_distances,
    intra_distances,
    kernel_width,
    log_density,
    overlap,
)

VALUES = arrays(np.float64, st.integers(2, 30), elements=st.floats(0, 1000, allow_subnormal=False))


def normal(count: int, seed: int = 0, mean: float = 0.0) -> Float64Array:
    return np.random.default_rng(seed).normal(mean, 1.0, count)


def test_distances_are_between_each_two() -> None:
    values = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    assert sorted(intra_distances(values)) == pytest.approx([1.0, np.sqrt(18), 5.0])
    assert inter_distances(values, values[:1]).tolist() == [0.0, 5.0, 1.0]


def test_a_density_is_a_mean_of_normal_densities() -> None:
    values, at = np.array([1.0, 2.0, 5.0]), np.array([0.0, 3.0])
    expected = [
        np.mean(np.exp(-0.5 * ((x - values) / 0.5) ** 2) / (0.5 * np.sqrt(2 * np.pi))) for x in at
    ]
    assert np.exp(log_density(values, 0.5, at)) == pytest.approx(expected)
    assert np.isfinite(log_density(values, 0.001, np.array([1e6]))).all()


def test_many_values_have_nearly_the_density_that_each_alone_adds_up_to() -> None:
    values, at = normal(5000), np.linspace(-4, 4, 50)
    width = kernel_width(values)
    parts = [np.exp(log_density(part, width, at)) for part in np.split(values, 5)]
    assert np.exp(log_density(values, width, at)) == pytest.approx(np.mean(parts, 0), abs=1e-4)


def test_kernels_are_as_wide_as_by_scotts_rule() -> None:
    values = normal(32, seed=3)
    assert kernel_width(values) == pytest.approx(np.std(values, ddof=1) / 2)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_of_normal_distributions_they_come_near_what_is_known(shift: float) -> None:
    area, divergence = overlap(normal(20_000, 1), normal(20_000, 2, shift))
    assert area == pytest.approx(_area_under_two_normals(shift), abs=0.03)
    assert divergence == pytest.approx(shift**2 / 2, rel=0.1, abs=0.01)


def _area_under_two_normals(shift: float) -> float:
    grid = np.linspace(-10, 10, 10_001)
    both = [np.exp(-0.5 * (grid - mean) ** 2) / np.sqrt(2 * np.pi) for mean in (0, shift)]
    return float(np.minimum(*both).sum() * (grid[1] - grid[0]))


@given(VALUES)
def test_what_is_compared_with_itself_overlaps_wholly(values: Float64Array) -> None:
    area, divergence = overlap(values, values)
    assert area == pytest.approx(1.0, abs=0.01)
    assert divergence == pytest.approx(0.0, abs=1e-9)


@given(VALUES, VALUES)
def test_overlap_is_a_share_the_same_from_both_sides(
    values: Float64Array, others: distances.FloatArray
) -> None:
    area, divergence = overlap(values, others)
    assert 0 <= area <= 1
    assert 0 <= divergence < np.inf
    assert overlap(others, values)[0] == pytest.approx(area, abs=1e-9)


def test_what_is_far_apart_does_not_overlap() -> None:
    area, divergence = overlap(normal(50), normal(50, mean=100.0))
    assert area < 1e-6
    assert divergence > 100


def test_values_that_are_all_the_same_are_compared_too() -> None:
    same = np.full((5, 1), 3.0)
    assert compare(same, same).overlapping_area == pytest.approx(1.0, abs=0.01)
    assert compare(same, same + 9.0).overlapping_area < 0.01


def test_a_set_like_the_reference_is_nearer_than_one_unlike_it() -> None:
    rng = np.random.default_rng(0)
    reference, like = rng.normal(10, 1, (100, 1)), rng.normal(10, 1, (100, 1))
    unlike = rng.normal(13, 0.2, (100, 1))
    near, far = compare(like, reference), compare(unlike, reference)
    assert near.overlapping_area > 0.9 > far.overlapping_area
    assert near.kl_divergence < 0.05 < far.kl_divergence
    assert near.own_overlapping_area > 0.9 > far.own_overlapping_area
    assert near.own_kl_divergence < 0.05 < far.own_kl_divergence
    assert far.intra_distance < near.intra_distance
    assert far.inter_distance > near.inter_distance
    assert far.reference_intra_distance == near.reference_intra_distance


def test_a_set_that_is_less_varied_is_known_by_its_own_distances() -> None:
    rng = np.random.default_rng(1)
    reference, alike = rng.normal(10, 1, (100, 1)), rng.normal(10, 0.05, (100, 1))
    found = compare(alike, reference)
    assert found.own_overlapping_area < 0.3 < found.overlapping_area


def test_a_set_of_one_cannot_be_compared() -> None:
    with pytest.raises(OptionError, match="sets of 1 and 5 pieces cannot be compared"):
        compare(np.zeros((1, 2)), np.zeros((5, 2)))
