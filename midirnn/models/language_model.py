"""The language model: embedding, recurrent layers with residual connections, logits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from midirnn.features import Feature
from midirnn.models import lstm_choice
from midirnn.models.cells import find_cell
from midirnn.models.config import ModelConfig
from midirnn.models.features import feature_numbers, with_feature
from midirnn.models.layers import RecurrentLayer, projects_input
from midirnn.models.row_sums import row_sums

State = tuple[Tensor, ...]
"""A tensor (num_layers, B, hidden_size) for each of the cell's states, h first."""

IMPOSSIBLE = -1e9
"""The logit of a token that the constraint forbids."""


class LanguageModel(nn.Module):
    """Computes the logits of the next token from the tokens so far and the features beside them.

    The state is explicit and never kept in the module. After S. Oore et al., "This Time with
    Feeling" (2018), with residual connections around each layer after the first.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size + 1, config.embedding_size)
        for feature in config.features:
            if feature.width:
                self.add_module(
                    feature.layer, nn.Linear(feature.width, config.embedding_size, bias=False)
                )
            if feature.head:
                self.add_module(feature.head, nn.Linear(config.hidden_size, feature.head_rows))
        self.cell = find_cell(config.cell)
        self._make_layers()
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.hidden_size, config.vocab_size)
        if config.tied_embedding:
            self.output.register_parameter("weight", None)
        self._initialize()

    def _make_layers(self) -> None:
        """Make the layers between the embedding and the output."""
        config = self.config
        self.layers = nn.ModuleList(
            RecurrentLayer(self.cell, config.layer_input_size(layer), config.hidden_size)
            for layer in range(config.num_layers)
        )
        if config.layer_norm:  # of each layer's output, before it is read
            self.norms = nn.ModuleList(nn.LayerNorm(config.hidden_size) for _ in self.layers)

    def _initialize(self) -> None:
        tied = self.config.tied_embedding
        nn.init.normal_(self.embedding.weight, std=0.1 if tied else 0.5)
        # A feature with an initial_std of 0 starts unused: the model learns how far to use it.
        for feature in self.config.inputs:
            weight = self._weight_of(feature)
            if feature.initial_std:
                nn.init.normal_(weight, std=feature.initial_std)
            else:
                nn.init.zeros_(weight)
        if not tied:
            nn.init.normal_(self.output.weight, std=0.02)
        nn.init.zeros_(self.output.bias)
        for feature in self.config.features:
            if feature.head:
                for parameter in self.get_submodule(feature.head).parameters():
                    nn.init.zeros_(parameter)

    def initial_state(self, batch_size: int, device: torch.device | None = None) -> State:
        """Return the state before a piece: zeros."""
        shape = (self.config.num_layers, batch_size, self.config.hidden_size)
        return tuple(torch.zeros(shape, device=device) for _ in self.cell.states)

    def forward(
        self,
        tokens: Tensor,
        features: Mapping[str, Tensor] | None = None,
        state: State | None = None,
    ) -> tuple[Tensor, State]:
        """Return the logits (B, T, V) after each of ``tokens`` (B, T), and the last state.

        ``features`` are the windows of the model's features (see
        :class:`~midirnn.features.Feature`) by name: ``held`` (B, T, 128), ``recall``
        (B, T, 3, 2), ``controls`` (B, T, 28). A missing one counts as all 0.
        """
        before = state if state is not None else self.initial_state(len(tokens), tokens.device)
        given = self._windows(tokens, features or {})
        beside, weight = self._beside(tokens, given)
        x, after = self._run_layers(tokens, beside, weight, before)
        x = self._read(x, len(self.layers)).transpose(0, 1)  # (B, T, H)
        logits = nn.functional.linear(x, self._output_weight, self.output.bias)  # (B, T, V)
        for feature in self.config.features:
            if feature.head:
                weights = self.get_submodule(feature.head)(x)
                logits = with_feature(logits, feature, weights, given[feature.name])
        return logits, after

    def _run_layers(
        self, tokens: Tensor, beside: Tensor, weight: Tensor, before: State
    ) -> tuple[Tensor, State]:
        """Return the last layer's output (T, B, H), and the state after it.

        ``beside`` (B, T, F) are the numbers of the features, ``weight`` (E, F) their weights.
        """
        after = []
        for index, (layer, *parts) in enumerate(zip(self.layers, *before, strict=True)):
            if index == 0:
                x, last = self._first_layer(tokens, beside, weight, tuple(parts))
            else:
                y, last = layer(self._read(x, index), tuple(parts))
                x = x + y if self.config.residual else y  # (T, B, H)
            after.append(last)
        return x, tuple(torch.stack(parts) for parts in zip(*after, strict=True))

    @property
    def _output_weight(self) -> Tensor:
        """The weights (V, H) of the logits.

        With a tied embedding they are the tokens' embeddings (O. Press and L. Wolf, 2017).
        """
        tied = self.config.tied_embedding
        return self.embedding.weight[: self.config.vocab_size] if tied else self.output.weight

    def _read(self, x: Tensor, layer: int) -> Tensor:
        """Return the input of a layer after the first, or of the output, (T, B, H) from ``x``.

        Layer normalisation is J. Ba, J. Kiros and G. Hinton's (2016), between layers only.
        """
        if self.config.layer_norm:
            x = self.norms[layer - 1](x)
        dropped: Tensor = self.dropout(x)
        return dropped

    def _weight_of(self, feature: Feature) -> Tensor:
        """Return the weights (E, width) of a feature."""
        weight = self.get_submodule(feature.layer).weight
        assert isinstance(weight, Tensor)
        return weight

    def _windows(self, tokens: Tensor, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the window of each of the model's features, zeros where it is missing."""
        given = {}
        for feature in self.config.features:
            if feature.name in features:
                given[feature.name] = features[feature.name]
            else:
                shape = (*tokens.shape, *feature.window_shape)
                kind = torch.from_numpy(np.zeros(0, feature.window_type)).dtype
                given[feature.name] = tokens.new_zeros(shape, dtype=kind)
        return given

    def _beside(self, tokens: Tensor, given: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the concatenated numbers of all features (B, T, F), and their weights (E, F)."""
        embedding = self.embedding.weight
        numbers, weights = [embedding.new_zeros((*tokens.shape, 0))], [embedding[:0].t()]
        for feature in self.config.inputs:
            numbers.append(feature_numbers(feature, given[feature.name]).to(embedding.dtype))
            weights.append(self._weight_of(feature))
        return torch.cat(numbers, dim=2), torch.cat(weights, dim=1)

    def _first_layer(
        self, tokens: Tensor, features: Tensor, weight: Tensor, state: State
    ) -> tuple[Tensor, State]:
        """Run the first layer on embedded or looked-up inputs, whichever is faster."""
        tokens, features = tokens.t(), features.transpose(0, 1)  # time first: (T, B), (T, B, F)
        by_table = partial(self._first_by_table, tokens, features, weight, state)
        by_embedding = partial(self._first_by_embedding, tokens, features, weight, state)
        if not projects_input(self.cell, tokens.device) or (self.training and self.config.dropout):
            return by_embedding()
        if self.cell.name == "lstm":
            layer = self.layers[0]
            assert isinstance(layer, RecurrentLayer)
            own = [layer.weight_ih, layer.weight_hh, layer.bias]
            weights = [self.embedding.weight, weight, *own]
            if lstm_choice.embedding_is_faster(tokens, weights, by_table, by_embedding):
                return by_embedding()
        return by_table()

    def _first_by_embedding(
        self, tokens: Tensor, features: Tensor, weight: Tensor, state: State
    ) -> tuple[Tensor, State]:
        x = self.embedding(tokens) + features @ weight.t()  # (T, B, E)
        return self.layers[0](self.dropout(x), state)  # type: ignore[no-any-return]

    def _first_by_table(
        self, tokens: Tensor, features: Tensor, weight: Tensor, state: State
    ) -> tuple[Tensor, State]:
        """Run the first layer from a table of projected inputs, a row per token and feature."""
        layer = self.layers[0]
        assert isinstance(layer, RecurrentLayer)
        table = nn.functional.linear(self.embedding.weight, layer.weight_ih, layer.bias)
        table = torch.cat([table, (layer.weight_ih @ weight).t()])
        projected = row_sums(table, tokens, features)  # (T, B, G * H)
        return layer.recur(projected, state)


def masked_logits(logits: Tensor, mask: Tensor) -> Tensor:
    """Return the logits, with those of tokens where ``mask`` is false set to :data:`IMPOSSIBLE`."""
    return logits.float().masked_fill(~mask, IMPOSSIBLE)


def from_weights(
    config: ModelConfig, weights: Mapping[str, npt.NDArray[np.float32]]
) -> LanguageModel:
    """Return the model with these weights, ready to evaluate."""
    model = LanguageModel(config)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return model.eval()
