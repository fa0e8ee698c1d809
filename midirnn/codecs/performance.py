"""The performance encoding: note-on, note-off, time-shift and velocity tokens.

Source: S. Oore, I. Simon, S. Dieleman, D. Eck and K. Simonyan, "This Time with Feeling: Learning
Expressive Musical Performance" (2018), section 3; ids and ties as in note-seq 0.0.5.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from midirnn.codecs.vocabulary import TokenRange, Tokens, TokenType, Vocabulary
from midirnn.errors import CodecError
from midirnn.performance import NUM_PITCHES, Performance, cut_overlaps

if TYPE_CHECKING:
    from midirnn.codecs.grammar import PerformanceGrammar
    from midirnn.codecs.streams import StreamDecoder, StreamEncoder

OVERLAPS = ("cut", "keep")
DEFAULT_VELOCITY = 100
"""Velocity of notes that no velocity token precedes, before it is put into its bin."""

_MAX_VELOCITY = 127


@dataclass(frozen=True)
class PerformanceCodec:
    """The codec of Performance RNN: with its default settings 388 tokens.

    ``steps_per_second`` is the grid, ``max_shift_steps`` the longest time shift in steps of it,
    ``velocity_bins`` how many loudnesses are told apart (0: none). ``overlaps`` says what happens
    when a pitch is struck while it sounds: ``"cut"`` ends the first note there, so that a pitch
    sounds once at a time; ``"keep"`` writes a second note-on, as note-seq does.
    """

    steps_per_second: int = 100
    max_shift_steps: int = 100
    velocity_bins: int = 32
    overlaps: str = "cut"

    def __post_init__(self) -> None:
        for name, low, high in (
            ("steps_per_second", 1, 10_000),
            ("max_shift_steps", 1, 10_000),
            ("velocity_bins", 0, _MAX_VELOCITY),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise CodecError(f"{name} is {value!r}; allowed are {low} to {high}")
        if self.overlaps not in OVERLAPS:
            raise CodecError(f"overlaps is {self.overlaps!r}; allowed are {', '.join(OVERLAPS)}")

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens, in note-seq's order."""
        return Vocabulary(
            (
                TokenRange(TokenType.NOTE_ON, 0, NUM_PITCHES),
                TokenRange(TokenType.NOTE_OFF, 0, NUM_PITCHES),
                TokenRange(TokenType.TIME_SHIFT, 1, self.max_shift_steps),
                TokenRange(TokenType.VELOCITY, 1, self.velocity_bins),
            )
        )

    @property
    def vocab_size(self) -> int:
        """How many tokens there are (V)."""
        return self.vocabulary.size

    def settings(self) -> dict[str, Any]:
        """What it takes to make an equal codec, for JSON."""
        return {
            "name": "performance",
            "steps_per_second": self.steps_per_second,
            "max_shift_steps": self.max_shift_steps,
            "velocity_bins": self.velocity_bins,
            "overlaps": self.overlaps,
        }

    def steps(self, seconds: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Steps of the grid nearest to ``seconds``; halves go up."""
        return (np.asarray(seconds, np.float64) * self.steps_per_second + 0.5).astype(np.int64)

    def step(self, seconds: float) -> int:
        """The one that :meth:`steps` gives for one time, in a tenth of the time it takes."""
        return int(seconds * self.steps_per_second + 0.5)

    @property
    def _bin_size(self) -> int:
        return -(-_MAX_VELOCITY // self.velocity_bins) if self.velocity_bins else _MAX_VELOCITY

    def velocity_bin(self, velocity: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The bin (from 1) of each MIDI velocity 1..127."""
        return (np.asarray(velocity).astype(np.int64) - 1) // self._bin_size + 1

    def bin_of(self, velocity: int) -> int:
        """The one that :meth:`velocity_bin` gives for one velocity, in an eighth of the time."""
        return (velocity - 1) // self._bin_size + 1

    def bin_velocity(self, velocity_bin: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The MIDI velocity that stands for each bin: its lowest; without bins the default."""
        if not self.velocity_bins:
            return np.full(np.shape(velocity_bin), DEFAULT_VELOCITY, np.int64)
        lowest = (np.asarray(velocity_bin, np.int64) - 1) * self._bin_size + 1
        return np.minimum(lowest, _MAX_VELOCITY)

    @property
    def default_bin(self) -> int:
        """The bin of notes that no velocity token precedes."""
        return int(self.velocity_bin(DEFAULT_VELOCITY))

    def encode(self, performance: Performance, *, open_end: bool = False) -> Tokens:
        """The tokens of a performance, pedal applied, drums left out; shape ``(T,)``.

        With ``open_end`` notes that are ``unreleased``, or that a pedal holds to the end, get no
        note-off: they still sound behind the last token, for a continuation to end.
        """
        notes = performance.without_drums().apply_sustain()
        if self.overlaps == "cut":
            notes = notes.select(_loudest_last(notes))
        start = self.steps(notes.start)
        end = np.maximum(self.steps(notes.end), start + 1)
        pitch = notes.pitch.astype(np.int64)
        velocity = self.velocity_bin(np.clip(notes.velocity, 1, _MAX_VELOCITY))
        is_open = notes.unreleased & open_end
        if self.overlaps == "cut":
            cut = cut_overlaps(start, end, pitch)
            keep = cut > start
            # A pitch that is struck again later, be it by another part, has ended before.
            never = np.full_like(end, np.iinfo(end.dtype).max)
            is_open &= cut_overlaps(start, never, pitch) == never
            start, end, is_open = start[keep], cut[keep], is_open[keep]
            pitch, velocity = pitch[keep], velocity[keep]
        return self._tokens(start, end, pitch, velocity, is_open)

    def _tokens(
        self,
        start: npt.NDArray[np.int64],
        end: npt.NDArray[np.int64],
        pitch: npt.NDArray[np.int64],
        velocity: npt.NDArray[np.int64],
        is_open: npt.NDArray[np.bool_],
    ) -> Tokens:
        """Tokens of quantized notes; events of a step go by the note's index."""
        if len(start) == 0:
            return np.empty(0, np.uint16)
        step = np.stack([start, end], axis=1).ravel()  # (2N,): on, off of note 0, of note 1 ...
        order = np.lexsort((np.arange(len(step)), step))
        order = order[~((order % 2 == 1) & is_open[order // 2])]
        step, note, is_off = step[order], order // 2, order % 2 == 1

        gap = np.diff(step, prepend=0)
        shifts = -(-gap // self.max_shift_steps)
        bins = velocity[note[~is_off]]
        changed = np.zeros(len(order), dtype=bool)
        changed[~is_off] = np.diff(bins, prepend=0) != 0 if self.velocity_bins else False

        first = {t: self.vocabulary.slice_of(t).start for t in TokenType}
        last_at = np.cumsum(shifts + changed + 1) - 1
        tokens = np.full(
            last_at[-1] + 1, first[TokenType.TIME_SHIFT] + self.max_shift_steps - 1, np.uint16
        )
        tokens[last_at] = pitch[note] + np.where(is_off, first[TokenType.NOTE_OFF], 0)
        tokens[(last_at - 1)[changed]] = first[TokenType.VELOCITY] + velocity[note[changed]] - 1
        waits = shifts > 0
        rest = gap - (shifts - 1) * self.max_shift_steps
        tokens[(last_at - changed - 1)[waits]] = first[TokenType.TIME_SHIFT] + rest[waits] - 1
        return tokens

    def decode(self, tokens: npt.ArrayLike) -> Performance:
        """The performance that tokens stand for, on the grid, without pedal.

        Any tokens of the vocabulary can be decoded: a note-off of a silent pitch says nothing, a
        note-on of a sounding pitch ends the note before, and what still sounds ends at the end.
        Raises :class:`CodecError` for a token outside the vocabulary.
        """
        ids = self.vocabulary.check(tokens)
        ranges = list(TokenType)
        kind, value = self.vocabulary.type_index[ids], self.vocabulary.values[ids]
        step = np.cumsum(np.where(kind == ranges.index(TokenType.TIME_SHIFT), value, 0))
        is_on = kind == ranges.index(TokenType.NOTE_ON)
        is_note = is_on | (kind == ranges.index(TokenType.NOTE_OFF))

        is_velocity = kind == ranges.index(TokenType.VELOCITY)
        heard = np.maximum.accumulate(np.where(is_velocity, np.arange(len(ids)), -1))
        bins = np.where(heard >= 0, value[np.maximum(heard, 0)], self.default_bin)

        # In order of (pitch, position) a note ends at the event after its note-on.
        events = np.flatnonzero(is_note)
        events = events[np.argsort(value[events], kind="stable")]
        same_pitch = np.append(np.diff(value[events]) == 0, False)[: len(events)]
        final = step[-1] if len(step) else 0
        ends = np.where(same_pitch, np.roll(step[events], -1), final)
        on = events[is_on[events]]
        start, end = step[on], np.maximum(ends[is_on[events]], step[on] + 1)
        position = np.argsort(on)
        on, start, end = on[position], start[position], end[position]
        end = cut_overlaps(start, end, value[on])
        keep = end > start
        return Performance(
            start=start[keep] / self.steps_per_second,
            end=end[keep] / self.steps_per_second,
            pitch=value[on][keep].astype(np.uint8),
            velocity=self.bin_velocity(bins[on][keep]).astype(np.uint8),
            part=np.zeros(int(keep.sum()), np.int32),
        )

    def grammar(
        self, max_note_seconds: float | None = None, max_sounding: int | None = None
    ) -> PerformanceGrammar:
        """Which tokens may follow which, how long a note may last, how many may sound at once."""
        from midirnn.codecs.grammar import PerformanceGrammar

        return PerformanceGrammar(self, max_note_seconds, max_sounding)

    def stream_encoder(self, *, velocity_bin: int = 0) -> StreamEncoder:
        """An encoder fed message by message; ``velocity_bin`` is in force before the first note."""
        from midirnn.codecs.streams import StreamEncoder

        return StreamEncoder(self, velocity_bin=velocity_bin)

    def stream_decoder(
        self,
        *,
        start_seconds: float = 0.0,
        channel: int = 0,
        sounding: Iterable[int] = (),
        velocity_bin: int = 0,
    ) -> StreamDecoder:
        """A decoder fed token by token; see :class:`~midirnn.codecs.streams.StreamDecoder`."""
        from midirnn.codecs.streams import StreamDecoder

        return StreamDecoder(
            self,
            start_seconds=start_seconds,
            channel=channel,
            sounding=sounding,
            velocity_bin=velocity_bin,
        )


def _loudest_last(notes: Performance) -> npt.NDArray[np.bool_]:
    """True for one note of each (start, pitch): the loudest, of these the lowest channel's."""
    channel = np.array([part.channel for part in notes.parts] or [0])[notes.part]
    order = np.lexsort((-channel, notes.velocity, notes.pitch, notes.start))
    ordered = np.stack([notes.start[order], notes.pitch[order]])
    last = np.append(np.any(np.diff(ordered, axis=1) != 0, axis=0), True)[: len(order)]
    keep = np.zeros(len(notes), dtype=bool)
    keep[order[last]] = True
    return keep
