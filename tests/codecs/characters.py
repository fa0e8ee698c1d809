"""A codec of one's own: text, a token for each character. This file is all that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from midirnn.codecs.base import Augmentation, FreeConstraint, Limits, Tokens, check_tokens
from midirnn.errors import CodecError
from midirnn.files import one_line_errors, write_file


@dataclass(frozen=True)
class CharacterCodec:
    name: ClassVar[str] = "characters"
    suffixes: ClassVar[tuple[str, ...]] = (".txt",)
    alphabet: str = "\n abcdefghijklmnopqrstuvwxyz,."

    @property
    def vocab_size(self) -> int:
        return len(self.alphabet)

    def settings(self) -> dict[str, Any]:
        return {"name": self.name, **asdict(self)}

    def read(self, path: Path) -> str:
        with one_line_errors(path, CodecError, "cannot be read"):
            return path.read_text(encoding="utf-8")

    def write(self, piece: str, path: Path) -> None:
        with one_line_errors(path, CodecError):
            write_file(path, piece)

    def encode(self, piece: str) -> Tokens:
        ids = [self.alphabet.find(character) for character in piece]
        if -1 in ids:
            raise CodecError(f"the character {piece[ids.index(-1)]!r} is not in the alphabet")
        return np.array(ids, np.uint16)

    def decode(self, tokens: npt.ArrayLike) -> str:
        return "".join(self.alphabet[token] for token in check_tokens(tokens, self.vocab_size))

    def constraint(self, limits: Limits | None = None) -> FreeConstraint:
        return FreeConstraint(self.vocab_size)

    def groups(self) -> Mapping[str, slice]:
        return {"space": slice(0, 2), "letter": slice(2, 28), "mark": slice(28, self.vocab_size)}

    def augment(self, tokens: Tokens, how: Augmentation, rng: np.random.Generator) -> Tokens:
        return tokens
