"""What is worked out in C++ for windows is what numpy gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn.codecs import PerformanceCodec, Tokens, held, native_scan
from midirnn.codecs.held import held_after, held_rows, no_notes
from midirnn.codecs.pedal import PedalCodec
from midirnn.codecs.performance import grammar
from tests.codecs.performance.test_grammar import CHOICES, SEEDS, fields, walk
from tests.strategies import performance_codecs, token_lists

pytestmark = pytest.mark.skipif(native_scan.LIBRARY.get() is None, reason="needs a C++ compiler")

Result = TypeVar("Result")


def both_ways(compute: Callable[[], Result]) -> list[Result]:
    """Return what is computed in numpy, and in C++."""
    results = []
    for in_cpp in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            for module in (grammar, held):
                patch.setattr(module, "is_for", lambda count, in_cpp=in_cpp: in_cpp)
            results.append(compute())
    return results


@settings(max_examples=25)
@given(performance_codecs() | st.just(PedalCodec()), CHOICES, SEEDS, st.integers(0, 80))
def test_masks_and_state_behind_a_stream(
    codec: PerformanceCodec, choice: Callable[..., int], seed: int, begin: int
) -> None:
    constraint = codec.constraint()
    tokens = np.array(walk(constraint, choice, seed, 100), np.uint16)

    def scanned() -> tuple[object, ...]:
        state = constraint.start()
        constraint.skip(state, tokens[:begin])
        masks = constraint.scan(state, tokens[begin:])
        return masks.tolist(), masks.dtype, fields(state)

    in_numpy, in_cpp = both_ways(scanned)
    assert in_numpy == in_cpp


@settings(max_examples=25)
@given(st.data(), performance_codecs() | st.just(PedalCodec()))
def test_state_behind_any_tokens(data: st.DataObject, codec: PerformanceCodec) -> None:
    constraint = codec.constraint()
    parts = [np.array(data.draw(token_lists(codec, max_size=30)), np.uint16) for _ in range(3)]

    def skipped() -> Sequence[object]:
        state = constraint.start()
        for part in parts:
            constraint.skip(state, part)
        return [fields(state), held_after(codec, no_notes(), np.concatenate(parts)).tolist()]

    in_numpy, in_cpp = both_ways(skipped)
    assert in_numpy == in_cpp


@settings(max_examples=25)
@given(CHOICES, SEEDS)
def test_what_sounds_behind_each_token(choice: Callable[..., int], seed: int) -> None:
    codec = PerformanceCodec()
    tokens: Tokens = np.array(walk(codec.constraint(), choice, seed, 100), np.uint16)
    before = no_notes()
    before[[3, 60]] = True
    in_numpy, in_cpp = both_ways(lambda: held_rows(codec, before, tokens[tokens % 128 > 60]))
    assert in_numpy.dtype == in_cpp.dtype == np.bool_
    assert in_numpy.tolist() == in_cpp.tolist()
    assert before.sum() == 2
