"""Language models that look back on a window of tokens: convolutions, and attention.

These layers replace the recurrent ones of :class:`~midirnn.models.language_model.LanguageModel`.
The models are trained by the same task: their state, which holds what they keep of the last tokens,
is carried from window to window in the same way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from midirnn.models.language_model import LanguageModel, State
from midirnn.models.windowed_config import FEED_FORWARD, AttentionConfig, ConvolutionConfig


class WindowedModel(LanguageModel, ABC):
    """The base of both: the embedding is projected to the width of the layers."""

    config: ConvolutionConfig | AttentionConfig

    def _make_layers(self) -> None:
        config = self.config
        self.input = nn.Linear(config.embedding_size, config.hidden_size, bias=False)
        self.layers = nn.ModuleList(self._make_layer(layer) for layer in range(config.num_layers))

    @abstractmethod
    def _make_layer(self, layer: int) -> nn.Module:
        """Return a new layer."""

    def initial_state(self, batch_size: int, device: torch.device | None = None) -> State:
        """Return the state before a piece: zeros, the batch in the second dimension."""
        return tuple(
            torch.zeros((rows, batch_size, size), device=device)
            for rows, size in self.config.state_shapes
        )

    def _embedded(self, tokens: Tensor, beside: Tensor, weight: Tensor) -> Tensor:
        """Return the input of the first layer (T, B, H)."""
        x = self.embedding(tokens.t()) + beside.transpose(0, 1) @ weight.t()
        projected: Tensor = self.input(self.dropout(x))
        return projected


class ConvolutionLayer(nn.Module):
    """A gated causal convolution over two tokens, for a residual connection."""

    def __init__(self, size: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.gates = nn.Linear(2 * size, 2 * size)
        self.output = nn.Linear(size, size)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Return what to add to ``x`` (T, B, H), and the last inputs; ``past`` are those before.

        y_t = W (tanh(A [x_(t-d), x_t]) * sigmoid(B [x_(t-d), x_t])) for the dilation d.
        """
        inputs = torch.cat([past.to(x.dtype), x])  # (d + T, B, H)
        pairs = torch.cat([inputs[: len(x)], x], dim=2)  # (T, B, 2 * H)
        filtered, gate = self.gates(pairs).chunk(2, dim=2)
        return self.output(torch.tanh(filtered) * torch.sigmoid(gate)), inputs[len(x) :].float()


class Convolution(WindowedModel):
    """A stack of causal dilated convolutions, each seeing twice as far back as the one before."""

    config: ConvolutionConfig

    def _make_layer(self, layer: int) -> nn.Module:
        return ConvolutionLayer(self.config.hidden_size, self.config.dilations[layer])

    def _run_layers(
        self, tokens: Tensor, beside: Tensor, weight: Tensor, before: State
    ) -> tuple[Tensor, State]:
        """Return the last layer's output (T, B, H), and the state after it."""
        x, after = self._embedded(tokens, beside, weight), []
        pasts = torch.split(before[0], list(self.config.dilations))
        for layer, past in zip(self.layers, pasts, strict=True):
            y, last = layer(self.dropout(x), past)
            x = x + y
            after.append(last)
        return x, (torch.cat(after),)


class AttentionLayer(nn.Module):
    """A transformer layer: attention to a window, and a feed-forward part."""

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads, self.span = config.attention_heads, config.span
        self.norm, self.second_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.attention = nn.Linear(size, 3 * size)
        self.mixed = nn.Linear(size, size)
        self.wide = nn.Linear(size, FEED_FORWARD * size)
        self.narrow = nn.Linear(FEED_FORWARD * size, size)

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the output (T, B, H), and keys and values of the last tokens.

        ``keys`` and ``values`` (span - 1, B, H) are those of the tokens before. ``bias``
        (B, heads, T, span - 1 + T) is added to the scores; minus infinity masks a token.
        """
        query, key, value = self.attention(self.norm(x)).chunk(3, dim=2)
        keys = torch.cat([keys.to(key.dtype), key])
        values = torch.cat([values.to(value.dtype), value])
        seen = _attend(self._by_head(query), self._by_head(keys), self._by_head(values), bias)
        x = x + self.mixed(seen.permute(2, 0, 1, 3).flatten(2))
        wide = nn.functional.gelu(self.wide(self.second_norm(x)), approximate="tanh")
        x = x + self.narrow(wide)
        kept = slice(len(keys) - self.span + 1, None)
        return x, keys[kept].float(), values[kept].float()

    def _by_head(self, x: Tensor) -> Tensor:
        """Return (T, B, H) as (B, heads, T, H / heads)."""
        return x.view(*x.shape[:2], self.heads, -1).permute(1, 2, 0, 3)


def _attend(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """Return the result of the attention (B, heads, T, H / heads).

    On a CPU in float32: in bfloat16 heads this small take three times as long, even with AMX.
    """
    attend = nn.functional.scaled_dot_product_attention
    if query.device.type != "cpu":
        return attend(query, keys, values, bias.to(query.dtype))
    with torch.autocast("cpu", enabled=False):
        return attend(query.float(), keys.float(), values.float(), bias.float())


class Attention(WindowedModel):
    """A small transformer whose layers attend to a window of tokens."""

    config: AttentionConfig

    def _make_layers(self) -> None:
        super()._make_layers()
        self.final_norm = nn.LayerNorm(self.config.hidden_size)

    def _make_layer(self, layer: int) -> nn.Module:
        return AttentionLayer(self.config)

    def _run_layers(
        self, tokens: Tensor, beside: Tensor, weight: Tensor, before: State
    ) -> tuple[Tensor, State]:
        """Return the last layer's output (T, B, H), and the state after it."""
        x = self._embedded(tokens, beside, weight)
        keys, values, heard = before
        bias = self._bias(len(x), heard[0, :, 0])
        rows = self.config.span - 1
        after_keys, after_values = [], []
        for layer, key, value in zip(
            self.layers, torch.split(keys, rows), torch.split(values, rows), strict=True
        ):
            x, key, value = layer(x, key, value, bias)
            x = self.dropout(x)
            after_keys.append(key)
            after_values.append(value)
        after = torch.cat(after_keys), torch.cat(after_values), heard + len(x)
        return self.final_norm(x), after

    def _bias(self, steps: int, heard: Tensor) -> Tensor:
        """Return the bias that is added to the scores (B, heads, T, span - 1 + T).

        ``heard`` (B,) is the number of tokens before the window: rows that hold none are masked.
        """
        span, device = self.config.span, heard.device
        behind = torch.arange(steps, device=device)[:, None] + span - 1
        behind = behind - torch.arange(span - 1 + steps, device=device)[None, :]
        slopes = torch.tensor(self.config.slopes, device=device)
        bias = -slopes[:, None, None] * behind  # (heads, T, span - 1 + T)
        bias = bias.masked_fill((behind < 0) | (behind >= span), -torch.inf)
        row = torch.arange(span - 1 + steps, device=device)
        empty = row[None, :] < span - 1 - heard[:, None].clamp(max=span - 1)
        return bias[None].masked_fill(empty[:, None, None, :], -torch.inf)
