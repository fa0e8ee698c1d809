"""The codec protocol: pieces to tokens and back, and which tokens may follow which.

A codec is a frozen dataclass without state, generic over the piece that it encodes (a performance,
a text). Capabilities that only some codecs have are protocols of their own; code that needs one
asks for it with ``isinstance`` or :func:`midirnn.codecs.require`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from midirnn.arrays import BoolArray
from midirnn.codecs.passages import Passage
from midirnn.codecs.style import Style
from midirnn.errors import CodecError, OptionError
from midirnn.performance import Performance

Tokens = npt.NDArray[np.uint16]

MAX_TOKENS = 2**16
"""No vocabulary is larger: tokens are stored as uint16."""

P = TypeVar("P")
S = TypeVar("S", bound="ConstraintState")


@dataclass(frozen=True)
class Limits:
    """Limits on generated notes. A codec ignores those that do not apply to it."""

    max_note_seconds: float | None = None
    """The maximum length of a note."""
    max_sounding: int | None = None
    """The maximum number of notes that sound at once."""


@dataclass(frozen=True)
class Augmentation:
    """How much training pieces are varied at random. A codec ignores what does not apply to it.

    ``transpose`` is the largest transposition in semitones, ``stretch`` the largest change of
    tempo, as a share. Performance RNN uses 3 (in its "less" variant) or 6 semitones and 0.05.
    """

    transpose: int = 0
    stretch: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.transpose <= 24:
            raise OptionError(f"transpose is {self.transpose}; allowed are 0 to 24 semitones")
        if not 0.0 <= self.stretch < 1.0:
            raise OptionError(f"stretch is {self.stretch}; allowed are values from 0 to below 1")

    def __bool__(self) -> bool:
        return bool(self.transpose or self.stretch)


class ConstraintState(Protocol):
    """The state of a token stream, as far as the constraint needs it. Changed in place."""

    def copy(self) -> Self:
        """Return a state that changes independently of this one."""
        ...


class Constraint(Protocol[S]):
    """Which tokens may come next: the grammar of an encoding. Holds no state."""

    @property
    def vocab_size(self) -> int:
        """The number of tokens (V)."""
        ...

    def start(self) -> S:
        """Return the state before the first token."""
        ...

    def mask(self, state: S) -> BoolArray:
        """Return which tokens may come next; shape ``(V,)``, never all false."""
        ...

    def advance(self, state: S, token: int) -> None:
        """Move the state past a token. Any token of the vocabulary is accepted."""
        ...

    def skip(self, state: S, tokens: Tokens) -> None:
        """Move the state past many tokens at once."""
        ...

    def scan(self, state: S, tokens: Tokens) -> BoolArray:
        """Move the state past many tokens; return the mask after each, shape ``(T, V)``.

        Raises :class:`CodecError` where a token is not allowed or not in the vocabulary.
        """
        ...


class Codec(Protocol[P]):
    """A way to write pieces of one kind as tokens 0 to ``vocab_size - 1``."""

    name: ClassVar[str]
    """Its key in :data:`midirnn.codecs.CODECS`."""
    suffixes: ClassVar[tuple[str, ...]]
    """The suffixes of the files that it reads, in lower case: ``(".mid", ".midi")``."""

    @property
    def vocab_size(self) -> int:
        """The number of tokens (V)."""
        ...

    def settings(self) -> dict[str, Any]:
        """Return the settings that recreate the codec, for JSON: ``name`` and the fields."""
        ...

    def read(self, path: Path) -> P:
        """Read a piece. Raises a :class:`MidirnnError` of one line if the file holds none."""
        ...

    def write(self, piece: P, path: Path) -> None:
        """Write a piece to a file, whole or not at all. Raises a :class:`MidirnnError`."""
        ...

    def encode(self, piece: P) -> Tokens:
        """Return the tokens of a piece; shape ``(T,)``."""
        ...

    def decode(self, tokens: npt.ArrayLike) -> P:
        """Return the piece that tokens stand for.

        Raises :class:`CodecError` for a token outside the vocabulary.
        """
        ...

    def constraint(self, limits: Limits | None = None) -> Constraint[Any]:
        """Return the grammar of the tokens, within the limits if any are given."""
        ...

    def groups(self) -> Mapping[str, slice]:
        """Return named slices that cover the vocabulary without overlap, for metrics."""
        ...

    def augment(
        self, tokens: Tokens, augmentation: Augmentation, rng: np.random.Generator
    ) -> Tokens:
        """Return a random variation of a piece, or the tokens unchanged if there is none."""
        ...


# Capabilities: what only some codecs can do.


@runtime_checkable
class Recallable(Protocol):
    """A codec whose pitches the match memory (:mod:`midirnn.codecs.recall`) can follow."""

    @property
    def note_ons(self) -> slice:
        """The ids of note-ons, one for each of the 128 pitches, in order."""
        ...


@runtime_checkable
class HoldsNotes(Recallable, Protocol):
    """A codec with note-ons and note-offs, so that the sounding notes are known at each token."""

    @property
    def note_offs(self) -> slice:
        """The ids of note-offs, one for each of the 128 pitches, in order."""
        ...


@runtime_checkable
class Steerable(Protocol):
    """A codec that can measure the controls (:mod:`midirnn.codecs.controls`) of a piece."""

    @property
    def steps_per_second(self) -> int:
        """The steps of the time grid in a second."""
        ...

    @property
    def token_steps(self) -> npt.NDArray[np.int64]:
        """The number of steps by which each token moves on the time; shape ``(V,)``."""
        ...

    def measure_controls(self, tokens: Tokens, begin: int, stop: int) -> npt.NDArray[np.float32]:
        """Return the controls of what follows at each token ``begin`` to ``stop - 1``.

        Shape ``(stop - begin, NUM_CONTROL_INPUTS)``.
        """
        ...

    def recent_style(self, tokens: Tokens, seconds: float) -> Style:
        """Return the style of the last ``seconds`` of a piece."""
        ...

    def measure_style(self, tokens: Tokens, begin: int, stop: int) -> npt.NDArray[np.float32]:
        """Return all traits of the style (:mod:`midirnn.codecs.style`) in the same way.

        Shape ``(stop - begin, NUM_STYLE_INPUTS)``; the controls come first.
        """
        ...


@runtime_checkable
class CorpusCodec(Protocol):
    """A codec that takes its vocabulary from the training pieces, and can cut files.

    A file may hold many pieces, and may have parts in several splits.
    """

    def for_files(self, paths: Sequence[Path]) -> Self:
        """Return the codec with the settings filled in that depend on the file names."""
        ...

    def passages(self, path: Path) -> list[Passage]:
        """Read the pieces in a file. Raises a :class:`MidirnnError` of one line if it has none."""
        ...

    def cut(self, passages: Sequence[Passage], ends: Sequence[float]) -> list[list[Passage]]:
        """Return the parts of a file that end at these shares of its length."""
        ...

    def fit(self, passages: Iterable[Passage]) -> Self:
        """Return the codec with the vocabulary of these pieces."""
        ...

    def encode_passage(self, passage: Passage) -> Tokens:
        """Return the tokens of a piece; shape ``(T,)``.

        Raises :class:`CodecError` with the position in the file if it cannot be encoded.
        """
        ...


@runtime_checkable
class EndsPieces(Protocol):
    """A codec whose token streams show where a piece ends."""

    def ends(self, tokens: Sequence[int]) -> bool:
        """Return whether a piece is complete after these tokens."""
        ...


@runtime_checkable
class Translates(Protocol):
    """A codec whose :meth:`Codec.write` supports formats that it does not read."""

    written: ClassVar[tuple[str, ...]]
    """The suffixes of such files, in lower case: ``(".mid",)``."""


Message = tuple[int, int, int]
"""A MIDI message: (status, data 1, data 2)."""


class MessageEncoder(Protocol):
    """Tokens from MIDI messages as they are played."""

    def feed(self, seconds: float, message: Sequence[int]) -> list[int]:
        """Return the tokens that become final when a message is heard."""
        ...

    def advance(self, seconds: float) -> list[int]:
        """Return the tokens that become final when time passes without a message."""
        ...

    def finish(self) -> list[int]:
        """Return the tokens still due at the end."""
        ...


class MessageDecoder(Protocol):
    """MIDI messages from tokens as they are generated."""

    @property
    def seconds(self) -> float:
        """The time reached."""
        ...

    def restart_at(self, seconds: float) -> None:
        """Count time from ``seconds`` on; sounding notes continue."""
        ...

    def feed(self, token: int) -> list[tuple[float, Message]]:
        """Return the (seconds, message) pairs of a token."""
        ...

    def finish(self) -> list[tuple[float, Message]]:
        """Return note-offs, at the current time, for all notes that still sound."""
        ...


@runtime_checkable
class NoteStream(HoldsNotes, Protocol):
    """A codec of performances that can be encoded and decoded message by message.

    Its time is counted in steps of a grid, as primers, live playing and figures per second or per
    note need it.
    """

    @property
    def steps_per_second(self) -> int:
        """The number of steps of the time grid per second."""
        ...

    @property
    def token_steps(self) -> npt.NDArray[np.int64]:
        """The number of steps by which each token advances time; shape ``(V,)``."""
        ...

    @property
    def token_velocities(self) -> npt.NDArray[np.int64]:
        """The MIDI velocity that each token sets; 0 for tokens that set none; shape ``(V,)``."""
        ...

    @property
    def first_velocity(self) -> int:
        """The MIDI velocity of notes before the first token that sets one."""
        ...

    def step(self, seconds: float) -> int:
        """Return the step of the grid nearest to a time."""
        ...

    def steps(self, seconds: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the steps of the grid nearest to the times."""
        ...

    def encode(self, performance: Performance, *, open_end: bool = False) -> Tokens:
        """Return the tokens of a performance.

        With ``open_end`` notes that still sound at its end get no note-off.
        """
        ...

    def decode(self, tokens: npt.ArrayLike) -> Performance:
        """Return the performance that tokens stand for."""
        ...

    def stream_encoder(self) -> MessageEncoder:
        """Return an encoder that is fed message by message."""
        ...

    def stream_decoder(self) -> MessageDecoder:
        """Return a decoder that is fed token by token."""
        ...


# Building blocks for codecs.


def check_performance(piece: object) -> None:
    """Raise :class:`CodecError` if a piece is no performance, but a file's path for example."""
    if not isinstance(piece, Performance):
        raise CodecError(
            f"a piece to encode must be a Performance, not {type(piece).__name__}; read a file "
            "with midirnn.read_midi first"
        )


def check_tokens(tokens: npt.ArrayLike, vocab_size: int) -> Tokens:
    """Return the tokens as an array of uint16.

    Raises :class:`CodecError` if they are not a list of integers, or not all in the vocabulary.
    """
    array = np.asarray(tokens)
    if array.size == 0:
        return np.empty(0, np.uint16)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise CodecError(
            f"tokens must be a list of whole numbers, not {array.dtype} of shape {array.shape}"
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= vocab_size:
        wrong = low if low < 0 else high
        raise CodecError(f"token {wrong} is not in the vocabulary (0 to {vocab_size - 1})")
    return array.astype(np.uint16)


class FreeState:
    """The state of a constraint without rules, which has nothing to remember."""

    def copy(self) -> Self:
        """Return the state itself: it never changes."""
        return self


@dataclass(frozen=True)
class FreeConstraint:
    """The constraint of a codec without rules: any token may follow any other."""

    vocab_size: int

    def start(self) -> FreeState:
        """Return the state before the first token."""
        return FreeState()

    def mask(self, state: FreeState) -> BoolArray:
        """Return all true: every token may come next; shape ``(V,)``."""
        return np.ones(self.vocab_size, dtype=bool)

    def advance(self, state: FreeState, token: int) -> None:
        """Do nothing: there is nothing to remember."""

    def skip(self, state: FreeState, tokens: Tokens) -> None:
        """Do nothing: there is nothing to remember."""

    def scan(self, state: FreeState, tokens: Tokens) -> BoolArray:
        """Return all true: every token may come after each; shape ``(T, V)``."""
        return np.ones((len(check_tokens(tokens, self.vocab_size)), self.vocab_size), dtype=bool)
