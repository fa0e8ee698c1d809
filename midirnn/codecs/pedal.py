"""The performance encoding with two more tokens, for the sustain pedal: 388 + 2.

Notes are as long as their keys are held, and two tokens say that the pedal goes up or down. So a
model pedals as a pianist does, and its output can be edited like a pianist's recording.

Within a step of the grid the pedal comes first. A pedal that goes up and down again within a step
(to end what it held) is two tokens; one that is down for less than a step is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from midirnn.arrays import BoolArray
from midirnn.codecs.base import Limits, Message, Tokens, check_performance
from midirnn.codecs.performance.codec import PerformanceCodec
from midirnn.codecs.performance.decoder import StreamDecoder
from midirnn.codecs.performance.encoder import StreamEncoder
from midirnn.codecs.performance.grammar import GrammarState, PerformanceGrammar
from midirnn.codecs.performance.layout import PerformanceLayout
from midirnn.codecs.performance.vocabulary import TokenRange, TokenType, Vocabulary
from midirnn.errors import CodecError
from midirnn.midievents import CONTROL_CHANGE, SUSTAIN
from midirnn.parts import DRUM_CHANNEL
from midirnn.performance import SUSTAIN_DOWN, Performance

UP, DOWN = 0, 1
"""The values of the pedal's tokens."""

PEDAL_VALUES = (0, 127)
"""The values of CC 64 for a pedal that is up and one that is down."""

Change = tuple[int, int]
"""A step of the grid, and what the pedal does in it: up or down."""


def _without_pedals(performance: Performance) -> Performance:
    names = ("pedal_time", "pedal_value", "pedal_part", "pedal_shared")
    return performance.replace(**{name: getattr(performance, name)[:0] for name in names})


def _changes(performance: Performance, layout: PerformanceLayout) -> list[Change]:
    """Return when the joint pedal of all parts goes up and down, drums left out."""
    down = performance.pedal_value >= SUSTAIN_DOWN
    is_down = [False] * len(performance.parts)
    drums = [part.is_drum for part in performance.parts]
    changes, parts_down = [], 0
    for step, part, now in zip(
        layout.steps(performance.pedal_time).tolist(),
        performance.pedal_part.tolist(),
        down.tolist(),
        strict=True,
    ):
        if drums[part] or is_down[part] == now:
            continue
        is_down[part] = now
        parts_down += 1 if now else -1
        if parts_down == (1 if now else 0):
            changes.append((step, DOWN if now else UP))
    return changes


def _settled(changes: Iterable[Change]) -> list[Change]:
    """Return the pedal's changes that remain on the grid; see the module."""
    settled: list[Change] = []
    before = value_before = UP  # at the beginning of the step
    last = -1
    for step, value in changes:
        if step != last:
            last, before = step, value_before
        if value == value_before:
            continue
        value_before = value
        if value == UP and before == UP:
            settled.pop()  # down for less than a step
        elif value == UP and settled[-2:] == [(step, UP), (step, DOWN)]:
            settled.pop()  # up, down and up again
        else:
            settled.append((step, value))
    return settled


def _closed(changes: list[Change], end: int) -> list[Change]:
    """Return the changes with the pedal, which is still down, lifted at the end."""
    return changes[:-1] if changes[-1][0] == end else [*changes, (end, UP)]


@dataclass
class PedalState(GrammarState):
    """The state of a token stream, the pedal included. Changed in place."""

    pedal: int = UP

    def copy(self) -> PedalState:
        """Return a state that changes independently of this one."""
        return PedalState(**(vars(self) | {name: getattr(self, name).copy() for name in _ARRAYS}))


_ARRAYS = ("onset_rank", "onset_step")


class PedalGrammar(PerformanceGrammar):
    """The grammar of the performance encoding with pedal tokens.

    A pedal token comes first in its step, and always moves the pedal; only a pedal that went up may
    go down again within the step.
    """

    def __init__(self, layout: PerformanceLayout, limits: Limits | None = None) -> None:
        super().__init__(layout, limits)
        self._pedal = layout.vocabulary.slice_of(TokenType.PEDAL)
        self._pedal_type = layout.vocabulary.index_of(TokenType.PEDAL)

    def start(self) -> PedalState:
        """Return the state before the first token: silence, with the pedal up."""
        return PedalState()

    def mask(self, state: GrammarState) -> BoolArray:
        """Return which tokens may come next; shape ``(V,)``, never all false."""
        assert isinstance(state, PedalState)
        mask = super().mask(state)
        begins = state.last_type in (self._shift_type, _NOTHING)
        goes_on = state.last_type == self._pedal_type and state.pedal == UP
        if (begins or goes_on) and self.due(state) is None:
            mask[self._pedal.start + (DOWN if state.pedal == UP else UP)] = True
        return mask

    def advance(self, state: GrammarState, token: int) -> None:
        """Move the state past a token. Any token of the vocabulary is accepted."""
        assert isinstance(state, PedalState)
        if token >= self._pedal.start:
            state.pedal, state.last_type = token - self._pedal.start, self._pedal_type
        else:
            super().advance(state, token)

    def skip(self, state: GrammarState, tokens: Tokens) -> None:
        """Move the state past many tokens at once."""
        assert isinstance(state, PedalState)
        super().skip(state, tokens)
        pedals = tokens[tokens >= self._pedal.start]
        if len(pedals):
            state.pedal = int(pedals[-1]) - self._pedal.start

    def _masks(self, state: GrammarState, tokens: Tokens) -> BoolArray:
        """Return what may come after each token, even one that was not allowed; (T, V)."""
        assert isinstance(state, PedalState)
        masks, kind = super()._masks(state, tokens), self._type[tokens]
        is_pedal = kind == self._pedal_type
        last = np.maximum.accumulate(np.where(is_pedal, np.arange(len(tokens)), -1))
        pedal = np.where(last >= 0, self._value[tokens[np.maximum(last, 0)]], state.pedal)
        may = (kind == self._shift_type) | (is_pedal & (pedal == UP))
        rows = np.flatnonzero(may)
        masks[rows, self._pedal.start + np.where(pedal[rows] == UP, DOWN, UP)] = True
        return masks


_NOTHING = -1  # the type of "no token yet"


class PedalStreamEncoder(StreamEncoder):
    """Tokens from MIDI messages as they are played, those of the pedal included.

    Owns the pedals of the channels; :class:`StreamEncoder`, which gets no pedal messages, owns the
    rest.
    """

    def __init__(self, layout: PerformanceLayout, *, velocity_bin: int = 0) -> None:
        super().__init__(layout, velocity_bin=velocity_bin)
        self._down: frozenset[int] = frozenset()
        self._told = UP
        self._heard: tuple[int, ...] = ()
        """What the pedal did in the current step."""

    def feed(self, seconds: float, message: Sequence[int]) -> list[int]:
        """Return the tokens that become final when a message is heard; see the base class."""
        is_pedal = (
            len(message) == 3
            and message[0] & 0xF0 == CONTROL_CHANGE
            and message[0] & 0x0F != DRUM_CHANNEL
            and message[1] == SUSTAIN
        )
        if not is_pedal:
            return super().feed(seconds, message)
        tokens = self._move(seconds)
        channel = {message[0] & 0x0F}
        down = self._down | channel if message[2] >= SUSTAIN_DOWN else self._down - channel
        if bool(down) != bool(self._down):
            self._heard += (DOWN if down else UP,)
        self._down = down
        return tokens

    @property
    def has_news(self) -> bool:
        """True if something was heard in the current step, or ends in it."""
        return bool(self._heard) or super().has_news

    def finish(self) -> list[int]:
        """End what sounds, lift the pedal, return the tokens still due, and reset."""
        if self._down:
            self._heard += (UP,)
        return super().finish()

    def _close_step(self, *, ending: bool = False) -> list[int]:
        tokens: list[int] = []
        before = [(-1, DOWN)] if self._told == DOWN else []
        settled = _settled([*before, *((0, value) for value in self._heard)])[len(before) :]
        self._heard = ()
        if settled:
            tokens = self._shift_to(self._step)
            for _, self._told in settled:
                tokens.append(self.layout.vocabulary.token(TokenType.PEDAL, self._told))
        return tokens + super()._close_step(ending=ending)


class PedalStreamDecoder(StreamDecoder):
    """Timed MIDI messages from tokens, those of the pedal included."""

    _pedal = UP

    def feed(self, token: int) -> list[tuple[float, Message]]:
        """Return the (seconds, message) pairs of a token; none for time shifts and velocities."""
        kind, value = self.layout.vocabulary.describe(token)
        if kind is not TokenType.PEDAL:
            return super().feed(token)
        self._pedal = value
        return [(self.seconds, (CONTROL_CHANGE | self.channel, SUSTAIN, PEDAL_VALUES[value]))]

    def finish(self) -> list[tuple[float, Message]]:
        """Return messages, at the current time, that lift the pedal and end all notes."""
        lifted = self.feed(self._up) if self._pedal == DOWN else []
        return lifted + super().finish()

    @property
    def _up(self) -> int:
        return self.layout.vocabulary.token(TokenType.PEDAL, UP)


@dataclass(frozen=True)
class PedalCodec(PerformanceCodec):
    """The performance encoding with pedal tokens: 390 with the default settings.

    The settings are those of :class:`~midirnn.codecs.performance.PerformanceCodec`; overlaps are
    always cut. The pedals of all parts become one, which is down while any of them is.
    """

    name: ClassVar[str] = "pedal"
    _encoder: ClassVar[type[StreamEncoder]] = PedalStreamEncoder
    _decoder: ClassVar[type[StreamDecoder]] = PedalStreamDecoder

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.overlaps != "cut":
            raise CodecError("the codec 'pedal' always cuts overlaps: leave them at 'cut'")

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens: those of the performance encoding, then pedal up and pedal down."""
        pedal = TokenRange(TokenType.PEDAL, UP, 2)
        return Vocabulary((*super().vocabulary.ranges, pedal))

    def constraint(self, limits: Limits | None = None) -> PedalGrammar:
        """Return the grammar of the tokens."""
        return PedalGrammar(self, limits)

    def encode(self, performance: Performance, *, open_end: bool = False) -> Tokens:
        """Return the tokens of a performance, drums left out; shape ``(T,)``.

        A pedal that is still down goes up with the last event. With ``open_end`` it stays down, and
        notes that are ``unreleased`` get no note-off.
        """
        check_performance(performance)
        keys = super().encode(_without_pedals(performance), open_end=open_end)
        changes = _settled(_changes(performance, self))
        last = int(self.token_steps[keys].sum())
        if changes and changes[-1][1] == DOWN and not open_end:
            changes = _closed(changes, max(last, changes[-1][0]))
        return self._merged(keys, changes)

    def _merged(self, keys: Tokens, changes: Sequence[Change]) -> Tokens:
        """Merge the pedal's tokens into those of the keys, each first in its step."""
        if not changes:
            return keys
        shifts = self.token_steps[keys] > 0
        events = keys[~shifts].astype(np.int64)
        at = np.cumsum(self.token_steps[keys])[~shifts]
        first = self.vocabulary.slice_of(TokenType.PEDAL).start
        step, value = np.array(changes, np.int64).T
        times = np.concatenate([step, at])
        order = np.argsort(times, kind="stable")
        merged, times = np.concatenate([first + value, events])[order], times[order]

        most = self.max_shift_steps
        gap = np.diff(times, prepend=0)
        count = -(-gap // most)
        place = np.cumsum(count + 1) - 1
        longest = self.vocabulary.token(TokenType.TIME_SHIFT, most)
        tokens = np.full(place[-1] + 1, longest, np.uint16)
        tokens[place] = merged
        waits = count > 0
        rest = gap - (count - 1) * most
        tokens[(place - 1)[waits]] = longest - most + rest[waits]
        return tokens

    def decode(self, tokens: npt.ArrayLike) -> Performance:
        """Return the performance of the tokens, on the grid, with its pedal.

        A pedal that is still down goes up at the end; see also :meth:`PerformanceCodec.decode`.
        """
        ids = self.vocabulary.check(tokens)
        step = np.cumsum(self.token_steps[ids])
        pedal = np.flatnonzero(self.vocabulary.is_type(ids, TokenType.PEDAL))
        values = self.vocabulary.values[ids[pedal]]
        changes = _settled(zip(step[pedal].tolist(), values.tolist(), strict=True))
        if changes and changes[-1][1] == DOWN:
            changes = _closed(changes, int(step[-1]))
        seconds = [at / self.steps_per_second for at, _ in changes]
        return (
            super()
            .decode(ids)
            .replace(
                pedal_time=np.array(seconds, np.float64),
                pedal_value=np.array([PEDAL_VALUES[value] for _, value in changes], np.uint8),
                pedal_part=np.zeros(len(changes), np.int32),
                pedal_shared=np.zeros(len(changes), bool),
            )
        )
