"""Evaluation is the mean surprise of each token, whatever the batches."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from midirnn.codecs import PerformanceCodec
from midirnn.datasets.windows import EvaluationWindows, Inputs
from midirnn.errors import CodecError
from midirnn.models.config import ModelConfig
from midirnn.models.language_model import LanguageModel, from_weights
from midirnn.training.evaluate import Evaluation, evaluate
from midirnn.training.losses import token_losses
from tests.datasets.songs import song
from tests.models import reference
from tests.training.tiny import CODEC, MODEL

PIECES = [CODEC.encode(song(seed, notes)) for seed, notes in enumerate((2, 20, 7))]
TYPES = np.concatenate([CODEC.vocabulary.type_index[piece] for piece in PIECES])


def same_for_all() -> LanguageModel:
    """A model to which every token is equally likely."""
    weights = reference.random_weights(MODEL)
    weights["output.weight"] *= 0
    weights["output.bias"] *= 0
    return from_weights(MODEL, weights)


@pytest.mark.parametrize("use_mask", [True, False])
@pytest.mark.parametrize(("batch_size", "window"), [(1, 1000), (2, 5), (3, 1), (64, 16)])
def test_it_is_what_a_slow_reference_finds_token_by_token(
    batch_size: int, window: int, use_mask: bool
) -> None:
    weights = reference.random_weights(MODEL, seed=2, scale=0.5)
    losses = np.concatenate(
        [
            reference.token_losses(MODEL, weights, CODEC, piece, use_mask=use_mask)
            for piece in PIECES
        ]
    )
    found = evaluate(
        from_weights(MODEL, weights),
        CODEC,
        PIECES,
        batch_size=batch_size,
        window=window,
        use_mask=use_mask,
    )
    assert found.tokens == len(losses)
    assert found.nats == pytest.approx(losses.sum(), rel=1e-5)
    assert found.nats_per_token == pytest.approx(losses.mean(), rel=1e-5)
    for index, kind in enumerate(CODEC.groups()):
        assert found.nats_by_type[kind] == pytest.approx(losses[index == TYPES].sum(), rel=1e-4)
        assert found.tokens_by_type[kind] == (index == TYPES).sum()


def test_the_state_is_carried_over_the_whole_piece_and_not_to_the_next() -> None:
    model = from_weights(MODEL, reference.random_weights(MODEL, scale=0.5))
    alone = [evaluate(model, CODEC, [piece], window=4).nats for piece in PIECES]
    together = evaluate(model, CODEC, PIECES, batch_size=1, window=4).nats
    assert together == pytest.approx(sum(alone), rel=1e-5)


def test_to_a_model_that_knows_nothing_a_token_is_one_of_those_allowed() -> None:
    allowed = 0.0
    grammar = CODEC.constraint()
    for piece in PIECES:
        state = grammar.start()
        for token in piece.tolist():
            allowed += np.log(grammar.mask(state).sum())
            grammar.advance(state, token)
    found = evaluate(same_for_all(), CODEC, PIECES)
    assert found.nats == pytest.approx(allowed, rel=1e-6)
    unmasked = evaluate(same_for_all(), CODEC, PIECES, use_mask=False)
    assert unmasked.nats_per_token == pytest.approx(np.log(388), rel=1e-6)


def test_nats_per_note_and_per_second_are_the_same_nats() -> None:
    found = evaluate(same_for_all(), CODEC, PIECES)
    report = found.to_dict()
    decoded = [CODEC.decode(piece) for piece in PIECES]
    assert report["notes"] == sum(map(len, decoded))
    assert report["seconds"] == pytest.approx(sum(piece.duration for piece in decoded))
    assert report["nats_per_note"] * report["notes"] == pytest.approx(found.nats)
    assert report["nats_per_second"] * report["seconds"] == pytest.approx(found.nats)
    by_type, tokens = report["nats_per_token_by_type"], report["tokens_by_type"]
    assert sum(by_type[kind] * tokens[kind] for kind in by_type) == pytest.approx(found.nats)
    assert sum(tokens.values()) == report["tokens"] == sum(map(len, PIECES))


def test_in_bf16_it_is_nearly_the_same() -> None:
    model = from_weights(MODEL, reference.random_weights(MODEL))
    exact = evaluate(model, CODEC, PIECES).nats_per_token
    assert evaluate(model, CODEC, PIECES, bf16=True).nats_per_token == pytest.approx(
        exact, rel=0.01
    )


def test_without_pieces_nothing_is_summed() -> None:
    found = evaluate(same_for_all(), CODEC, [])
    assert found == Evaluation(
        0.0, 0, 0, 0.0, dict.fromkeys(CODEC.groups(), 0.0), dict.fromkeys(CODEC.groups(), 0)
    )
    assert found.to_dict()["nats_per_second"] == 0


def test_a_model_in_training_is_evaluated_without_dropout_and_goes_on_training() -> None:
    model = LanguageModel(dataclasses.replace(MODEL, dropout=0.5)).train()
    assert evaluate(model, CODEC, PIECES).nats == evaluate(model, CODEC, PIECES).nats
    assert model.training


def test_progress_is_told_in_tokens() -> None:
    told: list[int] = []
    evaluate(same_for_all(), CODEC, PIECES, window=8, progress=told.append)
    assert len(told) > 3
    assert sum(told) == sum(map(len, PIECES))


def test_another_codec_counts_its_own_steps() -> None:
    codec = PerformanceCodec(10, 5, 0)
    config = ModelConfig(codec.vocab_size, embedding_size=4, hidden_size=4, num_layers=1)
    piece = codec.encode(song(3, 12))
    found = evaluate(LanguageModel(config), codec, [piece])
    assert found.seconds == pytest.approx(codec.decode(piece).duration)
    assert found.tokens_by_type["velocity"] == 0


def test_a_piece_that_breaks_the_grammar_is_refused() -> None:
    with pytest.raises(CodecError, match="breaks the grammar"):
        evaluate(same_for_all(), CODEC, [np.array([200, 60], np.uint16)])


def test_rows_that_begin_a_piece_begin_from_a_zero_state() -> None:
    model = from_weights(MODEL, reference.random_weights(MODEL))
    batch = next(EvaluationWindows(PIECES, CODEC, 2, 8, Inputs(MODEL.start_token)))
    assert batch.reset.tolist() == [True, True]
    carried = (torch.randn(2, 2, 16), torch.randn(2, 2, 16))
    from_zero = token_losses(model, batch, model.initial_state(2), bf16=False)[0]
    assert torch.equal(token_losses(model, batch, carried, bf16=False)[0], from_zero)
    batch = dataclasses.replace(batch, reset=np.array([True, False]))
    losses = token_losses(model, batch, carried, bf16=False)[0]
    assert torch.equal(losses[0], from_zero[0])
    assert not torch.allclose(losses[1], from_zero[1])
