"""Windows of tokens for training: many streams side by side, each reading pieces in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.codecs.grammar import BoolArray, GrammarState, PerformanceGrammar
from midirnn.codecs.vocabulary import Tokens

Draw = Callable[[np.random.Generator], Tokens]
"""Draws one piece (augmented or not) as tokens."""


@dataclass(frozen=True)
class Batch:
    """B windows of T tokens. Row b continues row b of the batch before, unless ``reset[b]``."""

    inputs: npt.NDArray[np.int64]
    """(B, T): the token before each target; ``start_token`` at the start of a piece"""
    targets: npt.NDArray[np.int64]
    """(B, T)"""
    held: BoolArray
    """(B, T, 128): what sounds after each input"""
    mask: BoolArray
    """(B, T, V): what the grammar allows as target"""
    valid: BoolArray
    """(B, T): false behind the end of a piece"""
    reset: BoolArray
    """(B,): the row begins another piece, from a zero state"""


class Stream:
    """Reads tokens window by window. Owns its place in the piece and the grammar's state there."""

    def __init__(self, grammar: PerformanceGrammar, window: int, start_token: int) -> None:
        self.grammar = grammar
        self.window = window
        self.start_token = start_token
        self.tokens: Tokens = np.empty(0, np.uint16)
        self.position = 0
        self.stop = 0
        self.state: GrammarState = grammar.start()
        self.fresh = True

    @property
    def is_done(self) -> bool:
        """Whether no token is left to read."""
        return self.position >= self.stop

    def open(self, tokens: Tokens, position: int = 0, stop: int | None = None) -> None:
        """Begin to read a piece at ``position``, as far as ``stop``."""
        self.tokens = tokens
        self.position = position
        self.stop = len(tokens) if stop is None else min(stop, len(tokens))
        self.state = self.grammar.start()
        # The token before the first target is an input, so it is scanned with the first window.
        self.grammar.skip(self.state, tokens[: max(position - 1, 0)])
        self.fresh = True

    def read(self, batch: Batch, row: int) -> None:
        """Write the next window into a row of the batch."""
        begin, end = self.position, min(self.position + self.window, self.stop)
        count = end - begin
        batch.reset[row] = self.fresh
        if count <= 0:
            return
        batch.targets[row, :count] = self.tokens[begin:end]
        first = 0
        if begin == 0:
            batch.inputs[row, 0] = self.start_token
            batch.held[row, 0] = self.state.held
            batch.mask[row, 0] = self.grammar.mask(self.state)
            first = 1
        inputs = self.tokens[begin + first - 1 : end - 1]
        batch.inputs[row, first:count] = inputs
        held, mask = self.grammar.scan(self.state, inputs)
        batch.held[row, first:count] = held
        batch.mask[row, first:count] = mask
        batch.valid[row, :count] = True
        self.position = end
        self.fresh = False


def empty_batch(rows: int, window: int, vocab_size: int) -> Batch:
    """A batch of which nothing is valid; masks allow everything."""
    return Batch(
        inputs=np.zeros((rows, window), np.int64),
        targets=np.zeros((rows, window), np.int64),
        held=np.zeros((rows, window, 128), dtype=bool),
        mask=np.ones((rows, window, vocab_size), dtype=bool),
        valid=np.zeros((rows, window), dtype=bool),
        reset=np.zeros(rows, dtype=bool),
    )


class TrainingWindows:
    """Endless batches for truncated back-propagation through time.

    Each of ``batch_size`` streams draws a piece, reads ``segment`` tokens of it from a random
    place (all of it from the start if ``segment`` is None) and draws the next. Owns its random
    generator and its streams; :meth:`state` and :meth:`restore` make a run resume exactly.
    """

    def __init__(
        self,
        draw: Draw,
        grammar: PerformanceGrammar,
        *,
        batch_size: int,
        window: int,
        segment: int | None,
        start_token: int,
        rng: np.random.Generator,
    ) -> None:
        self.draw = draw
        self.grammar = grammar
        self.window = window
        self.segment = segment
        self.rng = rng
        self.streams = [Stream(grammar, window, start_token) for _ in range(batch_size)]

    def __iter__(self) -> TrainingWindows:
        return self

    def __next__(self) -> Batch:
        batch = empty_batch(len(self.streams), self.window, self.grammar.vocab_size)
        for row, stream in enumerate(self.streams):
            if stream.is_done:
                self._open_another(stream)
            stream.read(batch, row)
        return batch

    def _open_another(self, stream: Stream) -> None:
        tokens = self.draw(self.rng)
        while len(tokens) == 0:
            tokens = self.draw(self.rng)
        if self.segment is None or len(tokens) <= self.segment:
            stream.open(tokens)
        else:
            # A place at or before 0 is the piece's true start, so starts are not rare.
            low = -self.segment // 4
            position = max(0, int(self.rng.integers(low, len(tokens) - self.segment + 1)))
            stream.open(tokens, position, position + self.segment)

    def state(self) -> dict[str, Any]:
        """All that the following batches depend on."""
        return {
            "rng": self.rng.bit_generator.state,
            "streams": [
                {
                    "tokens": stream.tokens,
                    "position": stream.position,
                    "stop": stream.stop,
                    "fresh": stream.fresh,
                }
                for stream in self.streams
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where :meth:`state` was taken."""
        self.rng.bit_generator.state = state["rng"]
        for stream, row in zip(self.streams, state["streams"], strict=True):
            stream.open(row["tokens"], row["position"], row["stop"])
            stream.fresh = row["fresh"]


class EvaluationWindows:
    """Iterates over batches in which each token of each piece is a target once."""

    def __init__(
        self,
        pieces: list[Tokens],
        grammar: PerformanceGrammar,
        batch_size: int,
        window: int,
        start_token: int,
    ) -> None:
        self.pieces = sorted((piece for piece in pieces if len(piece)), key=len)
        self.grammar = grammar
        self.window = window
        self.streams = [Stream(grammar, window, start_token) for _ in range(batch_size)]

    def __iter__(self) -> EvaluationWindows:
        return self

    def __next__(self) -> Batch:
        batch = empty_batch(len(self.streams), self.window, self.grammar.vocab_size)
        for row, stream in enumerate(self.streams):
            if stream.is_done and self.pieces:
                stream.open(self.pieces.pop())
            stream.read(batch, row)
        if not batch.valid.any():
            raise StopIteration
        return batch
