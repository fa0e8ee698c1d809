"""Learn the hidden state in which pieces begin: a few thousand numbers, from many beginnings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from midirnn.codecs import Codec, Tokens
from midirnn.datasets.windows import Batch, Inputs, Stream, empty_batch
from midirnn.engines.state import RecurrentState
from midirnn.models.language_model import LanguageModel, State
from midirnn.performance import Performance
from midirnn.training.losses import token_losses

LENGTH = 64
"""Tokens of a beginning: about as far as the initial state matters."""

PASSAGE_SECONDS = 8.0

ROWS, VALIDATION_ROWS, VALIDATION_STEPS, PATIENCE = 16, 32, 10, 3
LEARNING_RATE = 0.03


class Beginnings:
    """Draws windows that begin at random places of pieces, as if the music began there."""

    def __init__(self, codec: Codec[Performance], inputs: Inputs, pieces: Sequence[Tokens]) -> None:
        self._codec, self._inputs = codec, inputs
        self._pieces = [codec.decode(piece) for piece in pieces]
        lengths = np.array([piece.duration for piece in self._pieces])
        self._chances = lengths / lengths.sum()

    def draw(self, count: int, seed: int) -> Batch:
        """Return ``count`` windows of :data:`LENGTH` tokens, the same for the same seed."""
        rng = np.random.default_rng(seed)
        codec, inputs = self._codec, self._inputs
        batch = empty_batch(count, LENGTH, codec.vocab_size, inputs.features)
        for row in range(count):
            stream = Stream(codec, LENGTH, inputs)
            stream.open(codec.encode(self._passage(rng)))
            stream.read(batch, row)
        return batch

    def _passage(self, rng: np.random.Generator) -> Performance:
        """Return some seconds of a piece, starting at one of its notes."""
        piece = self._pieces[rng.choice(len(self._pieces), p=self._chances)]
        begin = float(rng.choice(piece.start))
        return piece.select(piece.start >= begin).slice(begin, begin + PASSAGE_SECONDS)


def nats_of_beginnings(model: LanguageModel, batch: Batch, initial: State | None = None) -> float:
    """Return the nats per token of beginnings that start in a state (L, 1, H)."""
    with torch.no_grad():
        return float(_loss(model, batch, initial))


def learn_initial_state(
    model: LanguageModel,
    codec: Codec[Performance],
    train: Sequence[Tokens],
    validation: Sequence[Tokens],
    *,
    steps: int = 60,
    seed: int = 0,
    should_stop: Callable[[], bool] = lambda: False,
) -> State:
    """Return the state (L, 1, H) in which beginnings like those of ``train`` are likeliest.

    Only the state is learned, by Adam; the one that does best on beginnings of ``validation`` is
    returned.
    """
    inputs = Inputs(model.config.start_token, model.config.features)
    state = tuple(part.requires_grad_() for part in model.initial_state(1))
    optimizer = torch.optim.Adam(state, lr=LEARNING_RATE)
    kept = Beginnings(codec, inputs, validation).draw(VALIDATION_ROWS, seed)
    drawn = Beginnings(codec, inputs, train)
    best, best_nats, since = _copy(state), nats_of_beginnings(model, kept, state), 0
    for step in range(1, steps + 1):
        loss = _loss(model, drawn.draw(ROWS, seed + step), state)
        for part, gradient in zip(state, torch.autograd.grad(loss, state), strict=True):
            part.grad = gradient
        optimizer.step()
        if step % VALIDATION_STEPS == 0 or step == steps:
            nats, since = nats_of_beginnings(model, kept, state), since + 1
            if nats < best_nats:
                best, best_nats, since = _copy(state), nats, 0
        if since >= PATIENCE or should_stop():
            break
    return best


def as_arrays(state: State) -> RecurrentState:
    """Return a state (L, 1, H) as an engine's, (L, H)."""
    return tuple(part.detach()[:, 0].numpy().astype(np.float32) for part in state)


def as_state(arrays: RecurrentState) -> State:
    """Return an engine's state (L, H) as one to train or evaluate with, (L, 1, H)."""
    return tuple(torch.from_numpy(np.array(part))[:, None] for part in arrays)


def _loss(model: LanguageModel, batch: Batch, initial: State | None) -> torch.Tensor:
    """Return the mean loss of windows that all begin in one state."""
    rows = len(batch.inputs)
    batch.reset[:] = False  # otherwise they would begin from zeros
    begin = model.initial_state(1) if initial is None else initial
    state = tuple(part.expand(-1, rows, -1) for part in begin)
    losses, valid, _ = token_losses(model, batch, state, bf16=False)
    return (losses * valid).sum() / valid.sum()


def _copy(state: State) -> State:
    return tuple(part.detach().clone() for part in state)
