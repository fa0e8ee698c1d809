"""Composing works on numpy and on ONNX Runtime, and each piece is as it would be alone."""

from __future__ import annotations

import numpy as np
import pytest

from midirnn import Request, beam_search, best_of, generate_form, infill, load, vary
from midirnn.sampling.many import continue_many
from tests.datasets.songs import song

MODEL = load("piano-small")
REQUEST = Request(2.0)
ENGINES = ("numpy", "onnxruntime")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "onnxruntime":
        pytest.importorskip("onnxruntime")
    return str(request.param)


def test_all_ways_of_composing_run(engine: str) -> None:
    primer = song(0)
    assert len(best_of(MODEL, 3, "continuity", REQUEST, primer, engine=engine)) == 3
    assert len(beam_search(MODEL, 3, request=REQUEST, primer=primer, engine=engine)) == 3
    assert len(infill(MODEL, primer, 1.0, 2.0, candidates=3, engine=engine)) == 3
    assert generate_form(MODEL, "AA", 2.0, engine=engine).generated.new_seconds == 4.0
    assert len(vary(MODEL, primer, "velocity", engine=engine)) == len(primer)


def test_a_piece_in_a_batch_does_not_depend_on_the_others(engine: str) -> None:
    found = [
        list(
            continue_many(
                MODEL, [song(0)] * 4, request=REQUEST, seeds=range(4), engine=engine, batch=batch
            )
        )
        for batch in (1, 3)
    ]
    for alone, together in zip(*found, strict=True):
        assert alone.performance == together.performance


def test_a_twin_moves_on_by_itself() -> None:
    engine, silence = MODEL.engine("numpy"), np.zeros(128, dtype=bool)
    engine.feed(60, silence)
    twin = engine.twin()  # type: ignore[attr-defined]
    np.testing.assert_array_equal(twin.logits(), engine.logits())
    before = engine.logits().copy()
    twin.feed(64, silence)
    twin.logits()
    np.testing.assert_array_equal(engine.logits(), before)
