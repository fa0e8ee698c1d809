"""MidiTok's tokens, for exchanging data and models with its users."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from midirnn.codecs.base import (
    Augmentation,
    FreeConstraint,
    Limits,
    Tokens,
    check_performance,
    check_tokens,
)
from midirnn.errors import CodecError, MissingExtraError
from midirnn.midifile import SUFFIXES, midi_bytes, read_midi, write_midi
from midirnn.performance import Part, Performance

TOKENIZERS = ("MIDILike", "REMI", "TSD", "Structured")
"""The tokenizers that write one stream of single ids."""


@dataclass(frozen=True)
class MidiTokCodec:
    """The codec of a tokenizer of MidiTok (Fradet et al., 2021), id for id.

    The notes are those that :func:`midirnn.read_midi` finds, which decides what ends a note where
    a pitch sounds twice at once. All parts of a performance become one piano part, and drums are
    left out. MidiTok's times are fractions of a beat; decoded notes lie on its grid.
    """

    name: ClassVar[str] = "miditok"
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    tokenizer: str = "MIDILike"
    """MIDILike, REMI, TSD or Structured."""
    parameters: str = "{}"
    """Options of MidiTok's ``TokenizerConfig`` that differ from its defaults, as JSON."""

    def __post_init__(self) -> None:
        if self.tokenizer not in TOKENIZERS:
            allowed = ", ".join(TOKENIZERS)
            raise CodecError(f"tokenizer is {self.tokenizer!r}; allowed are {allowed}")
        try:
            given = json.loads(self.parameters)
        except ValueError:
            given = None
        if not isinstance(given, dict):
            raise CodecError(f"parameters is {self.parameters!r}; write them as a JSON object")

    @property
    def vocab_size(self) -> int:
        """The number of tokens (V)."""
        return len(self._tokenizer)

    def settings(self) -> dict[str, Any]:
        """Return the settings that recreate the codec, for JSON."""
        return {"name": self.name, "tokenizer": self.tokenizer, "parameters": self.parameters}

    def read(self, path: Path) -> Performance:
        """Read a MIDI file, without drums. Raises :class:`MidiFileError` if it cannot be read."""
        return read_midi(path)

    def write(self, piece: Performance, path: Path) -> None:
        """Write a MIDI file. Raises :class:`MidiFileError` if it cannot be written."""
        write_midi(piece, path)

    def encode(self, piece: Performance) -> Tokens:
        """Return MidiTok's ids of a performance; shape ``(T,)``."""
        tokenizer = self._tokenizer  # first: the error names the extra that is missing
        import symusic

        check_performance(piece)
        if not len(piece):
            return np.empty(0, np.uint16)
        joined = piece.without_drums().replace(
            parts=(Part(),),
            **{
                name: np.zeros_like(getattr(piece.without_drums(), name))
                for name in ("part", "pedal_part", "control_part")
            },
        )
        score = symusic.Score.from_midi(midi_bytes(joined))
        streams = tokenizer(score)
        streams = streams if isinstance(streams, list) else [streams]
        return check_tokens(streams[0].ids if streams else [], self.vocab_size)

    def decode(self, tokens: npt.ArrayLike) -> Performance:
        """Return the performance that ids stand for."""
        ids = check_tokens(tokens, self.vocab_size)
        if not len(ids):
            return Performance()
        score = self._tokenizer.decode([ids.tolist()])
        return read_midi(score.dumps_midi())

    def constraint(self, limits: Limits | None = None) -> FreeConstraint:
        """Return a constraint that lets any token follow any other."""
        return FreeConstraint(self.vocab_size)

    def groups(self) -> Mapping[str, slice]:
        """Return the ids of each kind of token."""
        kinds = [str(token).split("_")[0] for token in self._tokenizer.vocab]
        groups: dict[str, slice] = {}
        begin = 0
        for kind, members in groupby(kinds):
            end = begin + len(list(members))
            groups[kind if kind not in groups else f"{kind} {begin}"] = slice(begin, end)
            begin = end
        return groups

    def augment(
        self, tokens: Tokens, augmentation: Augmentation, rng: np.random.Generator
    ) -> Tokens:
        """Return the tokens unchanged."""
        return tokens

    @property
    def _tokenizer(self) -> Any:
        return _tokenizer(self.tokenizer, self.parameters)


@lru_cache(maxsize=4)
def _tokenizer(name: str, parameters: str) -> Any:
    """Return a MidiTok tokenizer, cached because creating one is slow."""
    try:
        import miditok
    except ImportError:
        raise MissingExtraError("MidiTok", "miditok", "the codec 'miditok'") from None
    try:
        config = miditok.TokenizerConfig(**json.loads(parameters))
        return getattr(miditok, name)(config)
    except (TypeError, ValueError, KeyError) as error:
        raise CodecError(f"MidiTok does not take the parameters {parameters} ({error})") from None
