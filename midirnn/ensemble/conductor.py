"""The conductor: its network decides what each player does, second by second."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.codecs import EnsembleCodec, require
from midirnn.codecs.ensemble import GESTURES, REGISTERS, gestures_of
from midirnn.engines.load import Model, load
from midirnn.ensemble.seats import Seats
from midirnn.performance import Performance
from midirnn.sampling import Sampler, SamplerState, SamplingConfig

Row = tuple[int, ...]
"""The gesture of each seat in a second."""

REMEMBERED_SECONDS = 16
"""How far back to look for notes of the person that still sound."""
FORGETS_AFTER_SECONDS = 30
"""After a longer gap between seconds that were played, a new piece begins."""

SILENT = 0
_SAMPLING = SamplingConfig(top_p=1.0)
_STREAM = 1
"""Separates the random numbers of the conductor from those of a plan."""


def load_network(model: str | os.PathLike[str] = "ensemble") -> Model:
    """Load the network of an ensemble. Raise :class:`CodecError` for a model of another codec."""
    network = load(model)
    require(network.codec, EnsembleCodec, "an ensemble", "gestures")
    return network


class Conductor:
    """Decides what every seat does in a second. Owns the network's state, and what was heard.

    A decision depends only on the seed and on what was done in the seconds before. Seconds that are
    over are fed to the network with what the person did in them; for one that is not over yet, that
    is what was heard so far, or else what the network expects. Notes are heard in steps, of which a
    second has ``steps_per_second``.
    """

    def __init__(
        self, network: Model, seats: Seats, *, seed: int, steps_per_second: int, begin: int = 0
    ) -> None:
        assert isinstance(network.codec, EnsembleCodec)
        seats.check(network.codec)
        self.seats = seats
        self._network = network
        self._codec = network.codec
        self._seed = seed
        self._steps_per_second = steps_per_second
        self._sampler: Sampler[Any] = Sampler(network.engine("numpy"), self._codec, _SAMPLING)
        self._settled: SamplerState = self._sampler.snapshot()
        self._next = begin // steps_per_second
        """The first second that has not been fed to the network."""
        self._heard: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        self._said: dict[tuple[int, Row | None], tuple[SamplerState, Row]] = {}

    def hear(self, step: int, note_offs: Sequence[int], note_ons: Sequence[int]) -> None:
        """Add pitches that the person ended and began in a step."""
        offs, ons = self._heard.get(step, ((), ()))
        self._heard[step] = (
            tuple(dict.fromkeys((*offs, *note_offs))),
            tuple(dict.fromkeys((*ons, *note_ons))),
        )
        self._said.clear()

    def go_on_from(self, rows: npt.ArrayLike) -> None:
        """Go on after ``rows``: what each seat did in every second so far (seconds, seats)."""
        table = np.asarray(rows, np.int64)
        self._sampler.hear(self._codec.from_gestures(table).tolist())
        self._settled, self._next = self._sampler.snapshot(), len(table)

    def settle(self, second: int, rows: Mapping[int, Row]) -> None:
        """Feed the seconds before this one, which are over, with the rows decided for them."""
        if second <= self._next:
            return
        sampler = self._at(self._settled)
        if second - self._next > FORGETS_AFTER_SECONDS:
            sampler.reset()
            self._next = second
        for over in range(self._next, second):
            self._feed(self._done(over, rows.get(over)))
        self._settled, self._next = sampler.snapshot(), second
        self._said.clear()
        oldest = (second - REMEMBERED_SECONDS) * self._steps_per_second
        self._heard = {step: notes for step, notes in self._heard.items() if step >= oldest}

    def say(self, second: int, rows: Mapping[int, Row]) -> Row:
        """Return what each seat does in a second, given the rows decided for those before."""
        if second in rows or second < self._next:
            return rows.get(second, self._silence)
        return self._say(second, rows)[1]

    @property
    def _silence(self) -> Row:
        return (SILENT,) * self._codec.players

    def _say(self, second: int, rows: Mapping[int, Row]) -> tuple[SamplerState, Row]:
        """Return the state of the network before a second, and the row that it decides."""
        before = None if second == self._next else rows.get(second - 1)
        key = (second, before)
        if key not in self._said:
            if second == self._next:
                state = self._settled
            else:
                earlier, said = self._say(second - 1, rows)
                self._at(earlier)
                self._feed(self._done(second - 1, before or said, is_over=False))
                state = self._sampler.snapshot()
            self._said[key] = state, self._draw(state, second)
        return self._said[key]

    def _draw(self, state: SamplerState, second: int) -> Row:
        """Return the next row drawn from the network; empty seats are silent."""
        sampler = self._at(state)
        spawned = np.random.SeedSequence(self._seed, spawn_key=(_STREAM, second))
        sampler.rng = np.random.default_rng(spawned)
        tokens = [sampler.next() for _ in range(1 if self._codec.joint else self._codec.players)]
        (row,) = self._codec.to_gestures(tokens).tolist()
        taken = {*self.seats.played, *([0] if self.seats.person else [])}
        return tuple(gesture if seat in taken else SILENT for seat, gesture in enumerate(row))

    def _done(self, second: int, said: Row | None, *, is_over: bool = True) -> Row:
        """Return what was done in a second: the row decided, with what the person was heard to do.

        While the second is not over, a silent person counts as the row says.
        """
        row = list(said or self._silence)
        if self.seats.person:
            heard = self._gesture_heard(second)
            if heard != SILENT or is_over:
                row[0] = heard
        return tuple(row)

    def _gesture_heard(self, second: int) -> int:
        """Return what the person did in a second, as far as heard."""
        origin = second - REMEMBERED_SECONDS
        since: dict[int, float] = {}
        notes: list[tuple[float, float, int]] = []
        for step in sorted(self._heard):
            at = step / self._steps_per_second - origin
            offs, ons = self._heard[step]
            notes += [(since.pop(p), at, p) for p in offs if p in since]
            notes += [(since.pop(p), at, p) for p in ons if p in since]
            since |= dict.fromkeys(ons, at)
        notes += [(begin, REMEMBERED_SECONDS + 1.0, pitch) for pitch, begin in since.items()]
        kept = [
            (max(begin, 0.0), min(end, REMEMBERED_SECONDS + 1.0), pitch)
            for begin, end, pitch in notes
            if end > max(begin, 0.0) and begin < REMEMBERED_SECONDS + 1.0
        ]
        gestures = gestures_of(_piece(kept), REGISTERS[0])
        return int(gestures[REMEMBERED_SECONDS]) if len(gestures) > REMEMBERED_SECONDS else SILENT

    def _at(self, state: SamplerState) -> Sampler[Any]:
        self._sampler.restore(state, restore_rng=False)
        return self._sampler

    def _feed(self, row: Row) -> None:
        self._sampler.hear(self._codec.from_gestures(np.array([row])).tolist())

    def __getstate__(self) -> dict[str, Any]:
        """Return all but the network itself, which is loaded again."""
        kept = {k: v for k, v in vars(self).items() if k not in ("_sampler", "_network", "_said")}
        return kept | {"network": str(self._network.folder)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._network = load_network(state.pop("network"))
        vars(self).update(state)
        self._sampler = Sampler(self._network.engine("numpy"), self._codec, _SAMPLING)
        self._said = {}


def notes_per_second(row: Row, seats: Seats) -> float:
    """Return how many notes the players begin in a second with these gestures."""
    return float(sum(GESTURES[row[seat]].onsets for seat in seats.played))


def _piece(notes: Sequence[tuple[float, float, int]]) -> Performance:
    columns = np.array(notes, np.float64).reshape(-1, 3)
    return Performance(
        start=columns[:, 0],
        end=columns[:, 1],
        pitch=columns[:, 2].astype(np.uint8),
        velocity=np.full(len(columns), 64, np.uint8),
        part=np.zeros(len(columns), np.int32),
    )
