"""Windows of tokens for training: many streams side by side, each reading pieces in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.codecs import BoolArray, Codec, HoldsNotes, Steerable, Tokens, require
from midirnn.codecs.controls import CONTROLS, NUM_CONTROL_INPUTS
from midirnn.codecs.held import held_after, held_rows, no_notes
from midirnn.codecs.recall import (
    NO_MATCHES,
    NUM_VIEWPOINTS,
    Matches,
    check_recallable,
    recall,
    remember,
)
from midirnn.performance import NUM_PITCHES

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
    """(B, T, 128): what sounds after each input; nothing with a codec that has no notes"""
    mask: BoolArray
    """(B, T, V): what the codec's constraint allows as target"""
    valid: BoolArray
    """(B, T): false after the end of a piece"""
    reset: BoolArray
    """(B,): whether the row begins another piece, from a zero state"""
    recalled: npt.NDArray[np.int64]
    """(B, T, 3, 2): what the notes up to each input recall (see :mod:`midirnn.codecs.recall`)"""
    controls: npt.NDArray[np.float32]
    """(B, T, 28): the controls from each target on (see :mod:`midirnn.codecs.controls`)"""


@dataclass(frozen=True)
class Inputs:
    """What a model reads beside tokens and held notes.

    ``recall_notes`` is how many of the last pitches are searched for what repeats (0: none).
    """

    start_token: int
    recall_notes: int = 0


class Stream:
    """Reads tokens window by window.

    Owns its place in the piece, and there: the constraint's state, the notes that sound and the
    pitches so far.
    """

    def __init__(self, codec: Codec[Any], window: int, inputs: Inputs) -> None:
        self.codec = codec
        self.constraint = codec.constraint()
        self._notes = codec if isinstance(codec, HoldsNotes) else None
        if inputs.recall_notes:
            check_recallable(codec)
        self.window = window
        self.inputs = inputs
        self.tokens: Tokens = np.empty(0, np.uint16)
        self.position = 0
        self.stop = 0
        self.begin = 0
        self.state = self.constraint.start()
        self._held = no_notes()
        self.fresh = True
        self.shown: BoolArray = np.zeros(len(CONTROLS), dtype=bool)
        self._controls: npt.NDArray[np.float32] | None = None
        self._history = b""
        self._matches = NO_MATCHES

    @property
    def is_done(self) -> bool:
        """Whether no token is left to read."""
        return self.position >= self.stop

    def open(
        self,
        tokens: Tokens,
        position: int = 0,
        stop: int | None = None,
        shown: BoolArray | None = None,
    ) -> None:
        """Begin to read a piece at ``position``, as far as ``stop``.

        ``shown`` (3,) says which of the controls are shown: density, loudness, pitch classes.
        """
        self.tokens = tokens
        self.position = self.begin = position
        self.stop = len(tokens) if stop is None else min(stop, len(tokens))
        self.state = self.constraint.start()
        self._held = no_notes()
        # The token before the first target is an input, so it is scanned with the first window.
        before = tokens[: max(position - 1, 0)]
        self.constraint.skip(self.state, before)
        if self._notes is not None:
            self._held = held_after(self._notes, self._held, before)
        self.fresh = True
        self.shown = np.zeros(len(CONTROLS), dtype=bool) if shown is None else shown
        self._controls = self._measure() if self.shown.any() else None
        self._history, self._matches = b"", NO_MATCHES
        if self.inputs.recall_notes:
            pitches = before[before < NUM_PITCHES].astype(np.uint8)
            self._history = pitches[-self.inputs.recall_notes :].tobytes()
            self._matches = recall(self._history)

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
            batch.inputs[row, 0] = self.inputs.start_token
            batch.held[row, 0] = self._held
            batch.mask[row, 0] = self.constraint.mask(self.state)
            first = 1
        inputs = self.tokens[begin + first - 1 : end - 1]
        batch.inputs[row, first:count] = inputs
        batch.mask[row, first:count] = self.constraint.scan(self.state, inputs)
        batch.valid[row, :count] = True
        if self._notes is not None and len(inputs):
            held = held_rows(self._notes, self._held, inputs)
            batch.held[row, first:count], self._held = held, held[-1]
        if self.inputs.recall_notes:
            self._recall(inputs, batch.recalled[row, first:count])
        if self._controls is not None:
            batch.controls[row, :count] = self._controls[begin - self.begin : end - self.begin]
        self.position = end
        self.fresh = False

    def _recall(self, inputs: Tokens, rows: Matches) -> None:
        """Write what each input, and those before it, recall; a row each."""
        for index, token in enumerate(inputs.tolist()):
            if token < NUM_PITCHES:  # a note-on: check_recallable has seen to it
                self._history = remember(self._history, token, self.inputs.recall_notes)
                self._matches = recall(self._history)
            rows[index] = self._matches

    def _measure(self) -> npt.NDArray[np.float32]:
        """The controls that are shown, from ``begin`` to ``stop``; the others are 0."""
        steerable = require(
            self.codec, Steerable, "a model with control_inputs", "controls to measure"
        )
        rows = steerable.measure_controls(self.tokens, self.begin, self.stop)
        for part, shown in zip(CONTROLS, self.shown, strict=True):
            if not shown:
                rows[:, part] = 0.0
        return rows


def empty_batch(rows: int, window: int, vocab_size: int) -> Batch:
    """Return a batch of which nothing is valid; its masks allow everything."""
    return Batch(
        inputs=np.zeros((rows, window), np.int64),
        targets=np.zeros((rows, window), np.int64),
        held=np.zeros((rows, window, NUM_PITCHES), dtype=bool),
        mask=np.ones((rows, window, vocab_size), dtype=bool),
        valid=np.zeros((rows, window), dtype=bool),
        reset=np.zeros(rows, dtype=bool),
        recalled=np.zeros((rows, window, NUM_VIEWPOINTS, 2), np.int64),
        controls=np.zeros((rows, window, NUM_CONTROL_INPUTS), np.float32),
    )


class TrainingWindows:
    """Endless batches for truncated back-propagation through time.

    Each of the streams ``rows`` draws a piece, reads ``segment`` tokens of it from a random place
    (all of it from the start if ``segment`` is None) and draws the next. In a share ``steered`` of
    what is drawn the controls are shown, each of them half the time. Owns its streams and a random
    generator for each, which goes by ``seed`` and row alone, so that several processes can share
    the rows of a batch; :meth:`state` and :meth:`restore` make a run resume exactly.
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
        self.window = window
        self.segment = segment
        self.steered = steered
        self.rngs = [np.random.default_rng([seed, row]) for row in rows]
        self.streams = [Stream(codec, window, inputs) for _ in rows]

    def __iter__(self) -> TrainingWindows:
        return self

    def __next__(self) -> Batch:
        batch = empty_batch(len(self.streams), self.window, self.codec.vocab_size)
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
            # A place at or before 0 is the piece's true start, so starts are not rare.
            low = -self.segment // 4
            position = max(0, int(rng.integers(low, len(tokens) - self.segment + 1)))
            stop = position + self.segment
        shown = np.zeros(len(CONTROLS), dtype=bool)
        if self.steered and rng.random() < self.steered:
            shown = rng.random(len(CONTROLS)) < 0.5
        stream.open(tokens, position, stop, shown)

    def state(self) -> list[dict[str, Any]]:
        """All that the following batches depend on: an entry for each row."""
        return [
            {
                "rng": rng.bit_generator.state,
                "tokens": stream.tokens,
                "position": stream.position,
                "stop": stream.stop,
                "fresh": stream.fresh,
                "shown": stream.shown.tolist(),
            }
            for stream, rng in zip(self.streams, self.rngs, strict=True)
        ]

    def restore(self, state: list[dict[str, Any]]) -> None:
        """Go on where :meth:`state` was taken."""
        for stream, rng, row in zip(self.streams, self.rngs, state, strict=True):
            rng.bit_generator.state = row["rng"]
            stream.open(row["tokens"], row["position"], row["stop"], np.array(row["shown"]))
            stream.fresh = row["fresh"]


class EvaluationWindows:
    """Iterates over batches in which each token of each piece is a target once."""

    def __init__(
        self,
        pieces: list[Tokens],
        codec: Codec[Any],
        batch_size: int,
        window: int,
        inputs: Inputs,
    ) -> None:
        self.pieces = sorted((piece for piece in pieces if len(piece)), key=len)
        self.codec = codec
        self.window = window
        self.streams = [Stream(codec, window, inputs) for _ in range(batch_size)]

    def __iter__(self) -> EvaluationWindows:
        return self

    def __next__(self) -> Batch:
        batch = empty_batch(len(self.streams), self.window, self.codec.vocab_size)
        for row, stream in enumerate(self.streams):
            if stream.is_done and self.pieces:
                stream.open(self.pieces.pop())
            stream.read(batch, row)
        if not batch.valid.any():
            raise StopIteration
        return batch
