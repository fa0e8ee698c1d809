"""Several players as one stream: what each of them does, second by second.

A player's second is one of nine gestures: silence, or a combination of density, articulation and
register. The gestures of all players are combined into one number, in mixed radix: 6,561 tokens for
four players. Without ``joint`` each player has its own tokens, and the players take turns.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from midirnn.arrays import BoolArray, IntArray
from midirnn.codecs.base import (
    MAX_TOKENS,
    Augmentation,
    Constraint,
    FreeConstraint,
    Limits,
    Tokens,
    check_performance,
    check_tokens,
)
from midirnn.errors import CodecError
from midirnn.midifile import SUFFIXES, read_midi, write_midi
from midirnn.performance import Part, Performance


@dataclass(frozen=True)
class Gesture:
    """What a player does in a second."""

    name: str
    onsets: int
    """The number of notes that :meth:`EnsembleCodec.decode` writes for it."""
    length: float
    """The length of each of them in seconds."""
    high: bool


DENSE = 3
"""A second with at least this many onsets is dense."""
LEGATO = 0.7
"""A second in which notes sound for at least this many seconds in total is legato."""

GESTURES = (
    Gesture("silence", 0, 0.0, high=False),
    Gesture("sparse detached low", 1, 0.30, high=False),
    Gesture("sparse detached high", 1, 0.30, high=True),
    Gesture("sparse legato low", 1, 0.95, high=False),
    Gesture("sparse legato high", 1, 0.95, high=True),
    Gesture("dense detached low", 4, 0.10, high=False),
    Gesture("dense detached high", 4, 0.10, high=True),
    Gesture("dense legato low", 4, 0.24, high=False),
    Gesture("dense legato high", 4, 0.24, high=True),
)
"""What a player can do in a second; the number of a gesture is its index here."""

REGISTERS = (74, 67, 59, 50, 43)
"""The pitch from which a player's notes count as high, from the highest player to the lowest."""

MOST_SEATS = len(REGISTERS)

_AWAY = 4  # semitones from there to the notes that decode writes
PROGRAMS = (40, 40, 41, 42, 43)
"""The MIDI programs of the players: violins, viola, cello, double bass."""

_VELOCITY = 70
_PLAYER = re.compile(r"player (\d+)")


def to_number(digits: Sequence[int], radices: Sequence[int]) -> int:
    """Combine integers into one in mixed radix, the first digit the most significant.

    Digit k is between 0 and ``radices[k] - 1``, else :class:`CodecError` is raised.
    """
    if len(digits) != len(radices):
        raise CodecError(
            f"the number of values is {len(digits)}; it must be that of the players, {len(radices)}"
        )
    number = 0
    for digit, radix in zip(digits, radices, strict=True):
        if not 0 <= digit < radix:
            raise CodecError(f"a value is {digit}; allowed are 0 to {radix - 1}")
        number = number * radix + digit
    return number


def to_digits(number: int, radices: Sequence[int]) -> tuple[int, ...]:
    """Return the integers that :func:`to_number` combined."""
    if not 0 <= number < math.prod(radices):
        raise CodecError(f"the number is {number}; allowed are 0 to {math.prod(radices) - 1}")
    digits = []
    for radix in reversed(radices):
        number, digit = divmod(number, radix)
        digits.append(digit)
    return tuple(reversed(digits))


@dataclass(frozen=True)
class EnsembleCodec:
    """A number for each second: the gestures of all players, the first the most significant.

    Players are the parts of a file, by name ("player 2") or else in order; further parts are left
    out. :meth:`decode` returns a piece with these gestures, in the plainest possible notes.
    """

    name: ClassVar[str] = "ensemble"
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    players: int = 4
    """The number of players, 1 to 5; those that a file lacks are silent."""
    joint: bool = True
    """Use one token for all players. Otherwise each has its own tokens, and they take turns."""

    def __post_init__(self) -> None:
        if not 1 <= self.players <= MOST_SEATS:
            raise CodecError(f"players is {self.players}; allowed are 1 to {MOST_SEATS}")
        if not isinstance(self.joint, bool):
            raise CodecError(f"joint is {self.joint!r}; allowed are true and false")
        if self.vocab_size > MAX_TOKENS:
            raise CodecError(
                f"{self.players} players with {len(GESTURES)} gestures are {self.vocab_size:,} "
                f"tokens; at most {MAX_TOKENS:,} can be told apart"
            )

    @property
    def vocab_size(self) -> int:
        """The number of tokens (V)."""
        gestures = len(GESTURES)
        return int(gestures**self.players) if self.joint else gestures * self.players

    def settings(self) -> dict[str, Any]:
        """Return the settings that recreate the codec."""
        return {"name": self.name, **asdict(self)}

    def read(self, path: Path) -> Performance:
        """Read a MIDI file."""
        return read_midi(path)

    def write(self, piece: Performance, path: Path) -> None:
        """Write a MIDI file, with a track for each player."""
        write_midi(piece, path)

    def encode(self, piece: Performance) -> Tokens:
        """Return the tokens of a piece, up to the last second in which somebody plays."""
        check_performance(piece)
        return self.from_gestures(self.gestures(piece))

    def decode(self, tokens: npt.ArrayLike) -> Performance:
        """Return a piece in which each player does what the tokens say."""
        return perform_gestures(self.to_gestures(tokens))

    def gestures(self, piece: Performance) -> IntArray:
        """Return what each player does in each second; shape ``(seconds, players)``."""
        found = [
            gestures_of(piece.select(np.isin(piece.part, parts)), REGISTERS[player])
            for player, parts in enumerate(parts_of_players(piece, self.players))
        ]
        table = np.zeros((max(map(len, found)), self.players), np.int64)
        for player, own in enumerate(found):
            table[: len(own), player] = own
        return table[: int(np.flatnonzero(table.any(axis=1)).max(initial=-1)) + 1]

    def from_gestures(self, table: IntArray) -> Tokens:
        """Return the tokens of gestures of shape ``(seconds, players)``."""
        gestures = len(GESTURES)
        if self.joint:
            places = gestures ** np.arange(self.players - 1, -1, -1)
            return (table @ places).astype(np.uint16)
        return (table + gestures * np.arange(self.players)).ravel().astype(np.uint16)

    def to_gestures(self, tokens: npt.ArrayLike) -> IntArray:
        """Return the gestures (seconds, players) of tokens; players without a token are silent.

        Without ``joint``, a token begins the next second unless its player comes after that of the
        token before it.
        """
        numbers = check_tokens(tokens, self.vocab_size).astype(np.int64)
        gestures = len(GESTURES)
        if self.joint:
            places = gestures ** np.arange(self.players - 1, -1, -1)
            return numbers[:, None] // places % gestures
        player, gesture = numbers // gestures, numbers % gestures
        second = np.cumsum(np.diff(player, prepend=-1) <= 0)
        table = np.zeros((int(second.max(initial=-1)) + 1, self.players), np.int64)
        table[second, player] = gesture
        return table

    def constraint(self, limits: Limits | None = None) -> Constraint[Any]:
        """Return the grammar: free with ``joint``, else the players take turns."""
        if self.joint:
            return FreeConstraint(self.vocab_size)
        return TurnConstraint(self.players)

    def groups(self) -> Mapping[str, slice]:
        """Return the token for silence and all others; without ``joint``, those of each player."""
        if self.joint:
            return {"silence": slice(0, 1), "playing": slice(1, self.vocab_size)}
        gestures = len(GESTURES)
        return {
            f"player_{player + 1}": slice(player * gestures, (player + 1) * gestures)
            for player in range(self.players)
        }

    def augment(
        self, tokens: Tokens, augmentation: Augmentation, rng: np.random.Generator
    ) -> Tokens:
        """Return the tokens unchanged: there is nothing to vary."""
        return tokens


def parts_of_players(piece: Performance, players: int) -> list[list[int]]:
    """Return the parts of each player: by their names ("player 2"), else in order.

    Parts without notes count only beside parts that are so named.
    """
    named = [_PLAYER.fullmatch(part.name) for part in piece.parts]
    if any(named):
        numbers = [int(match[1]) - 1 if match else i for i, match in enumerate(named)]
    else:
        used = {part: place for place, part in enumerate(np.unique(piece.part).tolist())}
        numbers = [used.get(index, players) for index in range(len(piece.parts))]
    return [[i for i, n in enumerate(numbers) if n == player] for player in range(players)]


def gestures_of(piece: Performance, register: int) -> IntArray:
    """Return what one player does in each second; ``(seconds,)``."""
    seconds = math.ceil(piece.duration - 1e-3) if len(piece) else 0
    first = np.floor(piece.start + 1e-3).astype(np.int64)
    onsets = np.bincount(first, minlength=seconds)[:seconds]
    sounding, pitches = np.zeros(seconds), np.zeros(seconds)
    for note in piece:
        for second in range(int(note.start + 1e-3), min(seconds, math.ceil(note.end - 1e-3))):
            share = min(note.end, second + 1) - max(note.start, second)
            sounding[second] += share
            pitches[second] += share * note.pitch
    high = pitches >= register * sounding
    kind = 4 * (onsets >= DENSE) + 2 * (sounding >= LEGATO) + high
    return np.where(sounding > 0, 1 + kind, 0)


def perform_gestures(table: IntArray) -> Performance:
    """Return notes that have these gestures (seconds, players)."""
    rows = []
    for second, player in np.argwhere(table):
        gesture = GESTURES[table[second, player]]
        pitch = REGISTERS[player] + (_AWAY if gesture.high else -_AWAY)
        for place in range(gesture.onsets):
            start = second + place / gesture.onsets
            rows.append((start, start + gesture.length, pitch, player))
    columns = np.array(rows, np.float64).reshape(-1, 4)
    return Performance(
        start=columns[:, 0],
        end=columns[:, 1],
        pitch=columns[:, 2].astype(np.uint8),
        velocity=np.full(len(columns), _VELOCITY, np.uint8),
        part=columns[:, 3].astype(np.int32),
        parts=tuple(
            Part(PROGRAMS[player], player, f"player {player + 1}")
            for player in range(max(1, table.shape[1]))
        ),
    )


class Turn:
    """The state of a :class:`TurnConstraint`: the player whose turn it is."""

    def __init__(self, player: int = 0) -> None:
        self.player = player

    def copy(self) -> Turn:
        """Return a state that changes independently of this one."""
        return Turn(self.player)


@dataclass(frozen=True)
class TurnConstraint:
    """The grammar without ``joint``: players take turns."""

    players: int

    @property
    def vocab_size(self) -> int:
        """The number of tokens (V)."""
        return self.players * len(GESTURES)

    def start(self) -> Turn:
        """Return the state before the first token: the first player's turn."""
        return Turn()

    def mask(self, state: Turn) -> BoolArray:
        """Return the tokens of the player whose turn it is; shape ``(V,)``."""
        mask: BoolArray = np.arange(self.vocab_size) // len(GESTURES) == state.player
        return mask

    def advance(self, state: Turn, token: int) -> None:
        """Pass the turn to the player after the one that the token belongs to."""
        state.player = (token // len(GESTURES) + 1) % self.players

    def skip(self, state: Turn, tokens: Tokens) -> None:
        """Move the state past many tokens at once."""
        if len(tokens):
            self.advance(state, int(tokens[-1]))

    def scan(self, state: Turn, tokens: Tokens) -> BoolArray:
        """Move the state past many tokens; return the mask after each, shape ``(T, V)``."""
        players = check_tokens(tokens, self.vocab_size).astype(np.int64) // len(GESTURES)
        after = (players + 1) % self.players
        expected = np.append(state.player, after[:-1]) if len(players) else players
        if (players != expected).any():
            wrong = int(np.flatnonzero(players != expected)[0])
            raise CodecError(f"token {wrong} is not of the player whose turn it is")
        self.skip(state, tokens)
        masks: BoolArray = np.arange(self.vocab_size) // len(GESTURES) == after[:, None]
        return masks
