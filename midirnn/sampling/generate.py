"""Music from a model: alone, or continuing a primer."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from midirnn.codecs.controls import Controls
from midirnn.codecs.streams import Message
from midirnn.codecs.vocabulary import TokenType
from midirnn.errors import OptionError
from midirnn.midievents import NOTE_ON
from midirnn.midifile import read_midi
from midirnn.performance import Part, Performance
from midirnn.sampling.filters import SamplingConfig
from midirnn.sampling.sampler import Sampler

if TYPE_CHECKING:
    from midirnn.engines.load import Model

MAX_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Generated:
    """A generated performance, and where in it the primer ends (0 without one)."""

    performance: Performance
    primer_seconds: float


def generate(
    model: Model | str | os.PathLike[str] = "piano",
    *,
    seconds: float = 30.0,
    primer: Performance | str | os.PathLike[str] | None = None,
    sampling: SamplingConfig | None = None,
    controls: Controls | None = None,
    seed: int | None = None,
    engine: str = "auto",
) -> Performance:
    """A performance: the primer, if there is one, and ``seconds`` of new music behind it.

    ``controls`` say how dense, how loud and in which pitch classes the new music is to be.

    ``model`` is a loaded model, the name of one that comes with midirnn, or a folder. The primer's
    pedal is applied, its tempo map kept, and notes that it still held at its end are ended by the
    model. Every note ends, by the end at the latest. The same seed gives the same performance
    with the same ``engine`` (see :meth:`~midirnn.engines.load.Model.engine`) on one machine.
    """
    from midirnn.engines.load import load

    loaded = load(model) if isinstance(model, str | os.PathLike) else model
    if primer is not None and not isinstance(primer, Performance):
        primer = read_midi(primer)
    sampler = Sampler(loaded.engine(engine), loaded.codec, sampling, seed=seed)
    return continue_primer(sampler, seconds, primer, controls).performance


def continue_primer(
    sampler: Sampler,
    seconds: float,
    primer: Performance | None,
    controls: Controls | None = None,
) -> Generated:
    """Music from a sampler that starts afresh; see :func:`generate`."""
    if not 0.0 < seconds <= MAX_SECONDS:
        raise OptionError(f"seconds is {seconds:g}; allowed are over 0, up to {MAX_SECONDS:g}")
    codec = sampler.codec
    sampler.steer(controls)
    sampler.reset()
    primer = (Performance() if primer is None else primer).without_drums().apply_sustain()
    # What a track that ends early never released is over; only what sounds at the end sounds on.
    at_end = codec.steps(primer.end) == codec.steps(primer.duration)
    primer = primer.replace(unreleased=primer.unreleased & at_end)
    rest_steps = _hear_primer(sampler, primer)
    heard_steps = sampler.grammar_state.step
    # Where the primer ends a little behind a step, what comes in that step waits for its end.
    begin_seconds = max((heard_steps + rest_steps) / codec.steps_per_second, primer.duration)
    end_seconds = begin_seconds + seconds
    decoder = codec.stream_decoder(
        start_seconds=heard_steps / codec.steps_per_second,
        sounding=sampler.sounding,
        velocity_bin=sampler.grammar_state.velocity_bin,
    )
    if rest_steps:
        decoder.feed(_outlast(sampler, rest_steps))
    messages: list[tuple[float, Message]] = []
    while decoder.seconds < end_seconds:
        messages += decoder.feed(sampler.next())
    messages += decoder.finish()
    sampler.engine.logits()  # a step that waits would hold on to the engine
    timed = [(min(max(s, begin_seconds), end_seconds), message) for s, message in messages]
    return Generated(_join(primer, timed), begin_seconds)


def _hear_primer(sampler: Sampler, primer: Performance) -> int:
    """Take a primer in, all but the last steps of a rest at its end: how many these are."""
    codec = sampler.codec
    sampler.hear(codec.encode(primer, open_end=True).tolist())
    rest = max(0, codec.step(primer.duration) - sampler.grammar_state.step)
    full_shift = codec.vocabulary.token(TokenType.TIME_SHIFT, codec.max_shift_steps)
    shifts = max(0, rest - 1) // codec.max_shift_steps
    sampler.hear([full_shift] * shifts)
    return rest - shifts * codec.max_shift_steps


def _outlast(sampler: Sampler, steps: int) -> int:
    """The time shift, drawn, that goes on from ``steps`` before the primer's end to it or past it.

    What it waits for is the model's to say: a rest is one shift, which cannot be told in parts.
    """
    first = sampler.codec.vocabulary.token(TokenType.TIME_SHIFT, steps)
    late = slice(first, sampler.codec.vocabulary.slice_of(TokenType.TIME_SHIFT).stop)
    allowed = np.zeros(sampler.codec.vocab_size, dtype=bool)
    allowed[late] = sampler.mask()[late]
    if allowed.any():
        return sampler.next(allowed)
    sampler.hear([first])  # a note is overdue: it ends as soon as the primer has ended
    return first


def _join(primer: Performance, messages: list[tuple[float, Message]]) -> Performance:
    """The primer and what was played behind it; a note held over ends where it was ended."""
    end = primer.end.copy()
    sounding: dict[int, int] = {
        int(primer.pitch[index]): int(index) for index in np.flatnonzero(primer.unreleased)
    }
    notes: list[list[float]] = []
    for seconds, (status, pitch, velocity) in messages:
        if status & 0xF0 == NOTE_ON:
            sounding[pitch] = len(end) + len(notes)
            notes.append([seconds, seconds, pitch, velocity])
        else:
            index = sounding.pop(pitch)
            if index < len(end):
                end[index] = seconds
            else:
                notes[index - len(end)][1] = seconds
    new = np.array([note for note in notes if note[1] > note[0]]).reshape(-1, 4)
    part, parts = _part_to_play(primer)
    return Performance(
        start=np.concatenate([primer.start, new[:, 0]]),
        end=np.concatenate([end, new[:, 1]]),
        pitch=np.concatenate([primer.pitch, new[:, 2].astype(np.uint8)]),
        velocity=np.concatenate([primer.velocity, new[:, 3].astype(np.uint8)]),
        part=np.concatenate([primer.part, np.full(len(new), part, np.int32)]),
        parts=parts,
        tempos=primer.tempos,
    )


def _part_to_play(primer: Performance) -> tuple[int, tuple[Part, ...]]:
    """The index of the part that goes on, and all parts: the busiest; drums never do."""
    melodic = [index for index, part in enumerate(primer.parts) if not part.is_drum]
    if not melodic:
        return len(primer.parts), (*primer.parts, Part())
    notes = np.bincount(primer.part, minlength=len(primer.parts))
    return max(melodic, key=lambda index: int(notes[index])), primer.parts
