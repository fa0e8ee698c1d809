"""Music from a model: alone, or continuing a primer."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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
    seed: int | None = None,
) -> Performance:
    """A performance: the primer, if there is one, and ``seconds`` of new music behind it.

    ``model`` is a loaded model, the name of one that comes with midirnn, or a folder. The primer's
    pedal is applied, its tempo map kept, and notes that it still held at its end are ended by the
    model. Every note ends, by the end at the latest. The same seed gives the same performance.
    """
    from midirnn.engines.load import load

    loaded = load(model) if isinstance(model, str | os.PathLike) else model
    if primer is not None and not isinstance(primer, Performance):
        primer = read_midi(primer)
    sampler = Sampler(loaded.engine(), loaded.codec, sampling, seed=seed)
    return continue_primer(sampler, seconds, primer).performance


def continue_primer(sampler: Sampler, seconds: float, primer: Performance | None) -> Generated:
    """Music from a sampler that starts afresh; see :func:`generate`."""
    if not 0.0 < seconds <= MAX_SECONDS:
        raise OptionError(f"seconds is {seconds:g}; allowed are over 0, up to {MAX_SECONDS:g}")
    codec = sampler.codec
    sampler.reset()
    primer = (primer or Performance()).without_drums().apply_sustain()
    sampler.hear(codec.encode(primer, open_end=True).tolist())
    rest = int(codec.steps(primer.duration)) - sampler.grammar_state.step
    full_shift = codec.vocabulary.token(TokenType.TIME_SHIFT, codec.max_shift_steps)
    sampler.hear([full_shift] * max(0, (rest - 1) // codec.max_shift_steps))
    begin_seconds = sampler.grammar_state.step / codec.steps_per_second

    decoder = codec.stream_decoder(
        start_seconds=begin_seconds,
        sounding=sampler.sounding,
        velocity_bin=sampler.grammar_state.velocity_bin,
    )
    end_seconds = begin_seconds + seconds
    messages: list[tuple[float, Message]] = []
    while decoder.seconds < end_seconds:
        messages += decoder.feed(sampler.next())
    messages += decoder.finish()
    return Generated(_join(primer, messages, end_seconds), begin_seconds)


def _join(
    primer: Performance, messages: list[tuple[float, Message]], end_seconds: float
) -> Performance:
    """The primer and what was played behind it; a note held over ends where it was ended."""
    end = primer.end.copy()
    sounding: dict[int, int] = {
        int(primer.pitch[index]): int(index) for index in np.flatnonzero(primer.unreleased)
    }
    notes: list[list[float]] = []
    for exact_seconds, (status, pitch, velocity) in messages:
        seconds = min(exact_seconds, end_seconds)
        if status & 0xF0 == NOTE_ON:
            sounding[pitch] = len(end) + len(notes)
            notes.append([seconds, seconds, pitch, velocity])
        else:
            index = sounding.pop(pitch)
            if index < len(end):
                end[index] = max(end[index], seconds)
            else:
                notes[index - len(end)][1] = seconds
    new = np.array([note for note in notes if note[1] > note[0]]).reshape(-1, 4)
    return Performance(
        start=np.concatenate([primer.start, new[:, 0]]),
        end=np.concatenate([end, new[:, 1]]),
        pitch=np.concatenate([primer.pitch, new[:, 2].astype(np.uint8)]),
        velocity=np.concatenate([primer.velocity, new[:, 3].astype(np.uint8)]),
        part=np.concatenate([primer.part, np.zeros(len(new), np.int32)]),
        parts=primer.parts or (Part(),),
        tempos=primer.tempos,
    )
