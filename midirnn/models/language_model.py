"""The language model: embedding, recurrent layers with residual connections, logits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from midirnn.codecs.controls import NUM_CONTROL_INPUTS
from midirnn.codecs.recall import LENGTHS, NUM_MATCHES, NUM_VIEWPOINTS
from midirnn.models.cells import find_cell
from midirnn.models.config import ModelConfig
from midirnn.models.layers import RecurrentLayer, projects_input
from midirnn.performance import NUM_PITCHES

State = tuple[Tensor, ...]
"""A tensor (num_layers, B, hidden_size) for each of the cell's states, h first."""

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
        if config.recall_notes:
            # A pitch recalled, and in which viewpoint a context of which length was found.
            self.recalled = nn.Linear(NUM_PITCHES + NUM_MATCHES, config.embedding_size, bias=False)
            self.trust = nn.Linear(config.hidden_size, NUM_MATCHES)
        if config.control_inputs:
            self.controls = nn.Linear(NUM_CONTROL_INPUTS, config.embedding_size, bias=False)
        self.cell = find_cell(config.cell)
        self.layers = nn.ModuleList(
            RecurrentLayer(self.cell, config.layer_input_size(layer), config.hidden_size)
            for layer in range(config.num_layers)
        )
        if config.layer_norm:  # of what each layer puts out, before it is read
            self.norms = nn.ModuleList(nn.LayerNorm(config.hidden_size) for _ in self.layers)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.hidden_size, config.vocab_size)
        if config.tied_embedding:
            self.output.register_parameter("weight", None)
        self._initialize()

    def _initialize(self) -> None:
        tied = self.config.tied_embedding
        nn.init.normal_(self.embedding.weight, std=0.1 if tied else 0.5)
        nn.init.normal_(self.held.weight, std=0.1)
        if not tied:
            nn.init.normal_(self.output.weight, std=0.02)
        nn.init.zeros_(self.output.bias)
        # What is added to a model begins as nothing: it learns how far to trust it.
        for added in (
            *([self.recalled, self.trust] if self.config.recall_notes else []),
            *([self.controls] if self.config.control_inputs else []),
        ):
            for weight in added.parameters():
                nn.init.zeros_(weight)

    def initial_state(self, batch_size: int, device: torch.device | None = None) -> State:
        """Return the state before a piece: zeros."""
        shape = (self.config.num_layers, batch_size, self.config.hidden_size)
        return tuple(torch.zeros(shape, device=device) for _ in self.cell.states)

    def forward(
        self,
        tokens: Tensor,
        held: Tensor,
        recalled: Tensor | None = None,
        controls: Tensor | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State]:
        """Logits (B, T, V) after each of ``tokens`` (B, T), and the state behind the last.

        ``held`` (B, T, 128) says which notes sound after each token, ``recalled`` (B, T, 3, 2) what
        the notes so far recall, ``controls`` (B, T, 28) what is asked for. What the config does not
        have is not looked at; None stands for zeros.
        """
        before = state if state is not None else self.initial_state(len(tokens), tokens.device)
        if recalled is None:
            recalled = tokens.new_zeros((*tokens.shape, NUM_VIEWPOINTS, 2))
        if controls is None:
            controls = self.embedding.weight.new_zeros((*tokens.shape, NUM_CONTROL_INPUTS))
        features, weight = self._features(held, recalled, controls)
        after = []
        for index, (layer, *parts) in enumerate(zip(self.layers, *before, strict=True)):
            if index == 0:
                x, last = self._first_layer(tokens, features, weight, tuple(parts))
            else:
                y, last = layer(self._read(x, index), tuple(parts))
                x = x + y if self.config.residual else y  # (T, B, H)
            after.append(last)
        x = self._read(x, len(self.layers)).transpose(0, 1)  # (B, T, H)
        logits = nn.functional.linear(x, self._output_weight, self.output.bias)  # (B, T, V)
        if self.config.recall_notes:
            logits = _boosted(logits, recalled, self.trust(x))
        return logits, tuple(torch.stack(parts) for parts in zip(*after, strict=True))

    @property
    def _output_weight(self) -> Tensor:
        """What each token's logit weighs the last layer by (V, H).

        With a tied embedding that is the token's own (O. Press and L. Wolf, 2017).
        """
        tied = self.config.tied_embedding
        return self.embedding.weight[: self.config.vocab_size] if tied else self.output.weight

    def _read(self, x: Tensor, layer: int) -> Tensor:
        """What a layer after the first reads of those below it (T, B, H); the output is the last.

        Layer normalisation is J. Ba, J. Kiros and G. Hinton's (2016), between layers only.
        """
        if self.config.layer_norm:
            x = self.norms[layer - 1](x)
        dropped: Tensor = self.dropout(x)
        return dropped

    def _features(self, held: Tensor, recalled: Tensor, controls: Tensor) -> tuple[Tensor, Tensor]:
        """All that is read beside the token, side by side (B, T, F), and its weights (E, F)."""
        embedding = self.embedding.weight
        features, weights = [embedding.new_zeros((*held.shape[:2], 0))], [embedding[:0].t()]
        if self.config.held_input:
            features.append(held.to(embedding.dtype))
            weights.append(self.held.weight)
        if self.config.recall_notes:
            features.append(_recall_features(recalled))
            weights.append(self.recalled.weight)
        if self.config.control_inputs:
            features.append(controls)
            weights.append(self.controls.weight)
        return torch.cat(features, dim=2), torch.cat(weights, dim=1)

    def _first_layer(
        self, tokens: Tensor, features: Tensor, weight: Tensor, state: State
    ) -> tuple[Tensor, State]:
        """Run the first layer; on a CPU its input projection is a table, a row for each token."""
        layer = self.layers[0]
        assert isinstance(layer, RecurrentLayer)
        tokens, features = tokens.t(), features.transpose(0, 1)  # time first: (T, B), (T, B, F)
        if not projects_input(self.cell, tokens.device) or (self.training and self.config.dropout):
            x = self.embedding(tokens) + features @ weight.t()  # (T, B, E)
            return layer(self.dropout(x), state)  # type: ignore[no-any-return]
        table = nn.functional.linear(self.embedding.weight, layer.weight_ih, layer.bias)
        projected = nn.functional.embedding(tokens, table)  # (T, B, G * H)
        projected = projected + features @ (layer.weight_ih @ weight).t()
        return layer.recur(projected, state)


def _recall_features(recalled: Tensor) -> Tensor:
    """Which pitches are recalled, and by which match; (B, T, 128 + 39) from (B, T, 3, 2)."""
    found = (recalled[..., 1] > 0).float()  # (B, T, 3)
    features = found.new_zeros((*found.shape[:2], NUM_PITCHES + NUM_MATCHES))
    features = features.scatter_add(2, recalled[..., 0], found)
    return features.scatter_add(2, NUM_PITCHES + _match_index(recalled), found)


def _match_index(recalled: Tensor) -> Tensor:
    """The number of each viewpoint's match: viewpoint by viewpoint, then by length; (B, T, 3)."""
    first = torch.arange(0, NUM_MATCHES, LENGTHS, device=recalled.device)
    return recalled[..., 1] + first


def _boosted(logits: Tensor, recalled: Tensor, trust: Tensor) -> Tensor:
    """Logits with what is recalled made likelier as far as ``trust`` (B, T, 39) goes."""
    found = recalled[..., 1] > 0
    boost = trust.float().gather(2, _match_index(recalled)) * found
    return logits.float().scatter_add(2, recalled[..., 0], boost)  # note-ons are the first ids


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
