"""From logits to probabilities: what each knob keeps, and how tokens are drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from midirnn.errors import OptionError
from midirnn.sampling.filters import (
    SamplingConfig,
    TypeFilter,
    draw,
    filter_types,
    keep_top_k,
    keep_top_p,
    keep_typical,
    probabilities,
)

Logits = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Case = tuple[Logits, Mask]
NEUTRAL = SamplingConfig(top_p=1.0)


@st.composite
def cases(draw: st.DrawFn, *, ties: bool = True, wild: bool = False) -> Case:
    """Logits of a small vocabulary, some equal, and a mask that allows at least one token.

    Unless they are ``wild``, those that differ are unlike enough to differ in probability.
    """
    size = draw(st.integers(1, 24))
    anything = st.integers(-1920, 1920).map(lambda n: n / 64)
    if wild:
        anything = st.floats(-1000, 1000, width=32)
    value = st.one_of(st.sampled_from([0.0, 1.0, -5.0]), anything) if ties else anything
    logits = draw(st.lists(value, min_size=size, max_size=size, unique=not ties))
    mask = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    mask[draw(st.integers(0, size - 1))] = True
    return np.array(logits, np.float32), np.array(mask)


CONFIGS = st.builds(
    SamplingConfig,
    temperature=st.one_of(st.just(0.0), st.floats(0.0, 10.0)),
    top_k=st.integers(0, 30),
    top_p=st.one_of(st.just(1.0), st.floats(0.0, 1.0)),
    min_p=st.one_of(st.just(0.0), st.floats(0.0, 1.0)),
    typical_p=st.one_of(st.just(1.0), st.floats(0.0, 1.0)),
)


def softmax(logits: Logits, mask: Mask, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """The plain distribution over what the mask allows."""
    values = logits.astype(np.float64) / temperature
    p = np.where(mask, np.exp(values - values[mask].max()), 0.0)
    return p / p.sum()


def kept(case: Case, **knobs: float) -> set[int]:
    config = SamplingConfig(**{"top_p": 1.0, **knobs})  # type: ignore[arg-type]
    return set(np.flatnonzero(probabilities(*case, config)).tolist())


class TestProbabilities:
    @given(cases(wild=True), CONFIGS)
    def test_they_sum_to_one_and_are_never_outside_the_mask(
        self, case: Case, config: SamplingConfig
    ) -> None:
        p = probabilities(*case, config)
        assert p.sum() == pytest.approx(1.0)
        assert (p >= 0).all()
        assert (p[~case[1]] == 0).all()

    @given(cases(wild=True), CONFIGS)
    def test_the_likeliest_token_stays_and_stays_the_likeliest(
        self, case: Case, config: SamplingConfig
    ) -> None:
        logits, mask = case
        p = probabilities(logits, mask, config)
        most = logits[mask].max()
        as_likely = mask & (logits >= most - 1e-12 * max(abs(most), 1.0))  # once rounded
        assert p[as_likely].max() == p.max()

    @given(cases(), CONFIGS)
    def test_what_is_kept_keeps_its_proportions(self, case: Case, config: SamplingConfig) -> None:
        assume(config.temperature > 0.1)
        p = probabilities(*case, config)
        plain = softmax(*case, config.temperature)
        assert np.allclose(p, np.where(p > 0, plain, 0) / plain[p > 0].sum(), atol=1e-12)

    @given(cases())
    def test_without_knobs_they_are_the_softmax(self, case: Case) -> None:
        assert np.allclose(probabilities(*case, NEUTRAL), softmax(*case), atol=1e-12)

    @given(cases())
    def test_logits_and_mask_are_left_as_they_were(self, case: Case) -> None:
        logits, mask = case[0].copy(), case[1].copy()
        probabilities(*case, SamplingConfig(0.5, 3, 0.9, 0.1))
        assert np.array_equal(case[0], logits)
        assert np.array_equal(case[1], mask)

    @given(cases(), st.floats(-50, 50))
    def test_a_constant_added_to_all_logits_changes_nothing(self, case: Case, more: float) -> None:
        moved = (case[0] + np.float32(more)).astype(np.float32)
        a, b = (probabilities(logits, case[1], NEUTRAL) for logits in (case[0], moved))
        assert np.allclose(a, b, atol=1e-3)


class TestTemperature:
    @given(cases())
    def test_zero_takes_the_likeliest_the_first_of_equals(self, case: Case) -> None:
        logits, mask = case
        p = probabilities(logits, mask, SamplingConfig(temperature=0.0))
        expected = int(np.where(mask, logits, -np.inf).argmax())
        assert p[expected] == 1.0
        assert np.count_nonzero(p) == 1

    @given(cases(ties=False), st.floats(0.05, 10.0), st.floats(0.05, 10.0))
    def test_the_lower_the_likelier_is_the_likeliest(
        self, case: Case, one: float, other: float
    ) -> None:
        low, high = sorted((one, other))
        cold, warm = (probabilities(*case, SamplingConfig(t, top_p=1.0)) for t in (low, high))
        assert cold.max() >= warm.max() - 1e-12

    def test_next_to_zero_is_zero(self) -> None:
        logits, mask = np.array([1.0, 3.0, 2.0], np.float32), np.ones(3, dtype=bool)
        assert probabilities(logits, mask, SamplingConfig(5e-324)).tolist() == [0, 1, 0]

    @pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
    def test_it_divides_the_logits(self, temperature: float) -> None:
        logits, mask = np.array([0.0, 1.0, -2.0], np.float32), np.ones(3, dtype=bool)
        p = probabilities(logits, mask, SamplingConfig(temperature, top_p=1.0))
        assert np.log(p[1] / p[2]) == pytest.approx(3 / temperature)


class TestTopK:
    @given(cases(), st.integers(1, 30))
    def test_it_keeps_the_k_likeliest_of_equals_the_first(self, case: Case, k: int) -> None:
        logits, mask = case
        allowed = np.flatnonzero(mask)
        likeliest = sorted(allowed, key=lambda i: (-logits[i], i))[:k]
        found = kept(case, top_k=k)
        # What is too unlikely for a number is nothing either way.
        assert found == {int(i) for i in likeliest if softmax(*case)[i] > 0}

    @given(cases(), st.integers(1, 30), st.integers(1, 30))
    def test_a_smaller_k_keeps_a_part(self, case: Case, one: int, other: int) -> None:
        assert kept(case, top_k=min(one, other)) <= kept(case, top_k=max(one, other))

    @given(cases())
    def test_zero_or_as_many_as_there_are_keeps_all(self, case: Case) -> None:
        assert kept(case, top_k=0) == kept(case, top_k=len(case[0])) == kept(case)

    def test_of_equals_the_lower_id_stays(self) -> None:
        p = np.array([0.2, 0.3, 0.3, 0.2])
        assert keep_top_k(p, 1).tolist() == [0, 0.3, 0, 0]
        assert keep_top_k(p, 3).tolist() == [0.2, 0.3, 0.3, 0]


class TestTopP:
    @given(cases(), st.floats(0.0, 0.999))
    def test_it_keeps_the_fewest_of_the_likeliest_that_reach_it(
        self, case: Case, top_p: float
    ) -> None:
        p = softmax(*case)
        found = kept(case, top_p=top_p)
        chosen = sorted(found, key=lambda i: -p[i])
        assert p[chosen].sum() >= top_p - 1e-9
        assert len(chosen) == 1 or p[chosen[:-1]].sum() < top_p + 1e-9
        assert min(p[chosen]) >= max((p[i] for i in range(len(p)) if i not in found), default=0)

    @given(cases(), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
    def test_a_smaller_p_keeps_a_part(self, case: Case, one: float, other: float) -> None:
        assert kept(case, top_p=min(one, other)) <= kept(case, top_p=max(one, other))

    @given(cases())
    def test_zero_keeps_one_and_one_keeps_all(self, case: Case) -> None:
        assert len(kept(case, top_p=0.0)) == 1
        assert kept(case, top_p=1.0) == kept(case)

    def test_what_is_reached_exactly_is_enough(self) -> None:
        p = np.array([0.25, 0.5, 0.25])
        assert keep_top_p(p, 0.5).tolist() == [0, 0.5, 0]
        assert keep_top_p(p, 0.75).tolist() == [0.25, 0.5, 0]
        assert keep_top_p(p, 0.76).tolist() == [0.25, 0.5, 0.25]


class TestMinP:
    @given(cases(), st.floats(0.001, 1.0))
    def test_it_keeps_what_is_at_least_this_share_as_likely_as_the_likeliest(
        self, case: Case, min_p: float
    ) -> None:
        p = softmax(*case)
        found = kept(case, min_p=min_p)
        assert {i for i in range(len(p)) if p[i] > p.max() * min_p * (1 + 1e-9)} <= found
        assert all(p[i] >= p.max() * min_p * (1 - 1e-9) for i in found)

    @given(cases(), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
    def test_a_greater_share_keeps_a_part(self, case: Case, one: float, other: float) -> None:
        assert kept(case, min_p=max(one, other)) <= kept(case, min_p=min(one, other))

    @given(cases(ties=False))
    def test_one_keeps_the_likeliest(self, case: Case) -> None:
        assert len(kept(case, min_p=1.0)) == 1


class TestDraw:
    def test_tokens_come_as_often_as_they_are_likely(self) -> None:
        p = np.array([0.0, 0.5, 0.0, 0.3, 0.15, 0.05, 0.0])
        rng, count = np.random.default_rng(1), 8000
        found = np.bincount([draw(p, rng) for _ in range(count)], minlength=7)
        assert found[p == 0].sum() == 0
        expected = count * p[p > 0]
        chi_square = ((found[p > 0] - expected) ** 2 / expected).sum()
        assert chi_square < 16.3  # 3 degrees of freedom: one in a thousand is above

    def test_the_same_generator_draws_the_same(self) -> None:
        p = np.full(50, 0.02)
        one, other = np.random.default_rng(3), np.random.default_rng(3)
        assert [draw(p, one) for _ in range(50)] == [draw(p, other) for _ in range(50)]

    @given(cases(), CONFIGS, st.integers(0, 2**32 - 1))
    def test_what_has_no_probability_is_never_drawn(
        self, case: Case, config: SamplingConfig, seed: int
    ) -> None:
        p = probabilities(*case, config)
        rng = np.random.default_rng(seed)
        assert all(p[draw(p, rng)] > 0 for _ in range(5))

    @pytest.mark.parametrize("uniform", [0.0, 0.25, 1 - 2**-53])
    def test_nor_at_the_ends_of_what_a_generator_gives(self, uniform: float) -> None:
        class Fixed:
            random: Callable[[Fixed], float] = staticmethod(lambda: uniform)  # type: ignore[assignment]

        p = np.array([0.0, 0.1, 0.0, 0.2, 0.7 - 1e-16, 0.0])
        assert p[draw(p, Fixed())] > 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("knob", "value", "message"),
    [
        ("temperature", -0.1, "temperature is -0.1; allowed are 0 to 10"),
        ("temperature", float("nan"), "temperature is nan; allowed are 0 to 10"),
        ("temperature", "hot", "temperature is 'hot'; it must be a number"),
        ("temperature", float("inf"), "temperature is inf; allowed are 0 to 10"),
        ("top_k", -1, "top_k is -1; allowed are 0 to 1,000,000"),
        ("top_k", 2.5, "top_k is 2.5; it must be a whole number"),
        ("top_p", 1.1, "top_p is 1.1; allowed are 0 to 1"),
        ("min_p", -0.5, "min_p is -0.5; allowed are 0 to 1"),
        ("max_note_seconds", 0.0, "max_note_seconds is 0.0; allowed are 0.01 to 3,600"),
    ],
)
def test_a_knob_out_of_range_is_refused_in_one_line(knob: str, value: object, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        SamplingConfig(**{knob: value})  # type: ignore[arg-type]
    assert str(caught.value) == message


class TestTypicalSampling:
    def test_what_is_more_likely_than_was_to_be_expected_comes_later(self) -> None:
        p = np.array([0.5, 0.26, 0.1, 0.08, 0.06])  # entropy 1.31 nats: the second has 1.35
        assert keep_typical(p, 0.2).nonzero()[0].tolist() == [0, 1]
        assert keep_typical(p, 1.0).nonzero()[0].tolist() == [0, 1, 2, 3, 4]

    @given(cases(ties=False), st.floats(0.0, 1.0))
    def test_what_is_kept_reaches_the_share(self, case: Case, share: float) -> None:
        p = softmax(*case)
        assert keep_typical(p, share).sum() >= share - 1e-9


class TestFiltersOfTypes:
    GROUPS = {"note_on": slice(0, 3), "time_shift": slice(3, 6)}  # noqa: RUF012

    @pytest.mark.parametrize("temperature", [0.1, 0.7, 3.0])
    def test_only_what_is_within_the_type_changes(self, temperature: float) -> None:
        logits = np.array([1.0, 2.0, 0.5, 3.0, 1.5, 0.0], np.float32)
        mask = np.array([True, True, False, True, True, True])
        config = SamplingConfig(top_p=1.0, pitch_temperature=temperature)
        changed = filter_types(logits, mask, self.GROUPS, config.types)
        before, after = softmax(logits, mask), softmax(changed, mask)
        assert after[:3].sum() == pytest.approx(before[:3].sum(), abs=1e-6)
        np.testing.assert_allclose(after[3:], before[3:], atol=1e-6)
        within = softmax(logits[:3], mask[:3], temperature)
        np.testing.assert_allclose(after[:3] / after[:3].sum(), within, atol=1e-6)

    def test_settings_that_change_nothing_are_left_out(self) -> None:
        assert SamplingConfig().types == {}
        assert SamplingConfig(pitch_top_k=3).types == {"note_on": TypeFilter(top_k=3)}
        assert SamplingConfig(rhythm_top_p=0.5).types == {"time_shift": TypeFilter(top_p=0.5)}
        assert SamplingConfig(velocity_top_k=1).types == {"velocity": TypeFilter(top_k=1)}

    @given(
        st.lists(st.floats(-20.0, 20.0, width=32), min_size=6, max_size=6),
        st.lists(st.booleans(), min_size=6, max_size=6),
        st.floats(0.01, 10.0),
        st.integers(0, 4),
        st.floats(0.0, 1.0),
    )
    def test_each_type_stays_as_likely_and_keeps_what_its_own_filters_keep(
        self,
        values: list[float],
        allowed: list[bool],
        temperature: float,
        top_k: int,
        top_p: float,
    ) -> None:
        logits, mask = np.array(values, np.float32), np.array(allowed)
        assume(mask[:3].any())
        own = TypeFilter(temperature, top_k, top_p)
        changed = filter_types(logits, mask, self.GROUPS, {"note_on": own})
        before, after = softmax(logits, mask), softmax(changed, mask)
        np.testing.assert_allclose(after[:3].sum(), before[:3].sum(), atol=1e-5)
        np.testing.assert_allclose(after[3:], before[3:], atol=1e-5)
        alone = SamplingConfig(temperature=temperature, top_k=top_k, top_p=top_p)
        expected = probabilities(logits[:3], mask[:3], alone)
        share = max(after[:3].sum(), 1e-30)
        if share > 1e-6 and np.ptp(logits[:3]) > 0.1:  # float32 tells smaller ones no longer apart
            np.testing.assert_allclose(after[:3] / share, expected, atol=1e-3)

    def test_the_most_likely_of_each_type_is_left_at_least(self) -> None:
        logits, mask = np.arange(6, dtype=np.float32), np.ones(6, dtype=bool)
        config = SamplingConfig(rhythm_top_k=1, pitch_top_p=0.0)
        changed = filter_types(logits, mask, self.GROUPS, config.types)
        assert np.isfinite(changed).nonzero()[0].tolist() == [2, 5]
