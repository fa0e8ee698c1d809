"""The language model: embedding, a stack of LSTM layers with residual connections, logits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from midirnn.models.config import ModelConfig
from midirnn.models.lstm import LSTMLayer
from midirnn.performance import NUM_PITCHES

State = tuple[Tensor, Tensor]
"""(h, c), each of shape (num_layers, B, hidden_size)."""

IMPOSSIBLE = -1e9
"""The logit of a token that the grammar forbids."""


class LanguageModel(nn.Module):
    """Logits of the next token from the tokens so far and the notes that sound.

    The state is explicit and never kept in the module. After S. Oore et al., "This Time with
    Feeling" (2018), with residual connections around each layer after the first.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size + 1, config.embedding_size)
        self.held = nn.Linear(NUM_PITCHES, config.embedding_size, bias=False)
        self.layers = nn.ModuleList(
            LSTMLayer(config.layer_input_size(layer), config.hidden_size)
            for layer in range(config.num_layers)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.hidden_size, config.vocab_size)
        self._initialize()

    def _initialize(self) -> None:
        nn.init.normal_(self.embedding.weight, std=0.5)
        nn.init.normal_(self.held.weight, std=0.1)
        nn.init.normal_(self.output.weight, std=0.02)
        nn.init.zeros_(self.output.bias)

    def initial_state(self, batch_size: int, device: torch.device | None = None) -> State:
        """The state before a piece: zeros of shape (num_layers, B, hidden_size)."""
        shape = (self.config.num_layers, batch_size, self.config.hidden_size)
        return torch.zeros(shape, device=device), torch.zeros(shape, device=device)

    def forward(
        self,
        tokens: Tensor,
        held: Tensor,
        controls: Tensor | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State]:
        """Logits (B, T, V) after each of ``tokens`` (B, T), and the state behind the last.

        ``held`` (B, T, 128) says which notes sound after each token. ``controls`` is for models
        that are steered; this one takes none.
        """
        if controls is not None:
            raise ValueError("this model takes no controls")
        h, c = state if state is not None else self.initial_state(len(tokens), tokens.device)
        tokens, held = tokens.t(), held.transpose(0, 1)  # time first: (T, B), (T, B, 128)
        hs, cs = [], []
        for index, layer in enumerate(self.layers):
            if index == 0:
                y, h_last, c_last = self._first_layer(tokens, held, h[0], c[0])
                x = y
            else:
                y, h_last, c_last = layer(self.dropout(x), h[index], c[index])
                x = x + y if self.config.residual else y  # (T, B, H)
            hs.append(h_last)
            cs.append(c_last)
        logits = self.output(self.dropout(x)).transpose(0, 1)  # (B, T, V)
        return logits, (torch.stack(hs), torch.stack(cs))

    def _first_layer(
        self, tokens: Tensor, held: Tensor, h: Tensor, c: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The first layer; on a CPU its input projection is a table with a row for each token."""
        layer = self.layers[0]
        assert isinstance(layer, LSTMLayer)
        held = held.to(self.embedding.weight.dtype)
        if tokens.device.type != "cpu" or (self.training and self.config.dropout):
            x = self.embedding(tokens)  # (T, B, E)
            if self.config.held_input:
                x = x + self.held(held)
            return layer(self.dropout(x), h, c)  # type: ignore[no-any-return]
        table = nn.functional.linear(self.embedding.weight, layer.weight_ih, layer.bias)
        projected = nn.functional.embedding(tokens, table)  # (T, B, 4H)
        if self.config.held_input:
            projected = projected + held @ (layer.weight_ih @ self.held.weight).t()
        return layer.recur(projected, h, c)


def masked_logits(logits: Tensor, mask: Tensor) -> Tensor:
    """Logits with those of impossible tokens (where ``mask`` is false) pushed to the bottom."""
    return logits.float().masked_fill(~mask, IMPOSSIBLE)


def from_weights(
    config: ModelConfig, weights: Mapping[str, npt.NDArray[np.float32]]
) -> LanguageModel:
    """The model with these weights, ready to evaluate."""
    model = LanguageModel(config)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return model.eval()
