"""The filters of a token in C++: the same probabilities as in numpy, and so the same music."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from midirnn import native
from midirnn.engines.load import load
from midirnn.sampling import filters, native_draw
from midirnn.sampling.filters import SamplingConfig, numpy_probabilities
from midirnn.sampling.native_draw import native_probabilities
from midirnn.sampling.sampler import Sampler
from tests.sampling.test_filters import CONFIGS, Case, Logits, Mask, cases

pytestmark = pytest.mark.skipif(not native.has_compiler(), reason="needs a C++ compiler")


@pytest.fixture(autouse=True)
def cpp() -> Iterator[None]:
    native_draw.compile_now()
    assert native_draw.LIBRARY.get() is not None
    yield
    native_draw.LIBRARY.get.cache_clear()


def in_cpp(logits: Logits, mask: Mask, config: SamplingConfig) -> npt.NDArray[np.float64]:
    assert config.knobs is not None
    p = native_probabilities(logits, mask, config.knobs)
    assert p is not None
    return p


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cases(wild=True), CONFIGS)
def test_probabilities_are_those_of_numpy(case: Case, config: SamplingConfig) -> None:
    config = replace(config, typical_p=1.0)
    before_top_p = np.sort(numpy_probabilities(*case, replace(config, top_p=1.0)))[::-1]
    assume(np.abs(before_top_p.cumsum() - config.top_p).min() > 1e-12)  # else rounding decides
    expected = numpy_probabilities(*case, config)
    found = in_cpp(*case, config)
    np.testing.assert_array_equal(found > 0.0, expected > 0.0)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cases(wild=True), CONFIGS, st.integers(0, 2**32))
def test_a_token_is_drawn_as_in_numpy(case: Case, config: SamplingConfig, seed: int) -> None:
    p = filters.probabilities(*case, config)
    random = np.random.default_rng(seed).random()
    assume(np.abs(p.cumsum() - random).min() > 1e-12)  # else rounding decides
    drawn = filters.draw_among(*case, config, np.random.default_rng(seed))
    assert drawn == filters.draw(p, np.random.default_rng(seed))


@pytest.mark.parametrize("top_p", [0.0, 0.25, 0.5, 0.75])
def test_of_equally_likely_tokens_the_first_are_kept(top_p: float) -> None:
    logits, mask = np.zeros(8, np.float32), np.ones(8, dtype=bool)
    config = SamplingConfig(top_p=top_p)
    found = in_cpp(logits, mask, config)
    np.testing.assert_array_equal(found, numpy_probabilities(logits, mask, config))


@pytest.mark.parametrize("config", [SamplingConfig(), SamplingConfig(temperature=0.8, min_p=0.02)])
def test_the_same_seed_gives_the_same_tokens(
    config: SamplingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load("piano-small")

    def drawn() -> list[int]:
        sampler = Sampler(model.engine("numpy"), model.codec, config, seed=3)
        return [sampler.next() for _ in range(300)]

    first = drawn()
    for name in ("native_probabilities", "native_draw"):
        monkeypatch.setattr(filters, name, lambda *given: None)
    assert drawn() == first


def test_until_it_is_compiled_numpy_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    native_draw.LIBRARY.get.cache_clear()
    monkeypatch.setattr(native, "compiled_before", lambda source, flags: None)
    logits, mask = np.zeros(4, np.float32), np.ones(4, dtype=bool)
    assert native_probabilities(logits, mask, (1.0, 0, 0.0, 0.9)) is None
    assert (
        native_draw.native_draw(logits, mask, (1.0, 0, 0.0, 0.9), np.random.default_rng()) is None
    )
    assert filters.probabilities(logits, mask, SamplingConfig(top_p=1.0)).tolist() == [0.25] * 4
