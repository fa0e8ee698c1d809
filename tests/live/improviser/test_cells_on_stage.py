"""What a session does with the model's state works with every cell."""

from __future__ import annotations

import numpy as np
import pytest

from midirnn.codecs import PerformanceCodec
from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.live.base.messages import Adopt, Blend, Hear, HeardStep, Recall, Save, Saved, Store
from midirnn.live.improviser.server import ModelServer
from midirnn.models.cells import CELLS
from midirnn.models.config import ModelConfig
from midirnn.sampling import Sampler
from tests.engines.stepping import trained_weights

CODEC = PerformanceCodec()


def server_of(cell: str) -> ModelServer:
    config = ModelConfig(cell=cell, embedding_size=8, hidden_size=16, num_layers=2)
    engine = NumpyEngine(config, trained_weights(config))
    return ModelServer(Sampler(engine, CODEC, seed=0))


def hear(server: ModelServer, step: int, pitch: int) -> None:
    list(server.handle(Hear((HeardStep(step, (), ((pitch, 16),)),))))


def state_of(server: ModelServer) -> tuple[np.ndarray, ...]:
    return server.planner.base.sampler.engine.state


@pytest.mark.parametrize("cell", CELLS)
def test_presets_are_stored_loaded_and_blended(cell: str) -> None:
    server = server_of(cell)
    stored = []
    for name, step, pitch in (("1", 0, 60), ("2", 50, 72)):
        hear(server, step, pitch)
        list(server.handle(Store(name)))
        stored.append(state_of(server))
    list(server.handle(Blend((("1", 0.75), ("2", 0.25)))))
    for found, one, other in zip(state_of(server), *stored, strict=True):
        np.testing.assert_allclose(found, 0.75 * one + 0.25 * other, atol=1e-6)
    list(server.handle(Recall("1")))
    assert all(map(np.array_equal, state_of(server), stored[0]))


@pytest.mark.parametrize("cell", CELLS)
def test_a_model_process_that_takes_over_goes_on_with_the_same_state(cell: str) -> None:
    server, other = server_of(cell), server_of(cell)
    hear(server, 0, 60)
    (saved,) = server.handle(Save())
    assert isinstance(saved, Saved)
    list(other.handle(Adopt(saved.state)))
    for one in (server, other):
        hear(one, 30, 64)
    assert all(map(np.array_equal, state_of(server), state_of(other)))
