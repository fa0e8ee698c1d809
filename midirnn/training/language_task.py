"""Train a language model: predict each token from those before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from midirnn.codecs import Augmentation, Codec, Tokens
from midirnn.datasets.ahead import Windows, WindowsAhead
from midirnn.datasets.draws import PieceDraw, excerpts, lengths_of
from midirnn.datasets.mixture import JoinedPieces, Source, chances_of, shares_of
from midirnn.datasets.windows import Batch, Inputs, TrainingWindows
from midirnn.errors import DatasetError, OptionError
from midirnn.files import usable_processors
from midirnn.models.architectures import find_architecture
from midirnn.models.config import ModelConfig
from midirnn.models.language_model import LanguageModel, State
from midirnn.training.config import TrainingConfig
from midirnn.training.distributed import Team
from midirnn.training.evaluate import Evaluation, combined, evaluate
from midirnn.training.losses import token_losses
from midirnn.training.task import Task
from midirnn.training.without_terms import leave_out_terms


@dataclass(frozen=True)
class Part:
    """Some rows of a batch."""

    batch: Batch
    rows: slice
    """The slice of these rows in the whole batch."""


def make_language_model(
    config: ModelConfig, weights: Mapping[str, npt.NDArray[np.float32]] | None = None
) -> LanguageModel:
    """Return the model of a config, with these weights or random ones."""
    model = find_architecture(config.architecture).build(config)
    assert isinstance(model, LanguageModel)
    if weights is not None:
        model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return model


class LanguageModelTask(Task):
    """Next-token prediction on windows of pieces, carrying the recurrent state between them."""

    model: LanguageModel
    codec: Codec[Any]

    objective = "validation_nats_per_token"
    state_keys: ClassVar[frozenset[str]] = frozenset({"windows", "state"})

    def __init__(
        self,
        config: ModelConfig,
        recipe: TrainingConfig,
        codec: Codec[Any],
        sources: Sequence[Source],
        team: Team,
    ) -> None:
        for source in sources:
            if not source.tokens:
                raise DatasetError(f"{source.name} has no pieces in its train split")
        longest = max(int(lengths_of(source.train).max()) for source in sources)
        _check_window(recipe.window, longest)
        self.config = config
        self.codec = codec
        self.reading: dict[str, Any] = (
            {"window": recipe.window, "stateless": True} if recipe.stateless else {}
        )
        self.rows = team.rows(recipe.batch_size)
        self.model = make_language_model(config).to(team.device)
        leave_out_terms(self.model, recipe.without_terms)
        self.validation = {
            source.name: excerpts(source.validation, recipe.validation_tokens)
            for source in sources
            if lengths_of(source.validation).any()
        }
        """Excerpts of each source that has any, by name."""
        self.has_validation = bool(self.validation)
        self.data = _figures(sources, self.validation.values())
        self._shares = dict(zip((s.name for s in sources), shares_of(sources), strict=True))
        self.draw = PieceDraw(
            JoinedPieces([source.train for source in sources]),
            Augmentation(recipe.transpose, recipe.stretch),
            codec,
            chances_of(sources),
        )
        self.windows: Windows = TrainingWindows(
            self.draw,
            codec,
            rows=self.rows,
            window=recipe.window,
            segment=recipe.tokens_at_a_time,
            inputs=Inputs(config.start_token, config.features),
            seed=recipe.seed,
            steered=recipe.steered if config.control_inputs else 0.0,
        )
        if usable_processors() > recipe.threads:
            self.windows = WindowsAhead(self.windows)
        self._carried: State = self.model.initial_state(len(self.rows), team.device)

    def next_batch(self) -> Batch:
        """Return the next window of each row."""
        return next(self.windows)

    def loss(self, batch: Part | Batch, *, bf16: bool) -> tuple[Tensor, int]:
        """Return the mean negative log-likelihood of a batch's tokens, and their number."""
        part = batch if isinstance(batch, Part) else Part(batch, slice(None))
        before = tuple(state[:, part.rows] for state in self._carried)
        losses, valid, after = token_losses(self.model, part.batch, before, bf16=bf16)
        for state, new in zip(self._carried, after, strict=True):
            state[:, part.rows] = new.detach()
        tokens = int(part.batch.valid.sum())
        return (losses * valid).sum() / tokens, tokens

    def parts(self, batch: Batch, count: int) -> list[tuple[Part, float]]:
        """Return the batch in parts of about equal size, each with its share of the tokens."""
        rows = len(batch.inputs)
        edges = [rows * number // count for number in range(count + 1)]
        tokens = batch.valid.sum()
        return [
            (Part(batch.part(slice(a, b)), slice(a, b)), float(batch.valid[a:b].sum() / tokens))
            for a, b in pairwise(edges)
            if b > a
        ]

    def validate(self, rank: int, size: int, *, bf16: bool) -> dict[str, Evaluation]:
        """Evaluate the model on every ``size``-th excerpt of each source."""
        return {
            name: evaluate(self.model, self.codec, pieces[rank::size], bf16=bf16, **self.reading)
            for name, pieces in self.validation.items()
        }

    def metrics(self, results: Sequence[dict[str, Evaluation]]) -> dict[str, float]:
        """Return nats per token: overall, for each group of the vocabulary, for each source.

        Means over sources are weighted as in training.
        """
        each = {name: combined([result[name] for result in results]) for name in self.validation}
        nats = {name: evaluation.nats_per_token for name, evaluation in each.items()}
        values = {self.objective: _mean(nats, self._shares)}
        by_group = {n: e.to_dict()["nats_per_token_by_type"] for n, e in each.items()}
        for group in self.codec.groups():
            of_group = {name: groups[group] for name, groups in by_group.items()}
            values[f"nats_{group}"] = _mean(of_group, self._shares)
        if len(self._shares) > 1:
            values |= {f"{self.objective}/{name}": value for name, value in nats.items()}
        return values

    def state(self) -> tuple[list[dict[str, Any]], State]:
        """Return the position of each row's windows, and the recurrent state."""
        return self.windows.state(), tuple(part.cpu() for part in self._carried)

    def join(self, states: Sequence[Any]) -> dict[str, Any]:
        """Return the rows of all processes as those of one batch."""
        windows, carried = zip(*states, strict=True)
        return {
            "windows": [row for rows in windows for row in rows],
            "state": tuple(torch.cat(parts, dim=1) for parts in zip(*carried, strict=True)),
        }

    def read_on(self, state: Mapping[str, Any]) -> None:
        """Draw the next pieces of this process's rows with the generators of a saved state."""
        self.windows.restore_randomness(state["windows"][self.rows.start : self.rows.stop])

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with this process's rows."""
        rows = slice(self.rows.start, self.rows.stop)
        self.windows.restore(state["windows"][rows])
        device = next(self.model.parameters()).device
        self._carried = tuple(part[:, rows].to(device) for part in state["state"])


def _check_window(window: int, longest: int) -> None:
    """Raise :class:`OptionError` for a window that no piece of the training split fills."""
    if window > longest:
        raise OptionError(
            f"window is {window}, and the longest piece for training has {longest} tokens: take "
            f"a --window of at most {longest}, or longer pieces"
        )


def _figures(sources: Sequence[Source], validation: Iterable[Sequence[Tokens]]) -> dict[str, Any]:
    """Return the figures of the data by which a resumed run recognises it."""
    lengths = [lengths_of(source.train) for source in sources]
    figures: dict[str, Any] = {
        "train_pieces": sum(int(np.count_nonzero(of_source)) for of_source in lengths),
        "train_tokens": sum(int(of_source.sum()) for of_source in lengths),
        "validation_excerpt_tokens": sum(len(piece) for pieces in validation for piece in pieces),
    }
    if len(sources) > 1:
        figures["mixture"] = [
            f"{source.name}: {source.tokens} tokens, weight {source.weight:g}" for source in sources
        ]
    return figures


def _mean(values: Mapping[str, float], shares: Mapping[str, float]) -> float:
    """Return the mean of values by name, weighted by the shares of these names."""
    total = sum(shares[name] for name in values)
    return sum(shares[name] / total * value for name, value in values.items())
