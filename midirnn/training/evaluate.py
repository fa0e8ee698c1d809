"""Evaluate a model on a data set: its mean negative log-likelihood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from midirnn.codecs import BoolArray, Codec, NoteStream, Tokens
from midirnn.datasets.windows import EvaluationWindows, Inputs
from midirnn.models.language_model import LanguageModel, State
from midirnn.training.losses import token_losses

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
    has_notes: bool = True
    """Whether there are notes and seconds to count, as not every codec has them."""

    @property
    def nats_per_token(self) -> float:
        """The mean negative log-likelihood of a token."""
        return self.nats / max(self.tokens, 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        in_time = {
            "nats_per_note": self.nats / max(self.notes, 1),
            "nats_per_second": self.nats / max(self.seconds, 1e-9),
            "notes": self.notes,
            "seconds": self.seconds,
        }
        return {
            "nats_per_token": self.nats_per_token,
            "tokens": self.tokens,
            **(in_time if self.has_notes else {}),
            "nats_per_token_by_type": {
                name: nats / max(self.tokens_by_type[name], 1)
                for name, nats in self.nats_by_type.items()
            },
            "tokens_by_type": self.tokens_by_type,
        }


def combined(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Return the evaluation of the pieces of several evaluations together."""
    return Evaluation(
        nats=sum(e.nats for e in evaluations),
        tokens=sum(e.tokens for e in evaluations),
        notes=sum(e.notes for e in evaluations),
        seconds=sum(e.seconds for e in evaluations),
        nats_by_type=_added([e.nats_by_type for e in evaluations]),
        tokens_by_type=_added([e.tokens_by_type for e in evaluations]),
        has_notes=evaluations[0].has_notes,
    )


def _added(tables: Sequence[dict[str, Number]]) -> dict[str, Number]:
    return {name: sum(table[name] for table in tables) for name in tables[0]}


def _rows(pieces: Sequence[Tokens], most: int) -> int:
    """Return how many pieces to read at once: more rows would only wait for the longest piece."""
    lengths = [len(piece) for piece in pieces]
    return max(1, min(most, -(-sum(lengths) // max([*lengths, 1]))))


@torch.no_grad()
def evaluate(
    model: LanguageModel,
    codec: Codec[Any],
    pieces: Sequence[Tokens],
    *,
    batch_size: int = 64,
    window: int = 256,
    stateless: bool = False,
    bf16: bool = False,
    use_mask: bool = True,
    initial: State | None = None,
    progress: Callable[[int], None] = lambda tokens: None,
) -> Evaluation:
    """Evaluate a model on whole pieces.

    Each piece is read from start to end with one state or, if ``stateless``, each window as if the
    piece began there. Without ``stateless`` the ``window`` does not affect the result. ``initial``
    (L, 1, H) is the state in which pieces begin, by default zeros.
    """
    was_training = model.training
    model.eval()
    windows = EvaluationWindows(
        list(pieces),
        codec,
        _rows(pieces, batch_size),
        window,
        Inputs(model.config.start_token, model.config.features),
        stateless=stateless,
    )
    state = model.initial_state(len(windows.streams), next(model.parameters()).device)
    nats, counts = np.zeros(codec.vocab_size), np.zeros(codec.vocab_size, np.int64)
    for batch in windows:
        if initial is not None:
            state = _begun(state, initial, batch.reset)
            batch.reset[:] = False
        losses, valid, state = token_losses(model, batch, state, bf16=bf16, use_mask=use_mask)
        targets = batch.targets[batch.valid]
        nats += np.bincount(targets, losses[valid].double().cpu().numpy(), codec.vocab_size)
        counts += np.bincount(targets, minlength=codec.vocab_size)
        progress(int(batch.valid.sum()))
    model.train(was_training)
    return _summed(codec, nats, counts)


def _begun(state: State, initial: State, begins: BoolArray) -> State:
    """Return the state with the initial one in the rows that begin a piece."""
    rows = torch.from_numpy(begins)[None, :, None].to(state[0].device)
    return tuple(torch.where(rows, first, part) for first, part in zip(initial, state, strict=True))


def _summed(
    codec: Codec[Any], nats: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]
) -> Evaluation:
    """Return the evaluation from sums (V,) over the occurrences of each token."""
    notes, seconds, groups = 0, 0.0, codec.groups()
    if isinstance(codec, NoteStream):
        notes = int(counts[codec.note_ons].sum())
        seconds = float(counts @ codec.token_steps) / codec.steps_per_second
    return Evaluation(
        nats=float(nats.sum()),
        tokens=int(counts.sum()),
        notes=notes,
        seconds=seconds,
        nats_by_type={name: float(nats[ids].sum()) for name, ids in groups.items()},
        tokens_by_type={name: int(counts[ids].sum()) for name, ids in groups.items()},
        has_notes=isinstance(codec, NoteStream),
    )
