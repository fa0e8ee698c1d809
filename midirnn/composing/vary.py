"""Vary a piece: redraw velocities, pitches, durations or times of its notes, note by note."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.arrays import BoolArray, Float64Array, IntArray
from midirnn.codecs import PerformanceCodec
from midirnn.codecs.performance.grammar import GrammarState
from midirnn.engines.base import StepEngine
from midirnn.engines.load import Model, as_model
from midirnn.errors import OptionError
from midirnn.performance import NUM_PITCHES, Performance
from midirnn.sampling.arguments import as_music, as_sampling, check_seed
from midirnn.sampling.filters import FILTERS, SamplingConfig, draw, filter_types, probabilities

ASPECTS = ("velocity", "timing", "pitch", "duration")
"""The aspects of notes that can be varied."""

TYPES = {"velocity": "velocity", "timing": "rhythm", "pitch": "pitch"}
"""The type of token, by its name in the sampling settings, that is drawn for an aspect."""

HANDS = ("left", "right")
MIDDLE_C = 60
"""The right hand plays from here on."""

FARTHEST_PITCH = 12
"""The most semitones by which a pitch is varied."""

FARTHEST_SECONDS = 0.06
"""The most by which notes are moved."""

Progress = Callable[[int, int], None]


def vary(
    model: Model | str | os.PathLike[str],
    piece: Any,
    what: str,
    amount: float = 0.3,
    *,
    hand: str | None = None,
    sampling: SamplingConfig | Mapping[str, Any] | None = None,
    seed: int = 0,
    engine: str = "auto",
    progress: Progress | None = None,
) -> Performance:
    """Return a piece with the velocity, time, pitch or duration of some of its notes varied.

    ``piece`` is a :class:`Performance`, a ``pretty_midi.PrettyMIDI`` or the path of a MIDI file.
    ``amount`` is the share of notes, chosen at random, for which ``what`` is redrawn, given all
    that comes before; ``hand`` limits it to notes below middle C, or from there on. Everything else
    stays as it is, to the last bit. With ``timing``, notes that begin together are chosen and moved
    together, those of the other hand too. Raises :class:`OptionError` for ``sampling`` settings
    that have no effect on ``what`` is redrawn.
    """
    music, settings = as_music(piece), as_sampling(sampling) or SamplingConfig()
    model = as_model(model)
    if what not in ASPECTS:
        raise OptionError(f"what is {what!r}; allowed are {', '.join(ASPECTS)}")
    if not 0.0 < amount <= 1.0:
        raise OptionError(f"amount is {amount:g}; allowed are above 0, up to 1")
    if hand is not None and hand not in HANDS:
        raise OptionError(f"hand is {hand!r}; allowed are {' and '.join(HANDS)}")
    if not isinstance(model.codec, PerformanceCodec):
        raise OptionError(f"vary is for music; the codec {model.codec.name!r} has no notes")
    if what == "velocity" and not model.codec.velocity_bins:
        raise OptionError("this model knows no velocities, so it cannot vary them")
    _check_sampling(settings, what)
    check_seed(seed)
    rng = np.random.default_rng(seed)
    draws = rng.random(len(music))
    if what == "timing":
        draws = _of_each_step(draws, model.codec.steps(music.start))
    chosen = draws < amount
    if hand is not None:
        chosen &= (music.pitch < MIDDLE_C) == (hand == "left")
    drums = [number for number, part in enumerate(music.parts) if part.is_drum]
    chosen &= ~np.isin(music.part, drums)
    stepping = model.engine(engine)
    walk = _WALKS[what](stepping, model.codec, settings, rng, music, chosen)
    walk.run(progress)
    return walk.result()


def _check_sampling(settings: SamplingConfig, what: str) -> None:
    """Raise :class:`OptionError` for a setting that has no effect on what is redrawn."""
    own = TYPES.get(what)
    for field in fields(SamplingConfig):
        works = field.name in FILTERS or (own is not None and field.name.startswith(f"{own}_"))
        if not works and getattr(settings, field.name) != field.default:
            raise OptionError(f"{field.name} has no effect on the {what} of notes; leave it out")


def _of_each_step(draws: Float64Array, steps: IntArray) -> Float64Array:
    """Return random numbers (N,) of notes, that of the first note of a step for all of them."""
    _, first, step = np.unique(steps, return_index=True, return_inverse=True)
    return draws[first][step]


class _Walk(ABC):
    """Goes through a piece event by event; subclasses decide what to draw.

    Owns the notes on the grid of the codec, and the state of the grammar.
    """

    def __init__(
        self,
        engine: StepEngine,
        codec: PerformanceCodec,
        config: SamplingConfig,
        rng: np.random.Generator,
        piece: Performance,
        chosen: BoolArray,
    ) -> None:
        self.engine, self.codec, self.config, self.rng = engine, codec, config, rng
        self.piece, self.chosen = piece, chosen
        self.grammar = codec.constraint()
        self.state: GrammarState = self.grammar.start()
        self.start = codec.steps(piece.start)
        self.end = np.maximum(codec.steps(piece.end), self.start + 1)
        self.pitch = piece.pitch.astype(np.int64)
        self.velocity = piece.velocity.astype(np.int64)
        self.groups = groups = codec.groups()
        self.on: int = groups["note_on"].start
        self.off: int = groups["note_off"].start
        self.shift: int = groups["time_shift"].start
        self.bins = groups["velocity"]
        drums = [number for number, part in enumerate(piece.parts) if part.is_drum]
        self.heard = ~np.isin(piece.part, drums)

    def run(self, progress: Progress | None) -> None:
        """Feed the piece to the engine from its start to its end."""
        self.engine.set_controls(None)
        self.engine.reset()
        sounding: list[int] = []
        steps = np.unique(np.concatenate([self.start[self.heard], self.end[self.heard]])).tolist()
        for number, step in enumerate(steps):
            following = steps[number + 1] if number + 1 < len(steps) else None
            self.wait(self.time(step, following))
            for note in sorted(sounding, key=lambda n: int(self.state.onset_rank[self.pitch[n]])):
                if self.ends(note, step, following):
                    self.feed(self.off + int(self.pitch[note]))
                    sounding.remove(note)
            for note in np.flatnonzero((self.start == step) & self.heard).tolist():
                sounding = self._strike(note, sounding)
            if progress is not None and number % 50 == 0:
                progress(number, len(steps))
        self.engine.logits()  # a pending step would hold on to the engine

    @abstractmethod
    def result(self) -> Performance:
        """Return the piece with what was drawn."""

    def time(self, step: int, following: int | None) -> int:
        """Return when the events of a step happen."""
        return step

    def ends(self, note: int, step: int, following: int | None) -> bool:
        """Return whether a sounding note ends in a step."""
        return bool(self.end[note] <= step)

    def choose(self, note: int) -> None:  # noqa: B027 - some draw at other moments
        """Redraw the varied aspect of a note that begins now."""

    def _strike(self, note: int, sounding: list[int]) -> list[int]:
        if self.chosen[note]:
            self.choose(note)
        pitch = int(self.pitch[note])
        if self.state.held[pitch]:
            return sounding  # a second note of that pitch is not fed
        velocity_bin = int(self.codec.velocity_bin(self.velocity[note]))
        if self.codec.velocity_bins and velocity_bin != self.state.velocity_bin:
            self.feed(self.bins.start + velocity_bin - 1)
        self.feed(self.on + pitch)
        return [*sounding, note]

    def wait(self, step: int) -> None:
        """Feed time shifts up to a step."""
        longest = self.codec.max_shift_steps
        while self.state.step < step:
            self.feed(self.shift + min(step - self.state.step, longest) - 1)

    def feed(self, token: int) -> None:
        """Feed a token to the grammar and the engine."""
        self.grammar.advance(self.state, token)
        self.engine.feed(token, self.state.held)

    def draw(self, tokens: npt.ArrayLike) -> int:
        """Draw one of the tokens."""
        mask = np.zeros(self.codec.vocab_size, dtype=bool)
        mask[np.asarray(tokens)] = True
        logits = filter_types(self.engine.logits(), mask, self.groups, self.config.types)
        return draw(probabilities(logits, mask, self.config), self.rng)


class _Velocities(_Walk):
    def choose(self, note: int) -> None:
        """Draw a velocity, possibly that of the note before."""
        same = self.on + int(self.pitch[note])
        in_force = self.state.velocity_bin
        tokens = [*range(self.bins.start, self.bins.stop), *([same] if in_force else [])]
        tokens = [token for token in tokens if token != self.bins.start + in_force - 1]
        drawn = self.draw(tokens)
        velocity_bin = in_force if drawn == same else drawn - self.bins.start + 1
        if velocity_bin != int(self.codec.velocity_bin(self.velocity[note])):
            self.velocity[note] = int(self.codec.bin_velocity(velocity_bin))

    def result(self) -> Performance:
        return self.piece.replace(velocity=self.velocity.astype(np.uint8))


class _Pitches(_Walk):
    def choose(self, note: int) -> None:
        """Draw a pitch that is free for as long as the note lasts."""
        velocity_bin = int(self.codec.velocity_bin(self.velocity[note]))
        if self.codec.velocity_bins and velocity_bin != self.state.velocity_bin:
            self.feed(self.bins.start + velocity_bin - 1)
        meanwhile = (self.start < self.end[note]) & (self.end > self.start[note])
        start, end = self.piece.start, self.piece.end  # which may overlap within a step
        meanwhile |= (start < end[note]) & (end > start[note])
        meanwhile[note] = False
        pitches = np.arange(NUM_PITCHES)
        near = np.abs(pitches - self.pitch[note]) <= FARTHEST_PITCH
        free = near & ~np.isin(pitches, self.pitch[meanwhile]) & ~self.state.held
        if free.any():
            self.pitch[note] = self.draw(np.flatnonzero(free) + self.on) - self.on

    def result(self) -> Performance:
        return self.piece.replace(pitch=self.pitch.astype(np.uint8))


class _Durations(_Walk):
    def run(self, progress: Progress | None) -> None:
        """Feed the piece; a note ends at the latest where its pitch is struck again."""
        self.seconds = self.piece.end.copy()
        self._latest = np.full(len(self.piece), np.iinfo(np.int64).max)
        for pitch in np.unique(self.pitch):
            same = np.flatnonzero((self.pitch == pitch) & self.heard)
            self._latest[same[:-1]] = self.start[same[1:]]
        super().run(progress)

    def ends(self, note: int, step: int, following: int | None) -> bool:
        """Return whether a note ends; if it is to be varied, the model decides."""
        if not self.chosen[note]:
            return super().ends(note, step, following)
        if self.start[note] == step:
            return False
        if following is not None and following <= self._latest[note]:
            mask = self.grammar.mask(self.state)
            p = probabilities(self.engine.logits(), mask, self.config)
            if self.rng.random() >= p[self.off + int(self.pitch[note])]:
                return False
        if step != self.end[note]:
            length = step - self.start[note]  # from its real start: never less than a step
            self.seconds[note] = self.piece.start[note] + length / self.codec.steps_per_second
        return True

    def result(self) -> Performance:
        start = self.piece.start
        latest = np.full(len(start), np.inf)  # a strike may come before the step it is in
        for pitch in np.unique(self.pitch):
            same = np.flatnonzero((self.pitch == pitch) & self.heard)
            following = np.searchsorted(start[same], start[same], side="right")
            latest[same] = np.append(start[same], np.inf)[following]
        varied = self.seconds != self.piece.end
        ends = np.where(varied, np.minimum(self.seconds, latest), self.seconds)
        return self.piece.replace(end=np.maximum(ends, start))


class _Times(_Walk):
    def run(self, progress: Progress | None) -> None:
        """Feed the piece; the events of a step are moved together."""
        self._moved: dict[int, int] = {}
        super().run(progress)

    def time(self, step: int, following: int | None) -> int:
        """Draw when the notes of a step begin: after the step before, and before the next one."""
        begun = (self.start == step) & self.heard
        farthest = round(FARTHEST_SECONDS * self.codec.steps_per_second)
        low, high = max(self.state.step + 1, step - farthest), step + farthest
        if following is not None:
            high = min(high, following - 1)
        if self.chosen[begun].any() and low <= high:
            time = self._drawn(low, high)
        else:
            time = max(self.state.step, step)
        self._moved[step] = time - step
        return time

    def _drawn(self, low: int, high: int) -> int:
        """Draw a step from ``low`` to ``high``, which may be more than one time shift away."""
        longest = self.codec.max_shift_steps
        while low - self.state.step > longest:
            self.feed(self.shift + longest - 1)
        begin = self.state.step
        shifts = np.arange(max(1, low - begin), min(longest, high - begin) + 1)
        logits = self.engine.logits()[self.shift + shifts - 1]
        if shifts[-1] == longest:  # which may also be the first part of a longer rest
            over, later = self._after_longest(high - begin - longest)
            logits = np.concatenate([logits[:-1], logits[-1] + over, logits[-1] + later])
        return low + self._pick(logits)

    def _after_longest(self, most: int) -> tuple[Float64Array, Float64Array]:
        """Return the log probabilities after the longest shift: of no more, of 1 to ``most``."""
        snapshot, state = self.engine.snapshot(), self.state.copy()
        self.feed(self.shift + self.codec.max_shift_steps - 1)
        mask = self.grammar.mask(self.state)
        logits = np.where(mask, self.engine.logits(), -np.inf).astype(np.float64)
        logits -= np.logaddexp.reduce(logits)
        self.engine.restore(snapshot)
        self.state = state
        shifts = logits[self.groups["time_shift"]]
        others = np.delete(logits, np.r_[self.groups["time_shift"]])
        return np.logaddexp.reduce(others, keepdims=True), shifts[:most]

    def _pick(self, logits: npt.NDArray[Any]) -> int:
        """Draw one of some times, from their logits."""
        mask = np.ones(len(logits), dtype=bool)
        groups = {"time_shift": slice(0, len(logits))}
        filtered = filter_types(logits.astype(np.float32), mask, groups, self.config.types)
        return draw(probabilities(filtered, mask, self.config), self.rng)

    def result(self) -> Performance:
        second = self.codec.steps_per_second
        begin, end = (
            np.array([self._moved.get(step, 0) for step in steps.tolist()]) / second
            for steps in (self.start, self.end)
        )
        start = np.maximum(self.piece.start + begin, 0.0)
        return self.piece.replace(start=start, end=np.maximum(self.piece.end + end, start))


_WALKS: dict[str, type[_Walk]] = {
    "velocity": _Velocities,
    "pitch": _Pitches,
    "duration": _Durations,
    "timing": _Times,
}
