"""How surprised a model is by a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from midirnn.codecs import PerformanceCodec, Tokens, TokenType
from midirnn.datasets.windows import Batch, EvaluationWindows, Inputs
from midirnn.models.language_model import LanguageModel, State, masked_logits

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Evaluation:
    """Summed negative log-likelihood in nats, and what it is summed over."""

    nats: float
    tokens: int
    notes: int
    seconds: float
    nats_by_type: dict[str, float]
    tokens_by_type: dict[str, int]

    @property
    def nats_per_token(self) -> float:
        """Mean negative log-likelihood of a token."""
        return self.nats / max(self.tokens, 1)

    def to_dict(self) -> dict[str, Any]:
        """The figures for JSON."""
        return {
            "nats_per_token": self.nats_per_token,
            "nats_per_note": self.nats / max(self.notes, 1),
            "nats_per_second": self.nats / max(self.seconds, 1e-9),
            "tokens": self.tokens,
            "notes": self.notes,
            "seconds": self.seconds,
            "nats_per_token_by_type": {
                name: nats / max(self.tokens_by_type[name], 1)
                for name, nats in self.nats_by_type.items()
            },
            "tokens_by_type": self.tokens_by_type,
        }


def combined(evaluations: Sequence[Evaluation]) -> Evaluation:
    """The evaluation of all the pieces that some evaluations have between them."""
    return Evaluation(
        nats=sum(e.nats for e in evaluations),
        tokens=sum(e.tokens for e in evaluations),
        notes=sum(e.notes for e in evaluations),
        seconds=sum(e.seconds for e in evaluations),
        nats_by_type=_added([e.nats_by_type for e in evaluations]),
        tokens_by_type=_added([e.tokens_by_type for e in evaluations]),
    )


def _added(tables: Sequence[dict[str, Number]]) -> dict[str, Number]:
    return {name: sum(table[name] for table in tables) for name in tables[0]}


def token_losses(
    model: LanguageModel, batch: Batch, state: State, *, bf16: bool, use_mask: bool = True
) -> tuple[torch.Tensor, torch.Tensor, State]:
    """Negative log-likelihoods (B, T) of a batch's targets, which of them count, the state behind.

    Rows that begin another piece begin from a zero state.
    """
    device = next(model.parameters()).device
    keep = _on(device, ~batch.reset)[None, :, None]
    with torch.autocast(device.type, dtype=torch.bfloat16) if bf16 else nullcontext():
        logits, behind = model(
            _on(device, batch.inputs),
            _on(device, batch.held),
            _on(device, batch.recalled),
            _on(device, batch.controls),
            tuple(part * keep for part in state),
        )
    if use_mask:
        logits = masked_logits(logits, _on(device, batch.mask))
    losses = torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1),
        _on(device, batch.targets).flatten(),
        reduction="none",
    )
    return losses.view(batch.targets.shape), _on(device, batch.valid), behind


def _on(device: torch.device, array: npt.NDArray[Any]) -> torch.Tensor:
    """The array on a device; to a GPU it is copied while the GPU goes on."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def _rows(pieces: Sequence[Tokens], most: int) -> int:
    """How many pieces to read side by side: more would only wait for the longest."""
    lengths = [len(piece) for piece in pieces]
    return max(1, min(most, -(-sum(lengths) // max([*lengths, 1]))))


@torch.no_grad()
def evaluate(
    model: LanguageModel,
    codec: PerformanceCodec,
    pieces: Sequence[Tokens],
    *,
    batch_size: int = 64,
    window: int = 256,
    bf16: bool = False,
    use_mask: bool = True,
    progress: Callable[[int], None] = lambda tokens: None,
) -> Evaluation:
    """The model's evaluation on whole pieces, each from its start, the state carried to its end."""
    was_training = model.training
    model.eval()
    windows = EvaluationWindows(
        list(pieces),
        codec.grammar(),
        _rows(pieces, batch_size),
        window,
        Inputs(model.config.start_token, model.config.recall_notes),
    )
    state = model.initial_state(len(windows.streams), next(model.parameters()).device)
    type_index, values = codec.vocabulary.type_index, codec.vocabulary.values
    nats = np.zeros(len(TokenType))
    counts = np.zeros(len(TokenType), np.int64)
    steps = 0
    for batch in windows:
        losses, valid, state = token_losses(model, batch, state, bf16=bf16, use_mask=use_mask)
        targets = batch.targets[batch.valid]
        kinds = type_index[targets]
        nats += np.bincount(kinds, losses[valid].double().cpu().numpy(), len(TokenType))
        counts += np.bincount(kinds, minlength=len(TokenType))
        steps += int(values[targets][kinds == list(TokenType).index(TokenType.TIME_SHIFT)].sum())
        progress(int(batch.valid.sum()))
    model.train(was_training)
    return Evaluation(
        nats=float(nats.sum()),
        tokens=int(counts.sum()),
        notes=int(counts[list(TokenType).index(TokenType.NOTE_ON)]),
        seconds=steps / codec.steps_per_second,
        nats_by_type=dict(zip(map(str, TokenType), nats.tolist(), strict=True)),
        tokens_by_type=dict(zip(map(str, TokenType), counts.tolist(), strict=True)),
    )
