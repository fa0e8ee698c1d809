"""Text, a token for each character: the encoding of A. Karpathy's char-rnn (2015).

The characters are those of the training text. A file is one piece or, as a tune book in ABC
notation, one piece for each tune.
"""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from midirnn.codecs.base import (
    MAX_TOKENS,
    Augmentation,
    Constraint,
    FreeConstraint,
    Limits,
    Tokens,
    check_tokens,
)
from midirnn.codecs.passages import Passage, cut_passages, find_tunes, place_in
from midirnn.codecs.tunes import TuneConstraint
from midirnn.errors import CodecError
from midirnn.files import one_line_errors, write_file
from midirnn.midifile import write_midi

PRINTABLE = "\n" + "".join(map(chr, range(ord(" "), ord("~") + 1)))
"""The characters of a codec that was not fitted to a text: printable ASCII and line breaks."""

UNITS = ("", "file", "tune")
"""What a piece is; empty: tunes if all files are named .abc, else files."""

END_OF_TUNE = "\n\n"
"""Tunes in ABC notation end with an empty line."""

_AS_PLAIN_TEXT = "correct it, or read it as plain text with --codec-setting unit=file"


@dataclass(frozen=True)
class TextCodec:
    """Texts in UTF-8, a token for each character of ``alphabet``.

    Line breaks of any kind in a file are read as line feeds.
    """

    name: ClassVar[str] = "text"
    suffixes: ClassVar[tuple[str, ...]] = (".txt", ".abc")
    written: ClassVar[tuple[str, ...]] = (".mid", ".midi")

    alphabet: str = PRINTABLE
    unit: str = ""
    """What a piece is: one of the :data:`UNITS`."""

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise CodecError(f"unit is {self.unit!r}; allowed are {', '.join(UNITS[1:])}")
        if not self.alphabet:
            raise CodecError("the alphabet is empty: a text codec needs at least one character")
        if len(set(self.alphabet)) < len(self.alphabet):
            twice = next(c for c in self.alphabet if self.alphabet.count(c) > 1)
            raise CodecError(f"the alphabet has the character {twice!r} twice")
        if len(self.alphabet) > MAX_TOKENS - 1:
            raise CodecError(
                f"the text has {len(self.alphabet)} different characters; at most "
                f"{MAX_TOKENS - 1} can be told apart"
            )

    @property
    def vocab_size(self) -> int:
        """The number of characters (V)."""
        return len(self.alphabet)

    def settings(self) -> dict[str, Any]:
        """Return the settings that recreate the codec, for JSON."""
        return {"name": self.name, **asdict(self)}

    # Files.

    def read(self, path: Path) -> str:
        """Read a whole file. Raises :class:`CodecError` if it is not text in UTF-8."""
        with one_line_errors(path, CodecError, "cannot be read"):
            data = path.read_bytes()
        if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
            raise CodecError(
                f"{path} is text in UTF-16, not in UTF-8; convert it: iconv -f UTF-16 -t UTF-8"
            )
        if b"\0" in data:
            line, column = place_in(data[: data.index(b"\0")].decode("utf-8", "replace"))
            raise CodecError(
                f"{path} is a binary file, not text (a null byte in line {line}, column {column}); "
                "leave it out, or encode MIDI files without --codec text"
            )
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line, column = place_in(data[: error.start].decode("utf-8", "replace"))
            raise CodecError(
                f"{path} is not text in UTF-8 (byte 0x{data[error.start]:02x} in line {line}, "
                f"column {column}); if it is in Latin-1, convert it: iconv -f LATIN1 -t UTF-8"
            ) from None
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def write(self, piece: str, path: Path) -> None:
        """Write a text, or, to a file named .mid or .midi, its tune in ABC notation as MIDI.

        A tune without a number (``X:``) is given one: ABC files need it.
        """
        if path.suffix.lower() in self.written:
            from midirnn.abcfile import read_abc

            try:
                performance = read_abc(piece)
            except CodecError as error:
                raise CodecError(
                    f"{error}; write it with -o {path.stem}.txt to see it, or try another seed"
                ) from None
            write_midi(performance, path)
            return
        if self.unit == "tune" and not piece.startswith("X:"):
            piece = f"X:1\n{piece}"
        with one_line_errors(path, CodecError):
            write_file(path, piece)

    # A corpus: see :class:`~midirnn.codecs.base.CorpusCodec`.

    def for_files(self, paths: Sequence[Path]) -> Self:
        """Return the codec with its unit chosen by the names of the files."""
        if self.unit:
            return self
        tunes = all(path.suffix.lower() == ".abc" for path in paths)
        return replace(self, unit="tune" if tunes else "file")

    def passages(self, path: Path) -> list[Passage]:
        """Read the pieces in a file: the file itself, or its tunes."""
        text = self.read(path)
        if not text.strip():
            raise CodecError(
                f"{path} is empty: there is nothing to learn from; name a file with text in it"
            )
        if self.unit != "tune":
            return [Passage(text)]
        tunes = find_tunes(text)
        if not tunes:
            raise CodecError(
                f"{path} holds no tune in ABC notation: a tune has a line K: with its key, and "
                f"ends with an empty line; {_AS_PLAIN_TEXT}"
            )
        _check_some_tune(path, tunes)
        return tunes

    def cut(self, passages: Sequence[Passage], ends: Sequence[float]) -> list[list[Passage]]:
        """Return the parts of a file that end at these shares of its characters.

        Tunes of a tune book are never cut.
        """
        return cut_passages(passages, ends, whole=self.unit == "tune")

    def fit(self, passages: Iterable[Passage]) -> Self:
        """Return the codec of the characters in these pieces; a given alphabet is kept."""
        if self.alphabet != PRINTABLE:
            return self
        characters: set[str] = set()
        for passage in passages:
            characters.update(passage.text)
        return replace(self, alphabet="".join(sorted(characters)))

    def encode_passage(self, passage: Passage) -> Tokens:
        """Return the tokens of a piece. Errors name the position in the file."""
        ids = self._ids(passage.text)
        unknown = np.flatnonzero(ids < 0)
        if not len(unknown):
            return ids.astype(np.uint16)
        index = int(unknown[0])
        line, column = place_in(passage.text[:index], passage.line, passage.column)
        raise CodecError(
            f"line {line}, column {column}: the character {passage.text[index]!r} does not occur "
            f"in the training text, whose {self.vocab_size} characters are all that the model "
            "knows; leave it out or write it in another way"
        )

    # Tokens.

    def encode(self, piece: str) -> Tokens:
        """Return the tokens of a text; shape ``(T,)``.

        Raises :class:`CodecError` with line and column for a character that is not known.
        """
        return self.encode_passage(Passage(piece))

    def decode(self, tokens: npt.ArrayLike) -> str:
        """Return the text of the tokens."""
        return "".join(self.alphabet[token] for token in check_tokens(tokens, self.vocab_size))

    def ends(self, tokens: Sequence[int]) -> bool:
        """Return whether a piece is complete: a tune after an empty line, other text never."""
        if self.unit != "tune" or len(tokens) < len(END_OF_TUNE):
            return False
        return self.decode(tokens[-len(END_OF_TUNE) :]) == END_OF_TUNE

    def constraint(self, limits: Limits | None = None) -> Constraint[Any]:
        """Return the grammar. When generating (with limits) a tune follows ABC notation.

        Otherwise any character may follow any other: tunes written by people may contain mistakes.
        """
        if self.unit == "tune" and limits is not None:
            return TuneConstraint(self.alphabet)
        return FreeConstraint(self.vocab_size)

    def groups(self) -> Mapping[str, slice]:
        """Return the whole alphabet as one group: the order of its characters means little."""
        return {"character": slice(0, self.vocab_size)}

    def augment(
        self, tokens: Tokens, augmentation: Augmentation, rng: np.random.Generator
    ) -> Tokens:
        """Return the tokens unchanged."""
        return tokens

    @cached_property
    def _order(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """The code points of the alphabet in ascending order, and the token of each."""
        codes = _code_points(self.alphabet)
        order = np.argsort(codes)
        return codes[order], order

    def _ids(self, text: str) -> npt.NDArray[np.int64]:
        """Return the token of each character; -1 for one that is not in the alphabet."""
        codes, tokens = self._order
        wanted = _code_points(text)
        places = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
        return np.where(codes[places] == wanted, tokens[places], -1)


def _check_some_tune(path: Path, tunes: Sequence[Passage]) -> None:
    """Raise a :class:`CodecError` if no tune of a tune book can be parsed."""
    from midirnn.abcfile import parse_tune

    reason = ""
    for tune in tunes:
        try:
            parse_tune(tune.text)
        except CodecError as error:
            reason = reason or str(error)
        else:
            return
    raise CodecError(
        f"{path}: none of the tunes in it ({len(tunes)}) can be read; the first, in line "
        f"{tunes[0].line}, is {reason}; {_AS_PLAIN_TEXT}"
    )


def _code_points(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
