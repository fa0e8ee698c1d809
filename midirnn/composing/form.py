"""Form: music in sections, some of which come back varied.

Where a section begins for the first time, the model's state is stored. Where it comes back, the
model goes on from that state, and the notes that it played then are favoured, each at its time: by
a bias with which the model often plays it, and sometimes something that it finds likelier.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.codecs import BoolArray, Codec, PerformanceCodec
from midirnn.codecs.performance.grammar import GrammarState
from midirnn.engines.base import StepEngine
from midirnn.engines.load import Model, as_model
from midirnn.engines.state import EngineState
from midirnn.errors import OptionError
from midirnn.judging.likeness import likeness
from midirnn.performance import Performance
from midirnn.sampling.arguments import as_primer
from midirnn.sampling.continuation import Continuation, Progress
from midirnn.sampling.generated import Generated, Played
from midirnn.sampling.requests import Request
from midirnn.sampling.sampler import Sampler
from midirnn.sampling.together import Steps, run_to_end

DEFAULT_SECTION_SECONDS = 20.0
DEFAULT_VARIATION = 0.3

MOST_SECTIONS = 64
SHORTEST_SECONDS = 2.0

CLOSE_SECONDS = 3.0
"""If the last section is one that comes back, the approach to an ending begins this long before the
end, or a quarter of the section if that is less, and earlier notes are no longer favoured. Other
endings begin earlier, but here the favoured notes lead there, too."""

_EARLY_SECONDS, _LATE_SECONDS = 0.02, 0.15
"""How long before and after its time a favoured note may begin."""

_STRONGEST = 8.0
"""The bias in nats towards a favoured note at a variation of 0."""


@dataclass(frozen=True)
class Section:
    """A section of a piece, and how similar it is to the first of its letter."""

    letter: str
    begin_seconds: float
    end_seconds: float
    likeness: float | None
    """The similarity to its first occurrence, if it is a repeat; see :func:`likeness`."""


@dataclass(frozen=True)
class InForm(Played):
    """A piece in sections."""

    generated: Generated
    sections: tuple[Section, ...]

    @property
    def performance(self) -> Performance:
        """The piece, the primer first."""
        return self.generated.performance


@dataclass(frozen=True)
class Form:
    """The form of a piece: a letter for each section, such as AABA.

    A letter that occurred before comes back. Raises :class:`OptionError` for an invalid form.
    """

    letters: str
    section_seconds: float = DEFAULT_SECTION_SECONDS
    variation: float = DEFAULT_VARIATION
    """How much a section varies when it comes back, 0 to 1."""

    def __post_init__(self) -> None:
        letters = "".join(self.letters.split())
        if not 1 <= len(letters) <= MOST_SECTIONS or not letters.isalpha():
            raise OptionError(
                f"sections are {self.letters!r}; write a letter for each, such as AABA, "
                f"{MOST_SECTIONS} at most"
            )
        if not SHORTEST_SECONDS <= self.section_seconds <= 3600.0:
            raise OptionError(
                f"a section lasts {self.section_seconds:g} s; allowed are {SHORTEST_SECONDS:g} to "
                "3600"
            )
        if not 0.0 <= self.variation <= 1.0:
            raise OptionError(f"variation is {self.variation:g}; allowed are 0 to 1")
        object.__setattr__(self, "letters", letters)

    @property
    def seconds(self) -> float:
        """The length of all sections."""
        return self.section_seconds * len(self.letters)


def generate_form(
    model: Model | str | os.PathLike[str] = "piano",
    form: str = "AABA",
    section_seconds: float = DEFAULT_SECTION_SECONDS,
    request: Request | None = None,
    primer: Any = None,
    *,
    variation: float = DEFAULT_VARIATION,
    seed: int = 0,
    engine: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> InForm:
    """Return new music in sections, a letter each; a letter that occurred before comes back.

    ``primer`` is a :class:`Performance`, a ``pretty_midi.PrettyMIDI`` or the path of a MIDI file.
    ``variation``, 0 to 1, is how much a section varies when it comes back. The length of the music
    is that of its sections, whatever the request says; the rest of the request applies throughout.
    """
    wanted = Form(form, section_seconds, variation)
    model = as_model(model)
    steps = begin_form(
        wanted,
        request or Request(),
        model.engine(engine),
        model.codec,
        as_primer(primer),
        seed=seed,
        progress=progress,
    )
    return run_to_end(steps)


def begin_form(
    form: Form,
    request: Request,
    engine: StepEngine,
    codec: Codec[Any],
    primer: Performance | None,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Steps[InForm]:
    """Draw a piece in sections token by token, yielding after each; see :func:`generate_form`.

    Raises :class:`OptionError` for a codec without notes.
    """
    if not isinstance(codec, PerformanceCodec):
        raise OptionError(f"sections are for music; the codec {codec.name!r} has no notes")
    request = replace(request, seconds=form.seconds)
    sampler = Sampler(engine, codec, request.sampling, seed=seed)
    piece = Continuation(sampler, request, primer, progress=progress)
    yield from _Sections(piece, form).steps()
    made = piece.result()
    return InForm(made, tuple(_sections_of(made, form)))


class _Sections:
    """Draws a piece section by section. Owns the state stored for each letter."""

    def __init__(self, piece: Continuation, form: Form) -> None:
        self._piece, self._letters = piece, form.letters
        self._seconds, self._variation = form.section_seconds, form.variation
        self._first_step = piece.sampler.grammar_state.step
        self._stored: dict[str, tuple[EngineState, int]] = {}
        self._recall: _Recall | None = None
        self._close_seconds = min(CLOSE_SECONDS, self._seconds / 4)
        if self._letters[-1] in self._letters[:-1]:
            piece.approach_seconds = self._close_seconds

    def steps(self) -> Steps[None]:
        """Draw all of the piece, yielding after each token."""
        piece, sampler = self._piece, self._piece.sampler
        second = sampler.codec.steps_per_second
        number = -1
        while not piece.is_complete:
            now = sampler.grammar_state.step - self._first_step
            while number + 1 < len(self._letters) and now >= (
                (number + 1) * self._seconds * second
            ):
                number += 1
                self._begin(number, round(number * self._seconds * second))
            left = piece.end_seconds - piece.seconds
            if self._recall is not None:
                is_free = piece.ends and left < self._close_seconds
                favoured = self._recall.favoured(sampler.grammar_state, sampler.mask())
                sampler.favoured = None if is_free else favoured
            token = sampler.next(piece.allowed())
            piece.add(token)
            if self._recall is not None:
                self._recall.hear(token, sampler.grammar_state)
            yield

    def _begin(self, number: int, step: int) -> None:
        """Begin a section: store the state or, if it comes back, restore it."""
        sampler, letter = self._piece.sampler, self._letters[number]
        sampler.favoured = self._recall = None
        if letter not in self._stored:
            self._stored[letter] = (sampler.engine.snapshot(), step)
            return
        stored, first = self._stored[letter]
        now = sampler.engine.snapshot()
        sampler.engine.restore(now.replace(state=stored.state, logits=stored.logits))
        length = round(self._seconds * sampler.codec.steps_per_second)
        self._recall = _Recall(
            sampler.codec,
            self._played(first, length),
            self._first_step + step,
            self._variation,
        )

    def _played(self, first: int, length: int) -> npt.NDArray[np.int64]:
        """Return the notes of a section: onset, end (steps from its start), pitch, velocity bin."""
        codec = self._piece.sampler.codec
        played = codec.decode(self._piece.tokens)
        begin = self._first_step + first
        start, end = codec.steps(played.start) - begin, codec.steps(played.end) - begin
        inside = (start >= 0) & (start < length)
        bins = codec.velocity_bin(played.velocity) if codec.velocity_bins else 0 * start
        notes = np.stack([start, end, played.pitch.astype(np.int64), bins], axis=1)
        found: npt.NDArray[np.int64] = notes[inside]
        return found


class _Recall:
    """Favours the notes played at the same time of the section. Owns those still to come."""

    def __init__(
        self, codec: PerformanceCodec, notes: npt.NDArray[np.int64], begin: int, variation: float
    ) -> None:
        self._notes, self._begin = notes, begin
        self._waits = np.ones(len(notes), dtype=bool)
        self._ends = np.full(128, -1, np.int64)
        self._early = round(_EARLY_SECONDS * codec.steps_per_second)
        self._late = round(_LATE_SECONDS * codec.steps_per_second)
        self._bonus = _STRONGEST * (1.0 - variation)
        self._size, self._longest = codec.vocab_size, codec.max_shift_steps
        groups = codec.groups()
        self._on, self._off = groups["note_on"].start, groups["note_off"].start
        self._shift = groups["time_shift"].start
        self._velocity = groups.get("velocity")

    def favoured(self, state: GrammarState, allowed: BoolArray) -> npt.NDArray[np.float32]:
        """Return the bias to add to the logits now, for the tokens allowed; shape ``(V,)``."""
        now = state.step - self._begin
        onset, _, pitch, velocity_bin = self._notes.T
        self._waits &= onset >= now - self._late
        bonus = np.zeros(self._size, np.float32)
        over = self._off + np.flatnonzero(state.held & (self._ends >= 0) & (self._ends <= now))
        due = self._waits & (onset <= now + self._early) & ~state.held[pitch]
        if allowed[over].any():  # note-offs come before note-ons
            bonus[over] = self._bonus
        elif due.any():
            fits = velocity_bin[due] == state.velocity_bin
            bonus[self._on + pitch[due]] = self._bonus
            if self._velocity is not None and not fits.any():
                bonus[self._velocity.start + velocity_bin[due] - 1] = self._bonus
        else:
            self._wait(now, 1 if len(over) else 2**31, state, bonus)
        return bonus

    def _wait(
        self, now: int, most: int, state: GrammarState, bonus: npt.NDArray[np.float32]
    ) -> None:
        """Favour the time shift to the next event, at most ``most`` steps."""
        onsets = self._notes[self._waits, 0]
        ends = self._ends[state.held & (self._ends > now)]
        coming = [int(times.min()) - now for times in (onsets[onsets > now], ends) if len(times)]
        steps = min([most, *coming])
        if steps < 2**31:
            bonus[self._shift + min(steps, self._longest) - 1] = self._bonus

    def hear(self, token: int, state: GrammarState) -> None:
        """Take note of a drawn token: a note that was due is no longer."""
        pitch = token - self._on
        if not 0 <= pitch < 128:
            return
        now = state.step - self._begin
        self._ends[pitch] = -1
        same = np.flatnonzero(self._waits & (self._notes[:, 2] == pitch))
        near = same[np.abs(self._notes[same, 0] - now) <= self._late]
        if len(near):
            self._waits[near[0]] = False
            self._ends[pitch] = self._notes[near[0], 1]


def _sections_of(made: Generated, form: Form) -> list[Section]:
    """Return the sections of a piece, and how similar each is to the first of its letter."""
    firsts: dict[str, Performance] = {}
    found, seconds = [], form.section_seconds
    for number, letter in enumerate(form.letters):
        begin = made.primer_seconds + number * seconds
        played = made.performance.slice(begin, begin + seconds)
        first = firsts.setdefault(letter, played)
        alike = None if first is played else likeness(first, played)
        found.append(Section(letter, begin, begin + seconds, alike))
    return found
