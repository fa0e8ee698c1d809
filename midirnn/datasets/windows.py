"""Windows of tokens for training: many streams side by side, each reading pieces in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.codecs import BoolArray, Codec, Tokens
from midirnn.features import ControlInputs, Feature, readers_of

Draw = Callable[[np.random.Generator], Tokens]
"""Draws one piece (augmented or not) as tokens."""


@dataclass(frozen=True)
class Batch:
    """B windows of T tokens. Row b continues row b of the batch before, unless ``reset[b]``."""

    inputs: npt.NDArray[np.int64]
    """(B, T): the token before each target; ``start_token`` at the start of a piece"""
    targets: npt.NDArray[np.int64]
    """(B, T)"""
    mask: BoolArray
    """(B, T, V): which targets the codec's constraint allows"""
    valid: BoolArray
    """(B, T): false after the end of a piece"""
    reset: BoolArray
    """(B,): whether the row begins another piece, from a zero state"""
    features: dict[str, npt.NDArray[Any]]
    """(B, T, ...): what the model reads in addition to each input, by the name of the feature"""

    def part(self, rows: slice) -> Batch:
        """Return some of the rows, as views."""
        return Batch(
            self.inputs[rows],
            self.targets[rows],
            self.mask[rows],
            self.valid[rows],
            self.reset[rows],
            {name: window[rows] for name, window in self.features.items()},
        )


@dataclass(frozen=True)
class Inputs:
    """What a model reads: the token before the first one of a piece, and its features."""

    start_token: int
    features: tuple[Feature, ...] = ()


class Stream:
    """Reads tokens window by window.

    Owns its position in the piece, the constraint's state there, and a reader of each feature.
    """

    def __init__(self, codec: Codec[Any], window: int, inputs: Inputs) -> None:
        self.constraint = codec.constraint()
        self.window = window
        self.inputs = inputs
        self.tokens: Tokens = np.empty(0, np.uint16)
        self.position = 0
        self.stop = 0
        self.state = self.constraint.start()
        self.fresh = True
        self.choices: dict[str, Any] = {}
        self._readers = readers_of(inputs.features, codec)

    @property
    def is_done(self) -> bool:
        """True if no token is left to read."""
        return self.position >= self.stop

    def open(
        self,
        tokens: Tokens,
        position: int = 0,
        stop: int | None = None,
        choices: Mapping[str, Any] | None = None,
    ) -> None:
        """Start to read a piece at ``position``, up to ``stop``.

        ``choices`` are what the features chose for the piece (:meth:`Feature.choose`), by name.
        """
        self.tokens = tokens
        self.position = position
        self.stop = len(tokens) if stop is None else min(stop, len(tokens))
        self.state = self.constraint.start()
        # The token before the first target is an input, so it is scanned with the first window.
        self.constraint.skip(self.state, tokens[: max(position - 1, 0)])
        self.fresh = True
        self.choices = dict(choices or {})
        for name, reader in self._readers.items():
            reader.open(tokens, position, self.stop, self.choices.get(name))

    def read(self, batch: Batch, row: int) -> None:
        """Write the next window into a row of the batch."""
        begin, end = self.position, min(self.position + self.window, self.stop)
        count = end - begin
        batch.reset[row] = self.fresh
        for feature in self.inputs.features:
            if feature.fills_rows:
                batch.features[feature.name][row, max(count, 0) :] = 0
        if count <= 0:
            return
        batch.targets[row, :count] = self.tokens[begin:end]
        first = 0
        if begin == 0:
            batch.inputs[row, 0] = self.inputs.start_token
            batch.mask[row, 0] = self.constraint.mask(self.state)
            first = 1
        inputs = self.tokens[begin + first - 1 : end - 1]
        batch.inputs[row, first:count] = inputs
        batch.mask[row, first:count] = self.constraint.scan(self.state, inputs)
        batch.valid[row, :count] = True
        for name, reader in self._readers.items():
            reader.read(batch.features[name][row, :count], inputs, begin)
        self.position = end
        self.fresh = False


def empty_batch(rows: int, window: int, vocab_size: int, features: Sequence[Feature] = ()) -> Batch:
    """Return a batch in which nothing is valid; its masks allow everything.

    The windows of features that fill their rows are left uninitialised: :meth:`Stream.read` writes
    all of them.
    """
    return Batch(
        inputs=np.zeros((rows, window), np.int64),
        targets=np.zeros((rows, window), np.int64),
        mask=np.ones((rows, window, vocab_size), dtype=bool),
        valid=np.zeros((rows, window), dtype=bool),
        reset=np.zeros(rows, dtype=bool),
        features={
            f.name: (np.empty if f.fills_rows else np.zeros)(
                (rows, window, *f.window_shape), f.window_type
            )
            for f in features
        },
    )


class TrainingWindows:
    """Endless batches for truncated back-propagation through time.

    The stream of each of the ``rows`` draws a piece, reads ``segment`` tokens of it from a random
    position (all of it if ``segment`` is None) and draws the next. The controls are shown in a
    share ``steered`` of the pieces. Owns its streams and a random generator for each, which depends
    only on ``seed`` and row, so that several processes can share the rows of a batch;
    :meth:`state` and :meth:`restore` let a run resume exactly.
    """

    def __init__(
        self,
        draw: Draw,
        codec: Codec[Any],
        *,
        rows: range,
        window: int,
        segment: int | None,
        inputs: Inputs,
        seed: int,
        steered: float = 0.0,
    ) -> None:
        self.draw = draw
        self.codec = codec
        self.inputs = inputs
        self.window = window
        self.segment = segment
        self.steered = steered
        self.rngs = [np.random.default_rng([seed, row]) for row in rows]
        self.streams = [Stream(codec, window, inputs) for _ in rows]

    def __iter__(self) -> TrainingWindows:
        return self

    def __next__(self) -> Batch:
        batch = empty_batch(
            len(self.streams), self.window, self.codec.vocab_size, self.inputs.features
        )
        for row, (stream, rng) in enumerate(zip(self.streams, self.rngs, strict=True)):
            if stream.is_done:
                self._open_another(stream, rng)
            stream.read(batch, row)
        return batch

    def _open_another(self, stream: Stream, rng: np.random.Generator) -> None:
        tokens = self.draw(rng)
        while len(tokens) == 0:
            tokens = self.draw(rng)
        position, stop = 0, len(tokens)
        if self.segment is not None and len(tokens) > self.segment:
            # Any position at or before 0 means the piece's true start, so that starts are not rare.
            low = -self.segment // 4
            position = max(0, int(rng.integers(low, len(tokens) - self.segment + 1)))
            stop = position + self.segment
        choices = {f.name: f.choose(rng, self.steered) for f in self.inputs.features}
        stream.open(tokens, position, stop, choices)

    def state(self) -> list[dict[str, Any]]:
        """Return all that the following batches depend on: an entry for each row."""
        return [
            {
                "rng": rng.bit_generator.state,
                "tokens": stream.tokens,
                "position": stream.position,
                "stop": stream.stop,
                "fresh": stream.fresh,
                "choices": stream.choices,
            }
            for stream, rng in zip(self.streams, self.rngs, strict=True)
        ]

    def restore_randomness(self, state: list[dict[str, Any]]) -> None:
        """Use the random generators of a :meth:`state` from here on."""
        for rng, row in zip(self.rngs, state, strict=True):
            rng.bit_generator.state = row["rng"]

    def restore(self, state: list[dict[str, Any]]) -> None:
        """Continue where :meth:`state` was taken."""
        self.restore_randomness(state)
        for stream, row in zip(self.streams, state, strict=True):
            # Before there was a list of features, only the controls had a choice: "shown".
            choices = row.get("choices", {ControlInputs.name: row.get("shown")})
            stream.open(row["tokens"], row["position"], row["stop"], choices)
            stream.fresh = row["fresh"]


class EvaluationWindows:
    """Iterates over batches in which each token of each piece is a target once.

    With ``stateless`` every window starts from a zero state, not just the first of a piece.
    """

    def __init__(
        self,
        pieces: list[Tokens],
        codec: Codec[Any],
        batch_size: int,
        window: int,
        inputs: Inputs,
        *,
        stateless: bool = False,
    ) -> None:
        self.stateless = stateless
        self.pieces = sorted((piece for piece in pieces if len(piece)), key=len)
        self.codec = codec
        self.inputs = inputs
        self.window = window
        self.streams = [Stream(codec, window, inputs) for _ in range(batch_size)]

    def __iter__(self) -> EvaluationWindows:
        return self

    def __next__(self) -> Batch:
        batch = empty_batch(
            len(self.streams), self.window, self.codec.vocab_size, self.inputs.features
        )
        for row, stream in enumerate(self.streams):
            if stream.is_done and self.pieces:
                stream.open(self.pieces.pop())
            stream.fresh |= self.stateless
            stream.read(batch, row)
        if not batch.valid.any():
            raise StopIteration
        return batch
