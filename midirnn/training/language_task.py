"""Train a language model: predict each token from those before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from midirnn.codecs import Augmentation, Codec, Tokens
from midirnn.datasets.draws import PieceDraw, excerpts, lengths_of
from midirnn.datasets.windows import Batch, Inputs, TrainingWindows
from midirnn.errors import DatasetError, OptionError
from midirnn.models.config import ModelConfig
from midirnn.models.language_model import LanguageModel, State
from midirnn.training.config import TrainingConfig
from midirnn.training.distributed import Team
from midirnn.training.evaluate import combined, evaluate
from midirnn.training.losses import token_losses
from midirnn.training.task import Task


class LanguageModelTask(Task):
    """Next-token prediction on windows of pieces, the recurrent state carried between them."""

    model: LanguageModel

    objective = "validation_nats_per_token"
    state_keys: ClassVar[frozenset[str]] = frozenset({"windows", "state"})

    def __init__(
        self,
        config: ModelConfig,
        recipe: TrainingConfig,
        codec: Codec[Any],
        train: Sequence[Tokens],
        validation: Sequence[Tokens],
        team: Team,
    ) -> None:
        lengths = lengths_of(train)
        if not lengths.any():
            raise DatasetError("the data set has no pieces in its train split")
        _check_window(recipe.window, int(lengths.max()))
        self.config = config
        self.codec = codec
        self.reading: dict[str, Any] = (
            {"window": recipe.window, "stateless": True} if recipe.stateless else {}
        )
        self.rows = team.rows(recipe.batch_size)
        self.model = LanguageModel(config).to(team.device)
        self.validation = excerpts(validation, recipe.validation_tokens)
        self.has_validation = bool(self.validation)
        self.data = {
            "train_pieces": int(np.count_nonzero(lengths)),
            "train_tokens": int(lengths.sum()),
            "validation_excerpt_tokens": sum(map(len, self.validation)),
        }
        self.windows = TrainingWindows(
            PieceDraw(train, Augmentation(recipe.transpose, recipe.stretch), codec),
            codec,
            rows=self.rows,
            window=recipe.window,
            segment=recipe.tokens_at_a_time,
            inputs=Inputs(config.start_token, config.features),
            seed=recipe.seed,
            steered=recipe.steered if config.control_inputs else 0.0,
        )
        self._carried: State = self.model.initial_state(len(self.rows), team.device)

    def next_batch(self) -> Batch:
        """Return the next window of each row."""
        return next(self.windows)

    def loss(self, batch: Batch, *, bf16: bool) -> tuple[Tensor, int]:
        """Return the mean negative log-likelihood of a batch's tokens, and how many there are."""
        tokens = int(batch.valid.sum())
        losses, valid, after = token_losses(self.model, batch, self._carried, bf16=bf16)
        self._carried = tuple(part.detach() for part in after)
        return (losses * valid).sum() / tokens, tokens

    def validate(self, rank: int, size: int, *, bf16: bool) -> Any:
        """Evaluate the model on every ``size``-th excerpt of the validation split."""
        return evaluate(
            self.model, self.codec, self.validation[rank::size], bf16=bf16, **self.reading
        )

    def metrics(self, results: Sequence[Any]) -> dict[str, float]:
        """Return nats per token, of all and of each group of the vocabulary."""
        result = combined(results)
        by_type = result.to_dict()["nats_per_token_by_type"]
        return {self.objective: result.nats_per_token} | {f"nats_{k}": by_type[k] for k in by_type}

    def state(self) -> tuple[list[dict[str, Any]], State]:
        """Return where each row's window stands, and the recurrent state."""
        return self.windows.state(), tuple(part.cpu() for part in self._carried)

    def join(self, states: Sequence[Any]) -> dict[str, Any]:
        """Return the rows of all processes as one batch's."""
        windows, carried = zip(*states, strict=True)
        return {
            "windows": [row for rows in windows for row in rows],
            "state": tuple(torch.cat(parts, dim=1) for parts in zip(*carried, strict=True)),
        }

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
