"""The performance codec: performances to tokens and back."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from midirnn.arrays import Float32Array
from midirnn.codecs.base import Augmentation, Limits, Tokens, check_performance
from midirnn.codecs.performance.decoder import StreamDecoder
from midirnn.codecs.performance.emit import LIBRARY, emit_tokens
from midirnn.codecs.performance.encoder import StreamEncoder
from midirnn.codecs.performance.grammar import PerformanceGrammar
from midirnn.codecs.performance.layout import MAX_VELOCITY, PerformanceLayout
from midirnn.codecs.performance.measures import (
    measured_controls,
    measured_style,
    recent_style,
)
from midirnn.codecs.performance.vocabulary import TokenType
from midirnn.codecs.style import Style
from midirnn.midifile import SUFFIXES, read_midi, write_midi
from midirnn.performance import Performance, cut_overlaps

LOWEST_KEY, HIGHEST_KEY = 21, 108
"""The pitches of a piano's outermost keys."""


@dataclass(frozen=True)
class PerformanceCodec(PerformanceLayout):
    """The codec of Performance RNN: 388 tokens with the default settings.

    The settings are those of :class:`~midirnn.codecs.performance.layout.PerformanceLayout`.
    """

    name: ClassVar[str] = "performance"
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    _encoder: ClassVar[type[StreamEncoder]] = StreamEncoder
    _decoder: ClassVar[type[StreamDecoder]] = StreamDecoder

    def settings(self) -> dict[str, Any]:
        """Return the settings that recreate the codec, for JSON."""
        return {"name": self.name, **asdict(self)}

    def read(self, path: Path) -> Performance:
        """Read a MIDI file, without drums. Raises :class:`MidiFileError` if it cannot be read."""
        return read_midi(path)

    def recover(self, path: Path) -> Performance:
        """Read the intact part of a damaged file; a warning says what is lost."""
        return read_midi(path, recover=True)

    def write(self, piece: Performance, path: Path) -> None:
        """Write a MIDI file. Raises :class:`MidiFileError` if it cannot be written."""
        write_midi(piece, path)

    def groups(self) -> Mapping[str, slice]:
        """Return the ids of each type of token, by name."""
        return {str(kind): ids for kind, ids in self.vocabulary.slices.items()}

    def constraint(self, limits: Limits | None = None) -> PerformanceGrammar:
        """Return the grammar of the tokens, within the limits on notes if any are given."""
        return PerformanceGrammar(self, limits or Limits())

    def grammar(
        self, max_note_seconds: float | None = None, max_sounding: int | None = None
    ) -> PerformanceGrammar:
        """Return :meth:`constraint`. Deprecated."""
        warnings.warn(
            "PerformanceCodec.grammar() is deprecated; use PerformanceCodec.constraint()",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.constraint(Limits(max_note_seconds, max_sounding))

    def stream_encoder(self, *, velocity_bin: int = 0) -> StreamEncoder:
        """Return an encoder fed message by message.

        ``velocity_bin`` is in force before the first note.
        """
        return self._encoder(self, velocity_bin=velocity_bin)

    def stream_decoder(
        self,
        *,
        start_seconds: float = 0.0,
        channel: int = 0,
        sounding: Iterable[int] = (),
        velocity_bin: int = 0,
    ) -> StreamDecoder:
        """Return a decoder fed token by token; see :class:`StreamDecoder`."""
        return self._decoder(
            self,
            start_seconds=start_seconds,
            channel=channel,
            sounding=sounding,
            velocity_bin=velocity_bin,
        )

    def measure_controls(self, tokens: Tokens, begin: int, stop: int) -> Float32Array:
        """Return the controls of a piece; see :func:`measured_controls`."""
        return measured_controls(tokens, self, begin, stop)

    def recent_style(self, tokens: Tokens, seconds: float) -> Style:
        """Return the style of the last ``seconds`` of a piece."""
        return recent_style(tokens, self, seconds)

    def measure_style(self, tokens: Tokens, begin: int, stop: int) -> Float32Array:
        """Return the style of a piece; see :func:`measured_style`."""
        return measured_style(tokens, self, begin, stop)

    def augment(
        self, tokens: Tokens, augmentation: Augmentation, rng: np.random.Generator
    ) -> Tokens:
        """Return the same piece in a random key and tempo.

        Transpositions are limited to those that stay within the piano's keys.
        """
        if not augmentation:
            return tokens
        performance = self.decode(tokens)
        if not len(performance):
            return tokens
        down = min(augmentation.transpose, max(0, int(performance.pitch.min()) - LOWEST_KEY))
        up = min(augmentation.transpose, max(0, HIGHEST_KEY - int(performance.pitch.max())))
        semitones = int(rng.integers(-down, up + 1))
        factor = float(rng.uniform(1.0 - augmentation.stretch, 1.0 + augmentation.stretch))
        return self.encode(performance.transpose(semitones).stretch(factor))

    def encode(self, performance: Performance, *, open_end: bool = False) -> Tokens:
        """Return the tokens of a performance, pedal applied, drums left out; shape ``(T,)``.

        With ``open_end`` notes that are ``unreleased``, or that a pedal holds to the end, get no
        note-off: they still sound after the last token, and a continuation may end them. With
        ``overlaps="keep"`` the tokens are note-seq's, even where a pedal goes up and down at the
        same time.
        """
        check_performance(performance)
        keeps = self.overlaps == "keep"
        notes = performance.without_drums().apply_sustain(as_note_seq=keeps)
        if self.overlaps == "cut" and _has_doubles(notes):
            notes = notes.select(_loudest_last(notes))
        start = self.steps(notes.start)
        end = np.maximum(self.steps(notes.end), start + 1)
        pitch = notes.pitch.astype(np.int64)
        velocity = self.velocity_bin(np.clip(notes.velocity, 1, MAX_VELOCITY))
        is_open = notes.unreleased & open_end
        if self.overlaps == "cut":
            cut = cut_overlaps(start, end, notes.pitch)
            keep = cut > start
            # A pitch that is struck again later, even by another part, has ended before that.
            if is_open.any():
                never = np.full_like(end, np.iinfo(end.dtype).max)
                is_open &= cut_overlaps(start, never, notes.pitch) == never
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
        """Return the tokens of quantized notes; events within a step are in order of notes."""
        if len(start) == 0:
            return np.empty(0, np.uint16)
        first = {kind: ids.start for kind, ids in self.vocabulary.slices.items()}
        if LIBRARY.is_for(len(start)):
            emitted = emit_tokens(
                *(start, end, pitch, velocity, is_open),
                firsts=tuple(first.get(kind, 0) for kind in TokenType),
                max_shift=self.max_shift_steps,
                has_bins=self.velocity_bins > 0,
            )
            if emitted is not None:
                return emitted
        step = np.stack([start, end], axis=1).ravel()  # (2N,): on, off of note 0, of note 1 ...
        order = np.argsort(step, kind="stable")
        order = order[~((order % 2 == 1) & is_open[order // 2])]
        step, note, is_off = step[order], order // 2, order % 2 == 1

        gap = np.diff(step, prepend=0)
        shifts = -(-gap // self.max_shift_steps)
        bins = velocity[note[~is_off]]
        changed = np.zeros(len(order), dtype=bool)
        changed[~is_off] = np.diff(bins, prepend=0) != 0 if self.velocity_bins else False

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
        """Return the performance of the tokens, on the grid, without pedal.

        Any tokens of the vocabulary can be decoded: a note-off of a silent pitch is ignored, a
        note-on of a sounding pitch ends the note before, and notes still sounding end at the end.
        Raises :class:`CodecError` for a token outside the vocabulary.
        """
        ids = self.vocabulary.check(tokens)
        value = self.vocabulary.values[ids]
        step = np.cumsum(self.token_steps[ids])
        is_on = self.vocabulary.is_type(ids, TokenType.NOTE_ON)
        is_note = is_on | self.vocabulary.is_type(ids, TokenType.NOTE_OFF)

        is_velocity = self.vocabulary.is_type(ids, TokenType.VELOCITY)
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


def _has_doubles(notes: Performance) -> bool:
    """Return whether two notes have the same start and pitch; such notes are adjacent."""
    same = (notes.start[1:] == notes.start[:-1]) & (notes.pitch[1:] == notes.pitch[:-1])
    return bool(same.any())


def _loudest_last(notes: Performance) -> npt.NDArray[np.bool_]:
    """Return which notes to keep of each (start, pitch): the loudest, on the lowest channel."""
    channel = np.array([part.channel for part in notes.parts] or [0])[notes.part]
    order = np.lexsort((-channel, notes.velocity, notes.pitch, notes.start))
    ordered = np.stack([notes.start[order], notes.pitch[order]])
    last = np.append(np.any(np.diff(ordered, axis=1) != 0, axis=0), True)[: len(order)]
    keep = np.zeros(len(notes), dtype=bool)
    keep[order[last]] = True
    return keep
