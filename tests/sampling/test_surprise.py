"""How surprised a model is by a piece: sums, and what belongs to which note."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from midirnn.codecs import PerformanceCodec
from midirnn.engines.load import Model
from midirnn.errors import OptionError
from midirnn.models.language_model import LanguageModel
from midirnn.performance import Performance
from midirnn.sampling.surprise import likelihood, note_surprise
from midirnn.training.evaluate import evaluate
from tests.datasets.songs import song, write_song
from tests.engines.stepping import CODEC, CONFIGS, trained_weights
from tests.strategies import performances

MODEL = Model("random", Path(), CONFIGS[1], CODEC, trained_weights(CONFIGS[1]), {})


def test_the_sum_is_that_of_an_evaluation() -> None:
    network = LanguageModel(MODEL.config)
    network.load_state_dict({name: torch.from_numpy(w) for name, w in MODEL.weights.items()})
    for seed in range(3):
        found = likelihood(song(seed), MODEL)
        expected = evaluate(network, CODEC, [CODEC.encode(song(seed))])
        assert found.nats_per_token == pytest.approx(expected.nats_per_token, rel=1e-6)
        figures = found.to_dict()
        assert figures["notes"] == expected.notes
        assert figures["seconds"] == pytest.approx(expected.seconds)


@settings(max_examples=40)
@given(performances())
def test_every_note_has_its_share_and_nothing_is_lost(performance: Performance) -> None:
    for codec in (CODEC, PerformanceCodec(overlaps="keep")):
        tokens = codec.encode(performance)
        nats = np.random.default_rng(0).exponential(size=len(tokens))
        notes = note_surprise(codec, tokens, nats)
        assert len(notes.total) == len(codec.decode(tokens))
        assert notes.total.sum() == pytest.approx(nats.sum())


def test_a_chord_out_of_order_keeps_each_note_its_own_surprise() -> None:
    # Both notes fall into one step, the higher one first.
    chord = Performance.from_notes([(0.501, 1.0, 72, 80), (0.503, 2.0, 60, 80)])
    tokens = CODEC.encode(chord)
    nats = np.zeros(len(tokens))
    nats[tokens == 72] = 3.0
    nats[tokens == CODEC.note_offs.start + 60] = 5.0
    notes = note_surprise(CODEC, tokens, nats)
    assert CODEC.decode(tokens).pitch.tolist() == [60, 72]
    assert notes.pitch.tolist() == [0.0, 3.0]
    assert notes.release.tolist() == [5.0, 0.0]


def test_a_note_that_repeats_what_was_heard_is_no_longer_a_surprise() -> None:
    pattern = [(0.5 * i, 0.5 * i + 0.4, pitch, 64) for i, pitch in enumerate([60, 64, 67, 72] * 6)]
    notes = likelihood(Performance.from_notes(pattern), "piano-small").notes
    assert notes is not None
    assert notes.pitch[-8:].mean() < 0.75 * notes.pitch[:4].mean()


def test_a_path_is_read(tmp_path: Path) -> None:
    path = write_song(tmp_path / "song.mid", 1)
    assert likelihood(path, MODEL).nats.tolist() == likelihood(str(path), MODEL).nats.tolist()


def test_progress_ends_with_all_tokens() -> None:
    told: list[tuple[int, int]] = []
    found = likelihood(song(), MODEL, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(found.tokens), len(found.tokens))


def test_a_piece_without_notes_is_refused() -> None:
    with pytest.raises(OptionError, match="nothing to measure"):
        likelihood(Performance(), MODEL)
