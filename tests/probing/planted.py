"""Models whose units are known: random ones, and traces with units that were planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from midirnn.codecs import PerformanceCodec
from midirnn.engines.load import Model
from midirnn.models.config import ModelConfig
from midirnn.performance import Performance
from midirnn.probing.tracing import Trace, trace
from tests.datasets.songs import song
from tests.models.reference import random_weights

LAYERS, SIZE = 2, 12


def random_model(cell: str = "lstm", seed: int = 0) -> Model:
    """A model with random weights."""
    config = ModelConfig(
        cell=cell, embedding_size=8, hidden_size=SIZE, num_layers=LAYERS, held_input=False
    )
    weights = random_weights(config, seed)
    return Model("random", Path(), config, PerformanceCodec(), weights, {})


def planted(seed: int, layer: int, unit: int, signal: str, *, size: float = -0.01) -> Trace:
    """A song as a random model read it, with a unit that follows a signal."""
    one = trace(long_song(seed), random_model())
    states = {name: array.copy() for name, array in one.states.items()}
    followed = np.nan_to_num(one.signals[signal], nan=float(np.nanmean(one.signals[signal])))
    noise = np.random.default_rng(seed).standard_normal(len(one)) * 0.05 * np.nanstd(followed)
    states["h"][:, layer, unit] = size * (followed + noise)
    return Trace(one.tokens, states, one.signals, one.seconds, one.performance)


def long_song(seed: int) -> Performance:
    """A song of 120 notes, with a rest in its middle."""
    notes = [(n.start + 4.0 * (n.start > 10), n.end + 4.0 * (n.start > 10), n.pitch, n.velocity)
             for n in song(seed, 120)]  # fmt: skip
    return Performance.from_notes(notes, pedals=[(2.0, 127), (5.0, 0), (9.0, 127), (15.0, 0)])
