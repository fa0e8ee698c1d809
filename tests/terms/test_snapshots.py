"""The memory of the structured output stays small, however long the music is."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from midirnn.codecs import PerformanceCodec
from midirnn.engines.load import Model
from midirnn.models.config import ModelConfig
from midirnn.sampling import Sampler
from midirnn.terms.scan import native_library
from tests.engines.stepping import trained_weights

CODEC = PerformanceCodec()
NOTES = 2048
CONFIG = ModelConfig(
    embedding_size=8, hidden_size=8, num_layers=1, recall_notes=NOTES, term_notes=NOTES
)
MOST_BYTES = 96_000
"""Size limit of a snapshot. In C++ up to twice as many notes are kept before old ones go."""


def notes(count: int) -> list[int]:
    """Return the tokens of notes that often recur: a note-on, a time shift and a note-off each."""
    rng = np.random.default_rng(0)
    phrases = rng.integers(48, 72, (8, 16))
    pitches = np.concatenate([phrases[i] + rng.integers(0, 3) for i in rng.integers(0, 8, count)])
    shifts = rng.integers(1, 60, count)
    return [
        token
        for pitch, shift in zip(pitches[:count].tolist(), shifts.tolist(), strict=True)
        for token in (pitch, 256 + shift, 128 + pitch)
    ]


@pytest.mark.parametrize("natively", [True, False])
def test_a_snapshot_stays_small_however_long_the_music(
    natively: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if natively and native_library() is None:
        pytest.skip("there is no C++ compiler")
    if not natively:
        monkeypatch.setattr("midirnn.features.terms._native_terms", lambda shifts, velocities: None)
    model = Model("tiny", Path(), CONFIG, CODEC, trained_weights(CONFIG), {})
    sampler = Sampler(model.engine("numpy"), CODEC, seed=0)
    sizes, tokens = [], notes(3 * NOTES if natively else NOTES + 500)
    for begin in range(0, len(tokens), 300):
        sampler.hear(tokens[begin : begin + 300])
        sizes.append(len(pickle.dumps(sampler.snapshot())))
    assert max(sizes) < MOST_BYTES
