"""The language model: shapes, state, and the effect of its inputs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from midirnn.codecs import PerformanceCodec
from midirnn.errors import CheckpointError
from midirnn.models.cells import CELLS
from midirnn.models.config import ModelConfig
from midirnn.models.language_model import LanguageModel, State, from_weights, masked_logits
from tests.models.reference import random_weights, step, zero_state

CONFIG = ModelConfig(vocab_size=150, embedding_size=6, hidden_size=8, num_layers=3)
VARIANTS = pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        dataclasses.replace(CONFIG, cell="rnn"),
        dataclasses.replace(CONFIG, cell="gru", layer_norm=True, recall_notes=100),
        dataclasses.replace(CONFIG, residual=False),
        dataclasses.replace(CONFIG, held_input=False),
        dataclasses.replace(CONFIG, num_layers=1),
        dataclasses.replace(CONFIG, layer_norm=True),
        dataclasses.replace(CONFIG, layer_norm=True, residual=False, recall_notes=100),
        dataclasses.replace(CONFIG, tied_embedding=True, embedding_size=8),
        dataclasses.replace(CONFIG, recall_notes=100),
        dataclasses.replace(CONFIG, recall_notes=100, control_inputs=True),
        dataclasses.replace(CONFIG, control_inputs=True, held_input=False),
    ],
)
B, T = 3, 10


def model_of(config: ModelConfig, seed: int = 0) -> LanguageModel:
    return from_weights(config, random_weights(config, seed))


Windows = dict[str, Tensor]


def inputs(seed: int = 0, steps: int = T) -> tuple[Tensor, Windows]:
    """Return tokens (B, T), among them the start token, and held notes (B, T, 128)."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, CONFIG.vocab_size + 1, (B, steps))
    held = torch.from_numpy(rng.random((B, steps, 128)) < 0.1)
    return torch.from_numpy(tokens), {"held": held}


def beside(seed: int = 1) -> Windows:
    """Return matches (B, T, 3, 2), most of them empty, and controls (B, T, 28)."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 13, (B, T, 3)) * (rng.random((B, T, 3)) < 0.4)
    recalled = np.stack([rng.integers(0, 128, (B, T, 3)), lengths], axis=3)
    controls = torch.from_numpy(rng.random((B, T, 28)).astype(np.float32))
    return {"recall": torch.from_numpy(recalled), "controls": controls}


def cut(features: Windows, part: slice | tuple[slice, slice]) -> Windows:
    return {name: window[part] for name, window in features.items()}


@VARIANTS
@torch.no_grad()
def test_logits_have_a_row_for_each_token_and_the_state_one_for_each_layer(
    config: ModelConfig,
) -> None:
    logits, state = LanguageModel(config)(*inputs())
    assert logits.shape == (B, T, config.vocab_size)
    assert len(state) == len(CELLS[config.cell].states)
    assert {part.shape for part in state} == {(config.num_layers, B, config.hidden_size)}


@VARIANTS
@torch.no_grad()
def test_it_gives_what_is_written_out_token_by_token(config: ModelConfig) -> None:
    weights = random_weights(config, seed=4)
    tokens, features = inputs()
    features |= beside()
    held, recalled, controls = (features[name] for name in ("held", "recall", "controls"))
    logits, behind = from_weights(config, weights)(tokens, features)
    for row in range(B):
        state = zero_state(config)
        for t in range(T):
            token, sounding = int(tokens[row, t]), held[row, t].numpy()
            given = recalled[row, t].numpy(), controls[row, t].numpy()
            expected, state = step(config, weights, token, sounding, state, *given)
            np.testing.assert_allclose(logits[row, t], expected, atol=1e-4)
        for layer, parts in enumerate(state):
            for found, last in zip(behind, parts, strict=True):
                np.testing.assert_allclose(found[layer, row], last, atol=1e-4)


@VARIANTS
@torch.no_grad()
def test_a_sequence_in_pieces_with_the_state_carried_is_the_sequence(config: ModelConfig) -> None:
    model = model_of(config)
    tokens, features = inputs()
    features |= beside()
    whole, behind = model(tokens, features)
    state: State | None = None
    pieces = []
    for part in (slice(0, 1), slice(1, 4), slice(4, T)):
        logits, state = model(tokens[:, part], cut(features, (slice(None), part)), state)
        pieces.append(logits)
    assert torch.allclose(torch.cat(pieces, dim=1), whole, atol=1e-5)
    assert state is not None
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(state, behind, strict=True))


@torch.no_grad()
def test_no_token_hears_what_comes_after_it() -> None:
    model = model_of(CONFIG)
    tokens, features = inputs()
    before, _ = model(tokens, features)
    held = features["held"]
    tokens[:, 6], held[:, 6] = (tokens[:, 6] + 1) % CONFIG.vocab_size, ~held[:, 6]
    after, _ = model(tokens, features)
    assert torch.equal(after[:, :6], before[:, :6])
    assert not torch.allclose(after[:, 6:], before[:, 6:])


@torch.no_grad()
def test_rows_do_not_hear_one_another() -> None:
    model = model_of(CONFIG)
    tokens, features = inputs()
    together, _ = model(tokens, features)
    for row in range(B):
        one = slice(row, row + 1)
        alone, _ = model(tokens[one], cut(features, one))
        assert torch.allclose(alone[0], together[row], atol=1e-5)


@pytest.mark.parametrize("held_input", [True, False])
@torch.no_grad()
def test_held_notes_are_heard_if_the_config_says_so(held_input: bool) -> None:
    model = model_of(dataclasses.replace(CONFIG, held_input=held_input))
    tokens, features = inputs()
    heard, _ = model(tokens, features)
    silent, _ = model(tokens)
    assert torch.allclose(heard, silent) != held_input


@torch.no_grad()
def test_residual_connections_change_what_comes_out_of_the_same_weights() -> None:
    weights = random_weights(CONFIG)
    plain = dataclasses.replace(CONFIG, residual=False)
    with_them, _ = from_weights(CONFIG, weights)(*inputs())
    without, _ = from_weights(plain, weights)(*inputs())
    assert not torch.allclose(with_them, without, atol=1e-2)


@pytest.mark.parametrize("held_input", [True, False])
def test_the_table_of_the_first_layer_gives_what_the_embedding_gives(held_input: bool) -> None:
    # With dropout, however little, training reads the embedding itself.
    config = dataclasses.replace(CONFIG, held_input=held_input, dropout=1e-12)
    model = model_of(config)
    gradients = []
    logits = []
    for training in (False, True):
        model.train(training)
        model.zero_grad()
        found, _ = model(*inputs())
        found.square().sum().backward()
        logits.append(found.detach())
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    assert torch.allclose(*logits, atol=1e-4)
    assert len(gradients[0]) == len(gradients[1])
    for table, embedding in zip(*gradients, strict=True):
        assert torch.allclose(table, embedding, rtol=1e-3, atol=1e-3)


def test_dropout_acts_in_training_only() -> None:
    model = model_of(dataclasses.replace(CONFIG, dropout=0.5))
    first, again = (model(*inputs())[0] for _ in range(2))
    assert torch.equal(first, again)
    model.train()
    first, again = (model(*inputs())[0] for _ in range(2))
    assert not torch.allclose(first, again)


def test_the_initial_state_is_zero_and_is_what_no_state_means() -> None:
    model = model_of(CONFIG)
    state = model.initial_state(B)
    assert [tuple(part.shape) for part in state] == [(3, B, 8)] * 2
    assert not any(part.any() for part in state)
    assert torch.equal(model(*inputs(), state=state)[0], model(*inputs())[0])


def test_the_state_it_is_given_is_left_as_it_was() -> None:
    model = model_of(CONFIG)
    state = (torch.randn(3, B, 8), torch.randn(3, B, 8))
    before = tuple(part.clone() for part in state)
    model(*inputs(), state=state)
    assert all(torch.equal(a, b) for a, b in zip(state, before, strict=True))


def test_tokens_that_the_mask_forbids_get_no_probability() -> None:
    codec = PerformanceCodec()
    grammar = codec.constraint()
    logits = 50 * torch.randn(1, 1, codec.vocab_size, dtype=torch.bfloat16)
    mask = torch.from_numpy(grammar.mask(grammar.start()))[None, None]
    masked = masked_logits(logits, mask)
    p = masked.softmax(dim=-1)
    assert masked.dtype == torch.float32
    assert (p[~mask] == 0).all()
    assert torch.allclose(p[mask], logits[mask].float().softmax(dim=-1))


@pytest.mark.parametrize("control_inputs", [True, False])
@torch.no_grad()
def test_controls_are_heard_if_the_config_says_so(control_inputs: bool) -> None:
    model = model_of(dataclasses.replace(CONFIG, control_inputs=control_inputs))
    tokens, features = inputs()
    asked, _ = model(tokens, features | {"controls": beside()["controls"]})
    free, _ = model(*inputs())
    assert torch.allclose(asked, free) != control_inputs


@torch.no_grad()
def test_what_is_recalled_is_made_likelier_as_far_as_it_is_trusted() -> None:
    config = dataclasses.replace(CONFIG, recall_notes=10)
    weights = random_weights(config)
    for name in ("recalled.weight", "trust.weight"):
        weights[name] = np.zeros_like(weights[name])
    recalled = torch.zeros((B, T, 3, 2), dtype=torch.int64)
    recalled[:, :, 1] = torch.tensor([60, 5])  # the second viewpoint, five notes of context
    recalled[:, :, 2, 0] = 61  # none: its length is 0
    model = from_weights(config, weights)
    tokens, features = inputs()
    difference = model(tokens, features | {"recall": recalled})[0] - model(tokens, features)[0]
    assert torch.allclose(
        difference[..., 60], torch.tensor(weights["trust.bias"][13 + 5]), atol=1e-5
    )
    difference[..., 60] = 0
    assert not difference.any()


@torch.no_grad()
def test_a_model_begins_by_trusting_nothing_it_recalls_and_following_no_controls() -> None:
    model = LanguageModel(dataclasses.replace(CONFIG, recall_notes=10, control_inputs=True))
    tokens, features = inputs()
    assert torch.equal(model(tokens, features | beside())[0], model(tokens, features)[0])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("vocab_size", 0, "vocab_size is 0; it must be at least 1"),
        ("num_layers", 0, "num_layers is 0"),
        ("cell", "qrnn", "there is no cell 'qrnn'; known are rnn, gru, lstm"),
        ("tied_embedding", True, "embedding_size is 6 and hidden_size 8; with tied_embedding"),
        ("dropout", 1.0, "dropout is 1.0; allowed are 0 up to, not with, 1"),
        ("dropout", float("nan"), "dropout is nan"),
    ],
)
def test_a_config_that_makes_no_model_is_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        ModelConfig.from_dict(CONFIG.to_dict() | {field: value})


def test_a_config_comes_back_from_its_dictionary() -> None:
    assert ModelConfig.from_dict(CONFIG.to_dict()) == CONFIG
    assert CONFIG.start_token == CONFIG.vocab_size
