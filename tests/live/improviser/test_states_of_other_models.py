"""A state of another cell or model is refused in one line, and the model plays on as before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.errors import OptionError
from midirnn.live.base.messages import (
    Adopt,
    Begin,
    Blend,
    Plan,
    Planned,
    Recall,
    Rewind,
    Save,
    Saved,
    Store,
)
from midirnn.live.improviser.server import ModelServer
from midirnn.models.checkpoint import expected_shapes
from midirnn.sampling import Sampler
from tests.live.stage import tiny_model


def a_server(**changes: Any) -> ModelServer:
    """A server of a tiny model with random weights, of another cell or size if asked for."""
    model = tiny_model()
    config = replace(model.config, **changes)
    rng = np.random.default_rng(0)
    weights = {
        name: (rng.standard_normal(shape) * 0.3).astype(np.float32)
        for name, shape in expected_shapes(config).items()
    }
    return ModelServer(Sampler(NumpyEngine(config, weights), model.codec, seed=0))


def saved_by(server: ModelServer) -> bytes:
    (saved,) = server.handle(Save())
    assert isinstance(saved, Saved)
    return saved.state


@pytest.mark.parametrize(
    "changes", [{"cell": "gru"}, {"cell": "rnn"}, {"hidden_size": 24}, {"num_layers": 2}]
)
def test_a_state_of_another_model_is_refused_and_nothing_changes(changes: dict[str, Any]) -> None:
    other, server = a_server(**changes), a_server()
    list(other.handle(Store("preset 1")))
    list(server.handle(Store("preset 2")))
    before = saved_by(server)
    with pytest.raises(OptionError, match="cannot be loaded into") as caught:
        list(server.handle(Adopt(saved_by(other))))
    assert "\n" not in str(caught.value)
    assert saved_by(server) == before
    list(server.handle(Begin(0)))
    replies = list(server.handle(Plan(-1, 0, 100, 50)))
    assert any(isinstance(reply, Planned) and reply.events for reply in replies)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_presets_of_every_cell_are_stored_blended_and_taken_over(cell: str) -> None:
    server, heir = a_server(cell=cell), a_server(cell=cell)
    list(server.handle(Store("preset 1")))
    list(server.handle(Begin(0)))
    list(server.handle(Plan(-1, 0, 100, 50)))
    list(server.handle(Rewind(1, 3)))
    list(server.handle(Store("preset 2")))
    list(server.handle(Blend((("preset 1", 0.5), ("preset 2", 0.5)))))
    list(heir.handle(Adopt(saved_by(server))))
    for request in (Rewind(2, 3), Plan(3, 0, 300, 50), Recall("preset 2"), Plan(3, 0, 400, 50)):
        replies = list(server.handle(request))
        assert list(heir.handle(request)) == replies
        assert isinstance(request, Rewind | Recall) or len(replies) > 5
