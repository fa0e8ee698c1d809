"""Read a piece with a model, and keep the state of each unit after each token."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from midirnn.codecs import Codec, NoteStream, Tokens
from midirnn.codecs.held import held_of
from midirnn.engines.base import StepEngine
from midirnn.engines.state import FloatMatrix
from midirnn.errors import OptionError
from midirnn.models.config import ModelConfig
from midirnn.performance import Performance
from midirnn.probing.signals import Signals, measure_signals

if TYPE_CHECKING:
    from midirnn.engines.load import Model

Progress = Callable[[int, int], None]
"""Called with the number of tokens read, and of all."""

_PROGRESS_EVERY = 256


@dataclass(frozen=True, eq=False)
class Trace:
    """A piece as a model read it."""

    tokens: Tokens
    """The tokens that were read; shape ``(T,)``."""
    states: Mapping[str, FloatMatrix]
    """The state of each unit after each token, by the names of the cell's states: h, and for an
    LSTM also c; shape ``(T, num_layers, H)`` each."""
    signals: Signals
    """The piece at each token; see :func:`~midirnn.probing.signals.measure_signals`."""
    seconds: np.ndarray[Any, np.dtype[np.float64]] | None = None
    """The time of each token; shape ``(T,)``. None for text."""
    performance: Performance | None = None
    """The piece as it was played, with its pedal; None for text."""
    text: str | None = None
    """The piece, if it is text."""

    def __len__(self) -> int:
        return len(self.tokens)


def trace(
    piece: Any,
    model: Model | str | os.PathLike[str] = "piano",
    *,
    seconds: float | None = None,
    most_tokens: int | None = None,
    states: tuple[str, ...] | None = None,
    progress: Progress | None = None,
) -> Trace:
    """Read a piece, or the file of one, with a model, from a zero state and without controls.

    Only the first ``seconds`` of music are read, and at most ``most_tokens``. ``states`` names the
    states to keep; by default all that the cell has. Raises :class:`OptionError` for an empty
    piece.
    """
    from midirnn.engines.load import as_model

    loaded = as_model(model)
    codec = loaded.codec
    if loaded.config.architecture != ModelConfig.architecture:
        raise OptionError(
            f"{loaded.name} has the architecture {loaded.config.architecture!r}, whose state is no "
            f"row of units; look into a model of {ModelConfig.architecture!r}"
        )
    piece = codec.read(piece) if isinstance(piece, Path) else piece
    if not isinstance(codec, NoteStream) and not isinstance(piece, str):
        raise OptionError(
            f"{loaded.name} reads tokens of the codec {codec.name!r}, which are neither notes nor "
            "text: there is nothing that its units could be compared with"
        )
    if isinstance(piece, Performance):
        piece = piece.without_drums()
        if seconds is not None:
            piece = piece.slice(0.0, seconds)
    tokens = codec.encode(piece)[:most_tokens]
    if not len(tokens):
        raise OptionError("there is nothing to read: the piece has no notes, or is empty")
    engine = loaded.engine("numpy")
    return Trace(
        tokens,
        _read(engine, codec, tokens, states, progress or (lambda done, total: None)),
        measure_signals(codec, tokens, piece),
        times_of(codec, tokens),
        piece if isinstance(piece, Performance) else None,
        piece[: len(tokens)] if isinstance(piece, str) else None,
    )


def times_of(codec: Codec[Any], tokens: Tokens) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """Return the time of each token in seconds; None if the codec has no time."""
    if not isinstance(codec, NoteStream):
        return None
    return np.cumsum(codec.token_steps[tokens]) / codec.steps_per_second


def _read(
    engine: StepEngine,
    codec: Codec[Any],
    tokens: Tokens,
    names: tuple[str, ...] | None,
    progress: Progress,
) -> dict[str, FloatMatrix]:
    """Return the states after each token, by their names."""
    from midirnn.models.cells import find_cell

    cell_states = find_cell(engine.config.cell).states
    kept = [cell_states.index(name) for name in names or cell_states]
    constraint = codec.constraint()
    grammar = constraint.start()
    engine.reset()
    shape = (len(tokens), engine.config.num_layers, engine.config.hidden_size)
    found = [np.empty(shape, np.float32) for _ in kept]
    for index, token in enumerate(tokens.tolist()):
        constraint.advance(grammar, token)
        engine.feed(token, held_of(grammar))
        state = engine.snapshot().state
        for array, which in zip(found, kept, strict=True):
            array[index] = state[which]
        if index % _PROGRESS_EVERY == 0:
            progress(index, len(tokens))
    progress(len(tokens), len(tokens))
    return {cell_states[which]: array for which, array in zip(kept, found, strict=True)}
