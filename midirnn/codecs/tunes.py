"""The grammar of ABC notation, as far as single characters decide what may come next in a tune.

Repeats begin before they end and end before the tune does, a second ending follows a first, a tie
leads to the same note, and a tune does not end within its header. All else is left to the model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from midirnn.arrays import BoolArray
from midirnn.codecs.base import Tokens, check_tokens
from midirnn.errors import CodecError

NOTES = "ABCDEFGabcdefg"
DIGITS = "0123456789"
LONGEST_REPEAT = 16
"""The maximum number of bars in a repeated section; then a repeat sign must follow."""

_BAR = "|:]"
_AFTER_BAR = {
    ":": "|:",
    "|": "|:]",
    "::": "",
    ":|": "",
    "|:": "",
    "||": "",
    "|]": "",
}
"""Which characters may continue a bar line, by what has been written of it."""


@dataclass
class TuneState:
    """The state of a tune. Changed in place."""

    in_body: bool = False
    """Whether the key, which ends the header, has been written."""
    line: str = ""
    """The first two characters of the current line."""
    before: str = "\n"
    """The last character."""
    bar: str = ""
    """The current bar line, as far as it has been written."""
    repeat: str = "start"
    """``start`` before the first repeat, ``open`` within a repeat, else ``closed``."""
    bars: int = 0
    """Bar lines since the last repeat sign."""
    first_ending: bool = False
    """Whether a first ending has begun and still lacks its second."""
    in_chord: bool = False
    note: str = ""
    """The last note."""
    tied: str = ""
    """The note that a tie leads to."""

    def copy(self) -> Self:
        """Return a state that changes independently of this one."""
        return replace(self)

    @property
    def in_field(self) -> bool:
        """Whether the line is a field, such as a title, which may hold anything."""
        if not self.in_body:
            return True
        return self.line[1:2] == ":" and self.line[0] not in NOTES + _BAR

    def forbidden(self) -> str:
        """Return the characters that may not come next."""
        if self.before == "\n" and (not self.in_body or self.repeat == "open" or self.tied):
            return "\n" if not self.tied else "\n" + self._not_tied()
        if self.in_field:
            return ""
        none = "" if self.bar else "]"
        if self.in_chord:
            return '|:[()<>-zxZ \n"'
        if self.before == "[":
            endings = "1" if self.repeat != "closed" and not self.first_ending else ""
            if self.repeat == "closed" and self.first_ending:
                endings = "2"
            return '|:[]()<>-zxZ \n"' + "".join(set(DIGITS) - set(endings))
        if self.bar:
            none += "".join(set(_BAR) - set(_AFTER_BAR[self.bar])) + DIGITS
            if self.bar == ":":
                none += "\n [("
            if self.bar == "|" and self.repeat == "open":
                none += _BAR  # within a repeat only its end closes a section
            if self.bar == ":" and self.repeat == "closed":
                none += ":"
        elif self.repeat == "open" and self.bars >= LONGEST_REPEAT:
            none += "|"
        if not self.before.islower():
            none += "'" if self.before != "'" else ""
        if not self.before.isupper():
            none += "," if self.before != "," else ""
        if self.tied:
            none += self._not_tied()
        elif self.before not in NOTES + DIGITS + "/":
            none += "-"
        return none

    def _not_tied(self) -> str:
        return "^_=zxZ([],'" + "".join(set(NOTES) - {self.tied})

    def advance(self, character: str) -> None:
        """Move past a character."""
        was_field, before = self.in_field, self.before
        self.before = character
        if character == "\n":
            self._end_bar()
            if not self.in_body and self.line[:2] == "K:":
                self.in_body = True
            self.line = ""
            return
        self.line = (self.line + character)[:2]
        if was_field or self.in_field:
            return
        if character in _BAR and not (character == "]" and not self.bar):
            self.bar += character
            return
        self._end_bar()
        if character == "]":
            self.in_chord = False
        elif before == "[" and character in DIGITS:
            self.first_ending = character == "1"
        elif before == "[":
            self.in_chord = True
        if character in NOTES:
            self.note, self.tied = character, ""
        elif character == "-":
            self.tied = self.note

    def _end_bar(self) -> None:
        bar, self.bar = self.bar, ""
        self.bars = 0 if ":" in bar else self.bars + bool(bar)
        if bar == "::":
            self.repeat, self.first_ending = "open", False
        elif bar.startswith(":"):
            self.repeat = "closed"
        elif bar.endswith(":"):
            self.repeat, self.first_ending = "open", False


@dataclass(frozen=True)
class TuneConstraint:
    """The constraint of tunes over the characters of an alphabet. Used when generating."""

    alphabet: str
    _tokens: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tokens = {character: token for token, character in enumerate(self.alphabet)}
        object.__setattr__(self, "_tokens", tokens)

    @property
    def vocab_size(self) -> int:
        """The number of characters (V)."""
        return len(self.alphabet)

    def start(self) -> TuneState:
        """Return the state before the first character."""
        return TuneState()

    def mask(self, state: TuneState) -> BoolArray:
        """Return which characters may come next; shape ``(V,)``, never all false."""
        allowed = np.ones(self.vocab_size, dtype=bool)
        allowed[[self._tokens[c] for c in state.forbidden() if c in self._tokens]] = False
        return allowed if allowed.any() else ~allowed

    def advance(self, state: TuneState, token: int) -> None:
        """Move the state past a character."""
        state.advance(self.alphabet[token])

    def skip(self, state: TuneState, tokens: Iterable[int]) -> None:
        """Move the state past many characters."""
        for token in tokens:
            self.advance(state, int(token))

    def scan(self, state: TuneState, tokens: Tokens) -> BoolArray:
        """Move the state past many characters; return the mask after each, shape ``(T, V)``.

        Raises :class:`CodecError` where a character is not allowed.
        """
        masks = np.empty((len(tokens), self.vocab_size), dtype=bool)
        allowed = self.mask(state)
        for index, token in enumerate(check_tokens(tokens, self.vocab_size).tolist()):
            if not allowed[token]:
                raise CodecError(f"the character {self.alphabet[token]!r} may not stand there")
            self.advance(state, token)
            allowed = masks[index] = self.mask(state)
        return masks
