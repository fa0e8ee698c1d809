"""The state of an engine: what it belongs to, and how two are blended."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.engines.state import EngineState, StateLayout, blend
from midirnn.errors import OptionError
from midirnn.models.cells import CELLS
from midirnn.models.config import ModelConfig
from tests.engines.stepping import trained_weights

EACH_CELL = pytest.mark.parametrize("cell", CELLS)
SILENCE = np.zeros(128, dtype=bool)


def engine_of(cell: str, *, layers: int = 2, tokens: tuple[int, ...] = ()) -> NumpyEngine:
    config = ModelConfig(
        cell=cell, embedding_size=8, hidden_size=16, num_layers=layers, recall_notes=9
    )
    engine = NumpyEngine(config, trained_weights(config))
    for token in tokens:
        engine.feed(token, SILENCE)
    return engine


@EACH_CELL
def test_it_has_an_array_for_each_of_the_cell_s_states(cell: str) -> None:
    state = engine_of(cell, tokens=(60,)).snapshot().state
    assert len(state) == len(CELLS[cell].states)
    assert {part.shape for part in state} == {(2, 16)}


@EACH_CELL
def test_it_is_the_same_in_another_process(cell: str) -> None:
    engine = engine_of(cell, tokens=(60, 62))
    state = pickle.loads(pickle.dumps(engine.snapshot()))
    other = engine_of(cell)
    other.restore(state)
    for one in (engine, other):
        one.feed(64, SILENCE)
    assert np.array_equal(engine.logits(), other.logits())


@EACH_CELL
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_blend_is_the_mean_by_shares(cell: str, share: float) -> None:
    a = engine_of(cell, tokens=(60, 62)).snapshot()
    b = engine_of(cell, tokens=(40,)).snapshot()
    found = blend(a, b, share)
    for part, one, other in zip(found.state, a.state, b.state, strict=True):
        np.testing.assert_allclose(part, (1 - share) * one + share * other, atol=1e-6)
    expected = (1 - share) * a.logits + share * b.logits
    np.testing.assert_allclose(found.logits, expected, atol=1e-5)
    assert found.memories is (b if share > 0.5 else a).memories
    engine = engine_of(cell)
    engine.restore(found)
    engine.feed(64, SILENCE)
    assert np.isfinite(engine.logits()).all()


@given(st.integers(0, 127))
def test_a_wheel_blends_as_it_always_has(value: int) -> None:
    # Recordings are played again bit for bit, so the arithmetic must stay what it was.
    a = engine_of("lstm", tokens=(60, 62)).snapshot()
    b = engine_of("lstm", tokens=(40,)).snapshot()
    shares = np.array([1.0 - value / 127, value / 127], np.float32)
    shares /= shares.sum()
    found = blend(a, b, value / 127)
    for part, pair in zip(found.state, zip(a.state, b.state, strict=True), strict=True):
        assert np.array_equal(part, np.tensordot(shares, pair, 1))


OTHERS = pytest.mark.parametrize(
    ("other", "name"),
    [(engine_of("gru"), "gru 2 x 16"), (engine_of("lstm", layers=1), "lstm 1 x 16")],
    ids=["cell", "size"],
)


@OTHERS
def test_a_state_of_another_model_is_refused_in_one_line(other: NumpyEngine, name: str) -> None:
    with pytest.raises(OptionError) as caught:
        engine_of("lstm").restore(other.snapshot())
    assert str(caught.value) == (
        f"a state of a model {name} cannot be loaded into one of lstm 2 x 16: load it with the "
        "model that it was stored with"
    )


@OTHERS
def test_states_of_different_models_are_not_blended(other: NumpyEngine, name: str) -> None:
    with pytest.raises(OptionError, match=rf"cannot be blended: lstm 2 x 16 and {name}\."):
        blend(engine_of("lstm").snapshot(), other.snapshot(), 0.5)


def test_a_state_that_is_computed_later_belongs_to_a_model_already() -> None:
    engine = engine_of("gru")
    engine.feed(60, SILENCE)
    state = engine.snapshot()
    assert not state.is_computed
    assert state.layout == StateLayout("gru", 2, 16)
    with pytest.raises(OptionError):
        engine_of("rnn").restore(state)
    assert not state.is_computed


def test_parts_can_be_replaced() -> None:
    state = engine_of("rnn", tokens=(60,)).snapshot()
    changed = state.replace(memories={})
    assert isinstance(changed, EngineState)
    assert changed.memories == {}
    assert changed.state is state.state
