"""Generate the music of an ensemble: the network decides what, the piano model plays it."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from midirnn.codecs import EnsembleCodec, PedalCodec, require, require_playable
from midirnn.codecs.controls import Controls
from midirnn.codecs.ensemble import PROGRAMS, parts_of_players
from midirnn.codecs.performance import TokenType
from midirnn.engines.load import Model, as_model
from midirnn.ensemble.conductor import load_network
from midirnn.ensemble.seats import Seats, channel_of
from midirnn.ensemble.source import EnsembleSource
from midirnn.errors import CodecError, OptionError
from midirnn.note_arrays import CONTROL_FIELDS, NOTE_FIELDS
from midirnn.performance import Part, Performance
from midirnn.sampling import Sampler, SamplingConfig
from midirnn.sampling.generate import DEFAULT_SECONDS, MAX_SECONDS
from midirnn.sampling.generated import Generated

Progress = Callable[[int, int], None]
"""Called with the seconds of new music done, and the seconds in all."""


def generate_ensemble(
    model: Model | str | os.PathLike[str] = "piano",
    *,
    network: Model | str | os.PathLike[str] = "ensemble",
    players: int = 4,
    seconds: float = DEFAULT_SECONDS,
    primer: Performance | None = None,
    sampling: SamplingConfig | None = None,
    controls: Controls | None = None,
    seed: int | None = None,
    engine: str = "auto",
    progress: Progress | None = None,
) -> Generated:
    """Return music of several players, each a part on a channel of its own.

    The ``network`` decides what each player does in each second, and ``model`` plays it, in that
    player's register. The first parts of a ``primer`` are the players, with their programs, names
    and controllers; further parts and pedals are left out, and the music continues from the next
    whole second after it. The same seed gives the same music, with the same ``engine`` on one
    machine. Raises :class:`OptionError` for a number of players or seconds that is out of range,
    and for a primer without notes.
    """
    if not 0.0 < seconds <= MAX_SECONDS:
        raise OptionError(f"seconds is {seconds:g}; allowed are above 0, up to {MAX_SECONDS:g}")
    piano = as_model(model)
    codec = require_playable(piano.codec, "an ensemble")
    if isinstance(codec, PedalCodec):
        raise CodecError("an ensemble needs the codec 'performance': its players have no pedal")
    loaded = network if isinstance(network, Model) else load_network(network)
    seed = secrets.randbelow(2**32) if seed is None else seed
    seats, second = Seats(players, person=False), codec.steps_per_second
    sampler: Sampler[Any] = Sampler(piano.engine(engine), codec, sampling, seed=seed)
    source = EnsembleSource.begin(loaded, seats, seed=seed, steps_per_second=second)
    notes = _Notes(players, second)
    if primer is not None:
        rows, primer = _heard(primer, loaded, players)
        source.conductor.go_on_from(rows)
        sampler.hear(codec.encode(primer).tolist())
        notes.begin(primer, len(rows) * second - sampler.grammar_state.step)
    first = notes.offset + sampler.grammar_state.step
    end, asked, tokens = first + math.ceil(seconds * second), None, 0
    while (step := notes.offset + sampler.grammar_state.step) < end:
        source = source.at(step, step)
        wanted = source.asked(controls or Controls())
        if piano.config.control_inputs and wanted != asked:
            asked = wanted
            sampler.steer(wanted)
        word = codec.vocabulary.describe(sampler.next(source.narrow(sampler.mask(), sampler)))
        source, tokens = source.after(word), tokens + 1
        velocity = codec.bin_velocity(sampler.grammar_state.velocity_bin or codec.default_bin)
        notes.add(word, step, int(velocity), source)
        if progress is not None:
            progress((min(step, end) - first) // second, (end - first) // second)
    return Generated(notes.performance(end), tokens, seconds, first / second, own_part=False)


def _heard(primer: Performance, network: Model, players: int) -> tuple[Any, Performance]:
    """Return what the players of a primer do (seconds, seats), and their notes alone.

    The part of a note is then the number of its player.
    """
    codec = require(network.codec, EnsembleCodec, "an ensemble")
    seat_of = np.full(len(primer.parts), players)
    theirs = primer.without_drums().apply_sustain() if len(primer) else primer
    for seat, indices in enumerate(parts_of_players(theirs, players)):
        seat_of[indices] = seat
    kept = theirs.select(seat_of[theirs.part] < players)
    if not len(kept):
        raise OptionError("the primer has no notes: there is nothing to go on from")
    rows = codec.gestures(kept)
    own = seat_of[kept.control_part] < players
    controls = {name: getattr(kept, name)[own] for name in CONTROL_FIELDS}
    controls["control_part"] = seat_of[controls["control_part"]].astype(np.int32)
    parts = list(_parts(players))
    for index, seat in reversed(list(enumerate(seat_of.tolist()))):
        if seat < players:
            like = primer.parts[index]
            parts[seat] = replace(
                like, channel=channel_of(seat), name=like.name or parts[seat].name
            )
    part = seat_of[kept.part].astype(np.int32)
    return rows, kept.replace(part=part, parts=tuple(parts), **controls)


def _parts(players: int) -> tuple[Part, ...]:
    return tuple(
        Part(PROGRAMS[seat], channel_of(seat), f"player {seat + 1}") for seat in range(players)
    )


class _Notes:
    """Collects the notes of all players. Owns those that sound.

    The steps of the stream lag behind those of the music by ``offset``.
    """

    def __init__(self, players: int, steps_per_second: int) -> None:
        self.offset = 0
        self._players = players
        self._steps_per_second = steps_per_second
        self._primer: Performance | None = None
        self._sounding: dict[int, tuple[int, int, int, int]] = {}
        self._rows: list[tuple[int, int, int, int, int]] = []

    def begin(self, primer: Performance, offset: int) -> None:
        """Take over the notes of a primer."""
        self._primer, self.offset = primer, offset

    def add(
        self, word: tuple[TokenType, int], step: int, velocity: int, source: EnsembleSource
    ) -> None:
        """Add a token that was drawn at a step."""
        kind, pitch = word
        if kind is TokenType.NOTE_ON:
            self._sounding[pitch] = (step, pitch, velocity, source.seat_of(pitch))
        elif kind is TokenType.NOTE_OFF and pitch in self._sounding:
            begin, *rest = self._sounding.pop(pitch)
            self._rows.append((begin, step, *rest))  # type: ignore[arg-type]

    def performance(self, end: int) -> Performance:
        """Return the music, the primer first; notes that still sound end at step ``end``."""
        left = [(begin, end, *rest) for begin, *rest in self._sounding.values()]
        columns = np.array([*self._rows, *left], np.int64).reshape(-1, 5)
        new = Performance(
            start=columns[:, 0] / self._steps_per_second,
            end=np.minimum(columns[:, 1], end) / self._steps_per_second,
            pitch=columns[:, 2].astype(np.uint8),
            velocity=columns[:, 3].astype(np.uint8),
            part=columns[:, 4].astype(np.int32),
            parts=_parts(self._players),
        )
        if self._primer is None:
            return new
        both = (self._primer, new)
        joined = {name: np.concatenate([getattr(p, name) for p in both]) for name in NOTE_FIELDS}
        kept = ("tempos", "signatures", "parts", *CONTROL_FIELDS)
        return new.replace(**joined, **{name: getattr(self._primer, name) for name in kept})
