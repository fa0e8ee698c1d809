"""The surprise of a piece under a model: the negative log-likelihood of each token and note."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from midirnn.arrays import Float64Array
from midirnn.codecs import Codec, NoteStream, Tokens
from midirnn.codecs.held import held_of
from midirnn.engines.base import StepEngine
from midirnn.errors import OptionError
from midirnn.performance import NUM_PITCHES, Performance
from midirnn.sampling.arguments import as_piece
from midirnn.sampling.filters import log_likelihood

if TYPE_CHECKING:
    from midirnn.engines.load import Model


NOTE_COLUMNS = ("time", "velocity", "pitch", "release")
"""The parts that the surprise of a note is the sum of; see :class:`NoteSurprise`."""

_PROGRESS_EVERY = 256  # tokens


@dataclass(frozen=True, eq=False)
class NoteSurprise:
    """The surprise of each note, in nats; shape ``(N,)`` each.

    ``pitch`` is that of the note-on, ``time`` and ``velocity`` those of the time shifts and the
    velocity before it, ``release`` that of the note-off and the time shifts before it. The sum over
    all notes is that over all tokens, except for time shifts after the last event.
    """

    time: Float64Array
    velocity: Float64Array
    pitch: Float64Array
    release: Float64Array

    @property
    def total(self) -> Float64Array:
        """The sum of the four."""
        return self.time + self.velocity + self.pitch + self.release


@dataclass(frozen=True, eq=False)
class Likelihood:
    """The likelihood of a piece under a model, by token and, if it is music, by note."""

    tokens: Tokens
    """The piece as the codec encodes it; shape ``(T,)``."""
    nats: Float64Array
    """The negative log-likelihood of each token; shape ``(T,)``."""
    performance: Performance | None = None
    """The notes of the tokens, on the codec's grid and without pedal; None if it is no music."""
    notes: NoteSurprise | None = None
    """The surprise of each note of ``performance``."""

    @property
    def nats_per_token(self) -> float:
        """The mean over tokens."""
        return float(self.nats.sum()) / max(len(self.nats), 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON: sums and means."""
        total = float(self.nats.sum())
        figures: dict[str, Any] = {
            "nats": total,
            "tokens": len(self.nats),
            "nats_per_token": self.nats_per_token,
        }
        if self.performance is not None:
            notes, seconds = len(self.performance), self.performance.duration
            figures |= {
                "notes": notes,
                "nats_per_note": total / max(notes, 1),
                "seconds": seconds,
                "nats_per_second": total / max(seconds, 1e-9),
            }
        return figures


def likelihood(
    piece: Any,
    model: Model | str | os.PathLike[str] = "piano",
    *,
    engine: str = "numpy",
    progress: Callable[[int, int], None] | None = None,
) -> Likelihood:
    """Return the likelihood of a piece under a model, from its start to its end.

    ``piece`` is of the kind that the model's codec encodes, for the models that come with midirnn a
    :class:`Performance` or a ``pretty_midi.PrettyMIDI``, or the path of a file. Drums are left out.
    Only tokens that the grammar allows have a probability, and no controls are set. ``engine`` is
    ``numpy`` (exact) or ``onnxruntime`` (int8 weights, faster; about 0.001 nats off per token).
    ``progress`` is called with (tokens read, tokens in all).

    Raises :class:`OptionError` for a piece without tokens, such as a file without notes.
    """
    from midirnn.engines.load import as_model

    loaded = as_model(model)
    codec = loaded.codec
    is_path = isinstance(piece, os.PathLike)
    if is_path or (isinstance(piece, str) and isinstance(codec, NoteStream)):
        piece = codec.read(Path(piece))
    piece = as_piece(piece)
    tokens = codec.encode(piece.without_drums() if isinstance(piece, Performance) else piece)
    if not len(tokens):
        raise OptionError("there is nothing to measure: the piece has no notes, or is empty")
    nats = _token_nats(loaded.engine(engine), codec, tokens, progress or (lambda done, total: None))
    if not isinstance(codec, NoteStream):
        return Likelihood(tokens, nats)
    return Likelihood(tokens, nats, codec.decode(tokens), note_surprise(codec, tokens, nats))


def _token_nats(
    engine: StepEngine, codec: Codec[Any], tokens: Tokens, progress: Callable[[int, int], None]
) -> Float64Array:
    """Return the negative log-likelihood of each token, given those before it."""
    constraint = codec.constraint()
    state = constraint.start()
    engine.reset()
    nats = np.empty(len(tokens))
    for index, token in enumerate(tokens.tolist()):
        nats[index] = -log_likelihood(engine.logits(), constraint.mask(state), token)
        constraint.advance(state, token)
        engine.feed(token, held_of(state))
        if index % _PROGRESS_EVERY == 0:
            progress(index, len(tokens))
    engine.logits()  # a pending step would hold on to the engine
    progress(len(tokens), len(tokens))
    return nats


def note_surprise(codec: NoteStream, tokens: Tokens, nats: Float64Array) -> NoteSurprise:
    """Return the surprise of each note of ``codec.decode(tokens)`` from that of each token.

    Note-ons of one pitch in one step are decoded as one note.
    """
    is_on = (tokens >= codec.note_ons.start) & (tokens < codec.note_ons.stop)
    steps = np.cumsum(codec.token_steps[tokens])[is_on]
    keys = steps * NUM_PITCHES + tokens[is_on] - codec.note_ons.start
    _, index = np.unique(keys, return_inverse=True)  # notes are in order of (start, pitch)
    columns = {name: np.zeros(int(index.max(initial=-1)) + 1) for name in NOTE_COLUMNS}
    for name, note, value in _shares(codec, tokens, nats):
        columns[name][index[note]] += value
    return NoteSurprise(**columns)


def _shares(
    codec: NoteStream, tokens: Tokens, nats: Float64Array
) -> Iterator[tuple[str, int, float]]:
    """Yield parts of the surprise: the column, the index of the note-on, the nats."""
    is_shift = codec.token_steps > 0
    note_ons, note_offs = codec.note_ons, codec.note_offs
    sounding: dict[int, int] = {}
    notes, shifts, velocity = 0, 0.0, 0.0
    for token, value in zip(tokens.tolist(), nats.tolist(), strict=True):
        if note_ons.start <= token < note_ons.stop:
            yield from (("time", notes, shifts), ("velocity", notes, velocity))
            yield "pitch", notes, value
            sounding[token - note_ons.start] = notes
            notes += 1
        elif note_offs.start <= token < note_offs.stop:
            yield "release", sounding[token - note_offs.start], shifts + velocity + value
        elif is_shift[token]:
            shifts += value
            continue
        else:
            velocity += value
            continue
        shifts = velocity = 0.0
