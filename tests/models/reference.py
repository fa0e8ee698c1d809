"""A second implementation of the language model: token by token, in numpy and fp64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.codecs import PerformanceCodec, Tokens
from midirnn.codecs.recall import NO_MATCHES
from midirnn.models.config import ModelConfig

Array = npt.NDArray[np.float64]
State = list[tuple[Array, ...]]
"""The state of each layer: arrays (H,), h first."""


def random_weights(
    config: ModelConfig, seed: int = 0, scale: float = 0.3
) -> dict[str, npt.NDArray[np.float32]]:
    """Return random weights, with which all inputs of a model have an effect."""
    from midirnn.models.checkpoint import expected_shapes

    rng = np.random.default_rng(seed)
    return {
        name: (scale * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in expected_shapes(config).items()
    }


def zero_state(config: ModelConfig) -> State:
    states = 2 if config.cell == "lstm" else 1
    return [(np.zeros(config.hidden_size),) * states for _ in range(config.num_layers)]


def in_fp64(weights: Mapping[str, npt.NDArray[Any]]) -> dict[str, Array]:
    return {name: array.astype(np.float64, copy=False) for name, array in weights.items()}


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def layer_norm(x: Array, w: Mapping[str, Array], layer: int) -> Array:
    normalized = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    scaled: Array = normalized * w[f"norms.{layer}.weight"] + w[f"norms.{layer}.bias"]
    return scaled


def cell_step(
    config: ModelConfig, w: Mapping[str, Array], layer: int, x: Array, state: tuple[Array, ...]
) -> tuple[Array, ...]:
    """Return the state of a layer after a step."""
    name, h = f"layers.{layer}", state[0]
    from_x = w[f"{name}.weight_ih"] @ x + w[f"{name}.bias"]
    from_h = w[f"{name}.weight_hh"] @ h
    if config.cell == "rnn":
        return (np.tanh(from_x + from_h),)
    if config.cell == "gru":
        x_r, x_z, x_n = np.split(from_x, 3)
        h_r, h_z, h_n = np.split(from_h + w[f"{name}.recurrent_bias"], 3)
        z = sigmoid(x_z + h_z)
        return ((1 - z) * np.tanh(x_n + sigmoid(x_r + h_r) * h_n) + z * h,)
    i, f, g, o = np.split(from_x + from_h, 4)
    c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def step(
    config: ModelConfig,
    weights: Mapping[str, npt.NDArray[Any]],
    token: int,
    held: npt.NDArray[np.bool_],
    state: State,
    recalled: npt.NDArray[np.int64] = NO_MATCHES,
    controls: npt.NDArray[np.float32] | None = None,
) -> tuple[Array, State]:
    """Return the logits (V,) and the state after a token."""
    w = in_fp64(weights)
    matches = [(v, pitch, length) for v, (pitch, length) in enumerate(recalled.tolist()) if length]
    x = w["embedding.weight"][token]
    if config.held_input:
        x = x + w["held.weight"] @ held
    if config.recall_notes:
        for viewpoint, pitch, length in matches:
            x = x + w["recalled.weight"][:, pitch]
            x = x + w["recalled.weight"][:, 128 + 13 * viewpoint + length]
    if config.control_inputs and controls is not None:
        x = x + w["controls.weight"] @ controls
    behind: State = []
    below = x
    for layer, before in enumerate(state):
        after = cell_step(config, w, layer, below, before)
        h = after[0]
        behind.append(after)
        x = x + h if config.residual and layer else h
        below = layer_norm(x, w, layer) if config.layer_norm else x
    tied = config.tied_embedding
    output = w["embedding.weight"][:-1] if tied else w["output.weight"]
    logits = output @ below + w["output.bias"]
    if config.recall_notes:
        trust = w["trust.weight"] @ below + w["trust.bias"]
        for viewpoint, pitch, length in matches:
            logits[pitch] += trust[13 * viewpoint + length]
    return logits, behind


def token_losses(
    config: ModelConfig,
    weights: Mapping[str, npt.NDArray[Any]],
    codec: PerformanceCodec,
    piece: Tokens,
    *,
    use_mask: bool = True,
) -> list[float]:
    """Return the negative log-likelihood of each token of a piece, with the state carried along."""
    w = in_fp64(weights)
    grammar = codec.constraint()
    grammar_state = grammar.start()
    logits, state = step(config, w, config.start_token, grammar_state.held, zero_state(config))
    losses = []
    for token in piece.tolist():
        allowed = grammar.mask(grammar_state) if use_mask else np.ones(len(logits), dtype=bool)
        assert allowed[token]
        losses.append(float(np.log(np.exp(logits[allowed]).sum()) - logits[token]))
        grammar.advance(grammar_state, token)
        logits, state = step(config, w, token, grammar_state.held, state)
    return losses
