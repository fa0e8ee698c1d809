"""Models and music to step engines with."""

from __future__ import annotations

from typing import Any

import numpy as np

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.style import NUM_STYLE_INPUTS
from midirnn.engines.base import StepEngine
from midirnn.engines.state import EngineState, FloatVector
from midirnn.models.checkpoint import Weights, expected_shapes
from midirnn.models.config import ModelConfig

CODEC = PerformanceCodec()

CONFIGS = [
    ModelConfig(embedding_size=5, hidden_size=8, num_layers=1),
    ModelConfig(embedding_size=16, hidden_size=32, num_layers=3),
    ModelConfig(embedding_size=16, hidden_size=130, num_layers=2, residual=False),
    ModelConfig(embedding_size=24, hidden_size=33, num_layers=2, held_input=False),
    ModelConfig(embedding_size=32, hidden_size=128, num_layers=4, residual=False, held_input=False),
    ModelConfig(embedding_size=16, hidden_size=32, num_layers=2, recall_notes=64),
    ModelConfig(embedding_size=16, hidden_size=48, recall_notes=20, control_inputs=True),
    ModelConfig(embedding_size=16, hidden_size=32, held_input=False, control_inputs=True),
    ModelConfig(embedding_size=16, hidden_size=48, layer_norm=True, recall_notes=20),
    ModelConfig(embedding_size=48, hidden_size=48, tied_embedding=True, recall_notes=20),
    ModelConfig(cell="rnn", embedding_size=16, hidden_size=48, num_layers=2),
    ModelConfig(cell="gru", embedding_size=16, hidden_size=130, num_layers=3, recall_notes=20),
    ModelConfig(cell="gru", embedding_size=16, hidden_size=32, num_layers=1, held_input=False),
    ModelConfig(embedding_size=16, hidden_size=32, control_inputs=True, style_inputs=True),
    ModelConfig(embedding_size=16, hidden_size=48, recall_notes=20, term_notes=100),
]
"""Sizes below, at and above a block of int8 weights, with each part and without."""


def trained_weights(config: ModelConfig, seed: int = 0) -> Weights:
    """Random weights as large as trained ones are: no gate is stuck at its end.

    Those of a plain RNN are smaller: with nothing to make it forget it would be chaotic.
    """
    rng = np.random.default_rng(seed)
    size = 0.7 if config.cell == "rnn" else 1.5
    return {
        name: (size * rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        for name, shape in expected_shapes(config).items()
    }


def parts_of(state: EngineState) -> list[Any]:
    """All arrays and bytes that a state consists of."""
    return [*state.state, state.logits, *leaves(list(state.memories.values()))]


def leaves(value: Any) -> list[Any]:
    """Return what nested tuples and lists hold, one after another."""
    if isinstance(value, tuple | list):
        return [leaf for part in value for leaf in leaves(part)]
    return [value]


def same_state(one: EngineState, other: EngineState) -> bool:
    """Whether two states are equal to the last bit."""
    pairs = zip(parts_of(one), parts_of(other), strict=True)
    return all(np.array_equal(mine, its) for mine, its in pairs)


def step_through(engine: StepEngine, steps: int = 200, seed: int = 0) -> FloatVector:
    """The logits after each of random tokens, with random notes held; shape ``(steps, V)``.

    Now and then something else is asked for; nothing at first and in the end.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for token in rng.integers(0, engine.config.vocab_size, steps).tolist():
        if rng.random() < 0.1:
            engine.set_controls(rng.random(NUM_STYLE_INPUTS).astype(np.float32) / 4)
        engine.feed(token, rng.random(128) < 0.04)
        rows.append(engine.logits())
    engine.set_controls(None)
    return np.stack(rows)
