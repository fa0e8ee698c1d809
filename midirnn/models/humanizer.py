"""The network that plays scores: a bidirectional encoder and a decoder, in torch.

The encoder reads the whole score, forwards and backwards; the states of both directions are
concatenated to s(n) at note n. Its final states are the context C, from which the decoder starts.
The decoder reads, for each note, how the note before it was played and, if ``aligned``, s(n).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from midirnn.models.cells import find_cell
from midirnn.models.humanizer_config import HumanizerConfig
from midirnn.models.layers import RecurrentLayer


class Humanizer(nn.Module):
    """Predicts how each note of a score is played, given how the notes before it were."""

    def __init__(self, config: HumanizerConfig) -> None:
        super().__init__()
        self.config = config
        lstm = find_cell("lstm")
        sizes = [config.embedding_size] + [config.state_size] * (config.encoder_layers - 1)
        self.embedding = nn.Linear(len(config.traits), config.embedding_size)
        self.forwards, self.backwards = (
            nn.ModuleList(RecurrentLayer(lstm, size, config.encoder_size) for size in sizes)
            for _ in range(2)
        )
        self.start = nn.Linear(config.state_size, 2 * config.decoder_size)
        self.decoder = RecurrentLayer(lstm, config.decoder_input, config.decoder_size)
        self.heads = nn.Linear(config.head_input, sum(config.outputs.values()))
        self.drop = nn.Dropout(config.dropout)

    def encode(self, traits: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states s (N, B, S) and the context C (B, S), of traits (N, B, F)."""
        x = self.drop(torch.tanh(self.embedding(traits)))
        zeros = x.new_zeros((x.shape[1], self.config.encoder_size), dtype=torch.float32)
        for forwards, backwards in zip(self.forwards, self.backwards, strict=True):
            ahead, (last, _) = forwards(x, (zeros, zeros))
            behind, (first, _) = backwards(x.flip(0), (zeros, zeros))
            x = self.drop(torch.cat([ahead, behind.flip(0)], dim=2))
        return x, torch.cat([last, first], dim=1)

    def decode(self, states: Tensor, context: Tensor, history: Tensor) -> list[Tensor]:
        """Return the logits (N, B, classes) of each quantity.

        ``history`` (N, B, HISTORY) is what the decoder reads of the note before each one.
        """
        begin = torch.tanh(self.start(context)).float().chunk(2, dim=1)
        reads = torch.cat([history, states], dim=2) if self.config.aligned else history
        h, _ = self.decoder(reads, begin)
        h = self.drop(h)
        seen = torch.cat([h, states.to(h.dtype)], dim=2) if self.config.aligned else h
        return list(self.heads(seen).split(list(self.config.outputs.values()), dim=2))

    def forward(self, traits: Tensor, history: Tensor) -> list[Tensor]:
        """Return the logits of each quantity; see :meth:`encode` and :meth:`decode`."""
        return self.decode(*self.encode(traits), history)
