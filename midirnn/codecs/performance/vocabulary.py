"""The vocabulary of the performance encoding: ranges of values, laid end to end as token ids."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from midirnn.arrays import BoolArray
from midirnn.codecs.base import Tokens, check_tokens
from midirnn.errors import CodecError


class TokenType(StrEnum):
    """The types of token in the performance encoding."""

    NOTE_ON = "note_on"
    NOTE_OFF = "note_off"
    TIME_SHIFT = "time_shift"
    VELOCITY = "velocity"
    PEDAL = "pedal"
    """Only in :mod:`midirnn.codecs.pedal`."""


@dataclass(frozen=True)
class TokenRange:
    """The tokens of one type: values ``first_value`` to ``first_value + size - 1``."""

    type: TokenType
    first_value: int
    size: int


@dataclass(frozen=True)
class Vocabulary:
    """Token ids of typed values: the ranges follow one another, from id 0 on."""

    ranges: tuple[TokenRange, ...]

    @cached_property
    def size(self) -> int:
        """The number of tokens (V)."""
        return sum(token_range.size for token_range in self.ranges)

    @cached_property
    def slices(self) -> dict[TokenType, slice]:
        """The ids of each type, in the order of the ranges."""
        slices, first = {}, 0
        for token_range in self.ranges:
            slices[token_range.type] = slice(first, first + token_range.size)
            first += token_range.size
        return slices

    @cached_property
    def type_index(self) -> npt.NDArray[np.int8]:
        """The index in ``ranges`` of each token; shape ``(V,)``."""
        sizes = [token_range.size for token_range in self.ranges]
        return np.repeat(np.arange(len(sizes), dtype=np.int8), sizes)

    @cached_property
    def values(self) -> npt.NDArray[np.int64]:
        """The value of each token (a pitch, steps, a bin); shape ``(V,)``."""
        return np.concatenate([np.arange(r.size) + r.first_value for r in self.ranges])

    def slice_of(self, token_type: TokenType) -> slice:
        """Return the ids of one type."""
        return self.slices[token_type]

    def index_of(self, token_type: TokenType) -> int:
        """Return the index in ``ranges`` of one type, as :attr:`type_index` has it."""
        return list(self.slices).index(token_type)

    def is_type(self, tokens: Tokens, token_type: TokenType) -> BoolArray:
        """Return which tokens are of one type; the shape is that of ``tokens``."""
        ids = self.slices[token_type]
        is_type: BoolArray = (tokens >= ids.start) & (tokens < ids.stop)
        return is_type

    def token(self, token_type: TokenType, value: int) -> int:
        """Return the id of a value. Raises :class:`CodecError` if the range has no such value."""
        for token_range in self.ranges:
            if token_range.type == token_type:
                if 0 <= value - token_range.first_value < token_range.size:
                    return self.slices[token_type].start + value - token_range.first_value  # type: ignore[no-any-return]
                break
        raise CodecError(f"the vocabulary has no token for {token_type} {value}")

    def describe(self, token: int) -> tuple[TokenType, int]:
        """Return the type and the value of a token id."""
        if not 0 <= token < self.size:
            self.check(np.array([token]))
        return self._words[token]

    @cached_property
    def _words(self) -> list[tuple[TokenType, int]]:
        types = [self.ranges[index].type for index in self.type_index.tolist()]
        return list(zip(types, self.values.tolist(), strict=True))

    def check(self, tokens: npt.ArrayLike) -> Tokens:
        """Return the tokens as an array of uint16; see :func:`check_tokens`."""
        return check_tokens(tokens, self.size)
