"""Convolutions and attention are causal, and the same in parts as at once and in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from midirnn.codecs.held import no_notes
from midirnn.engines.base import RecurrentEngine
from midirnn.engines.windowed_engine import make_numpy_engine
from midirnn.errors import CheckpointError
from midirnn.models.architectures import ARCHITECTURES
from midirnn.models.language_model import LanguageModel
from midirnn.models.windowed_config import AttentionConfig, ConvolutionConfig, WindowedConfig

SIZES = {"embedding_size": 8, "hidden_size": 12, "held_input": False}
CONFIGS = [
    ConvolutionConfig(**SIZES, num_layers=5, longest_dilation=4),  # type: ignore[arg-type]
    AttentionConfig(**SIZES, num_layers=2, span=5),  # type: ignore[arg-type]
]
NAMES = [config.architecture for config in CONFIGS]
both = pytest.mark.parametrize("config", CONFIGS, ids=NAMES)


def model_of(config: WindowedConfig, seed: int = 0) -> LanguageModel:
    """Return a model with random weights, large enough that all inputs have an effect."""
    torch.manual_seed(seed)
    model = ARCHITECTURES[config.architecture].build(config).eval()
    assert isinstance(model, LanguageModel)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return model


def engine_of(model: LanguageModel) -> RecurrentEngine:
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    return make_numpy_engine(model.config, weights)


def some_tokens(count: int, rows: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randint(388, (rows, count), generator=torch.Generator().manual_seed(seed))


@both
def test_the_weights_have_the_shapes_that_the_config_says(config: WindowedConfig) -> None:
    shapes = {name: tuple(t.shape) for name, t in model_of(config).state_dict().items()}
    assert shapes == config.weight_shapes()


@both
@torch.no_grad()
def test_a_piece_in_windows_is_read_as_it_is_at_once(config: WindowedConfig) -> None:
    model, tokens = model_of(config), some_tokens(30, rows=3)
    whole, last = model(tokens)
    parts, state = [], None
    for begin, stop in ((0, 1), (1, 4), (4, 20), (20, 30)):
        logits, state = model(tokens[:, begin:stop], None, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-4)
    assert state is not None
    for part, expected in zip(state, last, strict=True):
        torch.testing.assert_close(part, expected, atol=1e-5, rtol=1e-4)


@both
@torch.no_grad()
def test_a_prediction_sees_as_far_back_as_the_context_and_nothing_ahead(
    config: WindowedConfig,
) -> None:
    model, tokens = model_of(config), some_tokens(40)
    logits = model(tokens)[0][0]
    place, context = 30, config.context
    for changed in range(len(tokens[0])):
        other = tokens.clone()
        other[0, changed] = (other[0, changed] + 1) % 388
        is_seen = place - context < changed <= place
        same = torch.equal(model(other)[0][0, place], logits[place])
        assert same != is_seen, changed


@both
@torch.no_grad()
def test_rows_that_begin_a_piece_from_zeros_forget_what_was_before(config: WindowedConfig) -> None:
    model, tokens = model_of(config), some_tokens(12, rows=2)
    _, state = model(some_tokens(9, rows=2, seed=1))
    keep = torch.tensor([True, False])[None, :, None]  # as the loss does at the start of a piece
    logits = model(tokens, None, tuple(part * keep for part in state))[0]
    torch.testing.assert_close(logits[1:], model(tokens[1:])[0], atol=1e-5, rtol=1e-4)


@both
@torch.no_grad()
def test_the_engine_computes_what_the_model_does(config: WindowedConfig) -> None:
    model = model_of(config)
    engine, tokens = engine_of(model), some_tokens(40)[0].tolist()
    expected = model(torch.tensor([[config.start_token, *tokens]]))[0][0].numpy()
    found = [engine.logits()]
    for token in tokens:
        engine.feed(token, no_notes())
        found.append(engine.logits())
    np.testing.assert_allclose(np.array(found), expected, atol=1e-4)


@both
def test_an_engine_goes_back_to_a_snapshot(config: WindowedConfig) -> None:
    engine = engine_of(model_of(config))
    engine.feed(60, no_notes())
    state = engine.snapshot()
    engine.feed(61, no_notes())
    expected = engine.logits()
    engine.feed(62, no_notes())
    engine.restore(state)
    engine.feed(61, no_notes())
    np.testing.assert_array_equal(engine.logits(), expected)
    shapes = [array.shape for array in state.state]
    assert shapes == list(config.state_shapes)
    assert sum(map(math.prod, shapes)) > 12


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        (ConvolutionConfig, {"longest_dilation": 0}, "longest_dilation is 0"),
        (ConvolutionConfig, {"residual": False}, "always has residual connections"),
        (AttentionConfig, {"attention_heads": 5}, "must be a divisor of hidden_size"),
        (AttentionConfig, {"span": 1}, "span is 1; it must be at least 2"),
    ],
)
def test_a_config_that_makes_no_model_is_refused(
    kind: type[WindowedConfig], change: dict[str, int], reason: str
) -> None:
    with pytest.raises(CheckpointError, match=reason):
        kind(**SIZES | change)  # type: ignore[arg-type]
