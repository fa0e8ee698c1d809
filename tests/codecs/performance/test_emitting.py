"""The tokens that C++ emits are those that numpy gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn import native
from midirnn.codecs import PerformanceCodec
from midirnn.codecs.performance import emit
from midirnn.performance import Performance
from tests.strategies import performance_codecs, performances

pytestmark = pytest.mark.skipif(not native.has_compiler(), reason="needs a C++ compiler")


def both(codec: PerformanceCodec, performance: Performance, open_end: bool) -> list[list[int]]:
    """The tokens from C++, and those from numpy."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for in_cpp in (True, False):
            patch.setattr(native.Library, "is_for", lambda *_, answer=in_cpp: answer)
            found.append(codec.encode(performance, open_end=open_end).tolist())
    return found


@given(
    st.one_of(performance_codecs(), performance_codecs(overlaps="keep")),
    performances(unreleased=True),
    st.booleans(),
)
def test_they_are_the_same_for_any_performance(
    codec: PerformanceCodec, performance: Performance, open_end: bool
) -> None:
    emitted, expected = both(codec, performance, open_end)
    assert emitted == expected


def test_long_rests_need_more_room_than_there_is_at_first() -> None:
    notes = [(hours * 3600.0, hours * 3600.0 + 1, 60, 64) for hours in range(0, 20, 5)]
    emitted, expected = both(PerformanceCodec(), Performance.from_notes(notes), False)
    assert emitted == expected
    assert len(emitted) > 50_000


def test_without_a_compiler_numpy_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    start = np.sort(rng.uniform(0, 60, 500))
    rows = zip(
        start, start + 0.3, rng.integers(30, 90, 500), rng.integers(1, 128, 500), strict=True
    )
    performance = Performance.from_notes(rows)
    expected = PerformanceCodec().encode(performance).tolist()
    monkeypatch.setattr(emit.LIBRARY, "get", lambda: None)
    assert PerformanceCodec().encode(performance).tolist() == expected
