"""A vocabulary: ordered ranges of values, laid end to end as token ids."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from midirnn.errors import CodecError

Tokens = npt.NDArray[np.uint16]


class TokenType(StrEnum):
    """What a token of the performance encoding says."""

    NOTE_ON = "note_on"
    NOTE_OFF = "note_off"
    TIME_SHIFT = "time_shift"
    VELOCITY = "velocity"


@dataclass(frozen=True)
class TokenRange:
    """The tokens of one type: values ``first_value .. first_value + size - 1``."""

    type: TokenType
    first_value: int
    size: int


@dataclass(frozen=True)
class Vocabulary:
    """Token ids for typed values: each range follows the one before it, from id 0 on."""

    ranges: tuple[TokenRange, ...]

    @cached_property
    def size(self) -> int:
        """How many tokens there are (V)."""
        return sum(token_range.size for token_range in self.ranges)

    @cached_property
    def _first_ids(self) -> tuple[int, ...]:
        sizes = [token_range.size for token_range in self.ranges]
        return tuple(sum(sizes[:index]) for index in range(len(sizes)))

    @cached_property
    def _slices(self) -> dict[TokenType, slice]:
        return {
            r.type: slice(first, first + r.size)
            for r, first in zip(self.ranges, self._first_ids, strict=True)
        }

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
        """The ids of one type."""
        return self._slices[token_type]

    def token(self, token_type: TokenType, value: int) -> int:
        """The id of a value. Raises :class:`CodecError` if the range has no such value."""
        for token_range, first in zip(self.ranges, self._first_ids, strict=True):
            if token_range.type == token_type:
                if 0 <= value - token_range.first_value < token_range.size:
                    return first + value - token_range.first_value
                break
        raise CodecError(f"the vocabulary has no token for {token_type} {value}")

    def describe(self, token: int) -> tuple[TokenType, int]:
        """The type and the value of a token id."""
        if not 0 <= token < self.size:
            self.check(np.array([token]))
        return self._words[token]

    @cached_property
    def _words(self) -> list[tuple[TokenType, int]]:
        types = [self.ranges[index].type for index in self.type_index.tolist()]
        return list(zip(types, self.values.tolist(), strict=True))

    def check(self, tokens: npt.ArrayLike) -> Tokens:
        """The tokens as an array of uint16; :class:`CodecError` if any is not in the vocabulary."""
        array = np.asarray(tokens)
        if array.size == 0:
            return np.empty(0, np.uint16)
        if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
            raise CodecError(
                f"tokens must be a list of whole numbers, not {array.dtype} of shape {array.shape}"
            )
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= self.size:
            wrong = low if low < 0 else high
            raise CodecError(f"token {wrong} is not in the vocabulary (0 to {self.size - 1})")
        return array.astype(np.uint16)
