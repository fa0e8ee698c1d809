"""A performance: notes and pedals in seconds, as numpy arrays that never change."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

SUSTAIN_DOWN = 64
"""The lowest value at which a sustain pedal (CC 64) is down (MIDI 1.0)."""

NUM_PITCHES = 128

FloatArray = npt.NDArray[np.float64]
ByteArray = npt.NDArray[np.uint8]
IndexArray = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]

_DTYPES = {
    "start": np.float64,
    "end": np.float64,
    "pitch": np.uint8,
    "velocity": np.uint8,
    "part": np.int32,
    "unreleased": np.bool_,
    "pedal_time": np.float64,
    "pedal_value": np.uint8,
    "pedal_part": np.int32,
}
_NOTE_FIELDS = ("start", "end", "pitch", "velocity", "part", "unreleased")
_PEDAL_FIELDS = ("pedal_time", "pedal_value", "pedal_part")


@dataclass(frozen=True)
class Part:
    """One instrument of a performance, with a sustain pedal of its own.

    ``program`` is 0 to 127, ``channel`` 0 to 15; 9 is drums, which players call channel 10.
    """

    program: int = 0
    channel: int = 0
    name: str = ""

    @property
    def is_drum(self) -> bool:
        """True if the part is on the drum channel."""
        return self.channel == 9


@dataclass(frozen=True)
class Tempo:
    """A tempo from ``seconds`` on, in quarter notes per minute."""

    seconds: float
    bpm: float


def _empty(name: str) -> Callable[[], Any]:
    return lambda: np.empty(0, dtype=_DTYPES[name])


@dataclass(frozen=True, eq=False)
class Performance:
    """Notes and sustain pedals of one or more parts, in seconds.

    Notes (shape ``(N,)`` each) are kept in order of (start, pitch); notes equal in both keep the
    order in which they were given. Pedals (shape ``(P,)`` each) are CC 64 values in order of time.
    ``part`` and ``pedal_part`` index ``parts``. ``unreleased`` is true for notes that were still
    held when the recording ended (by default none). The arrays are read-only.
    """

    start: FloatArray = field(default_factory=_empty("start"))
    end: FloatArray = field(default_factory=_empty("end"))
    pitch: ByteArray = field(default_factory=_empty("pitch"))
    velocity: ByteArray = field(default_factory=_empty("velocity"))
    part: IndexArray = field(default_factory=_empty("part"))
    unreleased: BoolArray = field(default_factory=_empty("unreleased"))
    pedal_time: FloatArray = field(default_factory=_empty("pedal_time"))
    pedal_value: ByteArray = field(default_factory=_empty("pedal_value"))
    pedal_part: IndexArray = field(default_factory=_empty("pedal_part"))
    parts: tuple[Part, ...] = (Part(),)
    tempos: tuple[Tempo, ...] = (Tempo(0.0, 120.0),)

    def __post_init__(self) -> None:
        arrays: dict[str, npt.NDArray[Any]] = {
            name: np.asarray(getattr(self, name), dtype) for name, dtype in _DTYPES.items()
        }
        if not len(arrays["unreleased"]):
            arrays["unreleased"] = np.zeros(len(arrays["start"]), dtype=bool)
        note_order = np.lexsort((arrays["pitch"], arrays["start"]))
        pedal_order = np.argsort(arrays["pedal_time"], kind="stable")
        for names, order in ((_NOTE_FIELDS, note_order), (_PEDAL_FIELDS, pedal_order)):
            for name in names:
                ordered = arrays[name][order]
                ordered.flags.writeable = False
                object.__setattr__(self, name, ordered)

    @classmethod
    def from_notes(
        cls,
        notes: Iterable[tuple[float, float, int, int]],
        pedals: Iterable[tuple[float, int]] = (),
        parts: Sequence[Part] = (Part(),),
    ) -> Performance:
        """Return a performance of one part.

        Notes are (start, end, pitch, velocity), pedals (time, CC 64 value).
        """
        note_rows, pedal_rows = list(notes), list(pedals)
        start, end, pitch, velocity = zip(*note_rows, strict=True) if note_rows else ((),) * 4
        pedal_time, pedal_value = zip(*pedal_rows, strict=True) if pedal_rows else ((),) * 2
        return cls(
            start=np.array(start, np.float64),
            end=np.array(end, np.float64),
            pitch=np.array(pitch, np.uint8),
            velocity=np.array(velocity, np.uint8),
            part=np.zeros(len(note_rows), np.int32),
            pedal_time=np.array(pedal_time, np.float64),
            pedal_value=np.array(pedal_value, np.uint8),
            pedal_part=np.zeros(len(pedal_rows), np.int32),
            parts=tuple(parts),
        )

    def __len__(self) -> int:
        return len(self.start)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Performance):
            return NotImplemented
        same_arrays = all(np.array_equal(getattr(self, n), getattr(other, n)) for n in _DTYPES)
        return same_arrays and (self.parts, self.tempos) == (other.parts, other.tempos)

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    def __repr__(self) -> str:
        return (
            f"Performance({len(self)} notes, {len(self.pedal_time)} pedal events, "
            f"{len(self.parts)} parts, {self.duration:.3f} s)"
        )

    @property
    def duration(self) -> float:
        """The end of the last note in seconds; 0 without notes."""
        return float(self.end.max(initial=0.0))

    def replace(self, **changes: Any) -> Performance:
        """Return the performance with some fields changed."""
        return dataclasses.replace(self, **changes)

    def select(self, keep: npt.NDArray[np.bool_]) -> Performance:
        """Return the performance with only the notes where ``keep`` (shape ``(N,)``) is true."""
        return self.replace(**{name: getattr(self, name)[keep] for name in _NOTE_FIELDS})

    def without_drums(self) -> Performance:
        """Return the performance without the notes of drum parts."""
        drums = np.array([part.is_drum for part in self.parts], dtype=bool)
        return self.select(~drums[self.part]) if drums.any() else self

    def slice(self, start_seconds: float, end_seconds: float) -> Performance:
        """Return the notes that begin in ``[start_seconds, end_seconds)``, moved to start at 0.

        Notes are cut at ``end_seconds``, and are ``unreleased`` there. The pedal position and the
        tempo at ``start_seconds`` are kept.
        """
        inside = (self.start >= start_seconds) & (self.start < end_seconds)
        before = self.pedal_time < end_seconds
        cut = self.replace(
            **{name: getattr(self, name)[inside] for name in _NOTE_FIELDS},
            **{name: getattr(self, name)[before] for name in _PEDAL_FIELDS},
            tempos=tuple(t for t in self.tempos if t.seconds < end_seconds),
        )
        return cut.replace(
            end=np.minimum(cut.end, end_seconds),
            unreleased=cut.unreleased | (cut.end > end_seconds),
        ).shift(-start_seconds)

    def shift(self, seconds: float) -> Performance:
        """Return the performance moved in time; what would fall before 0 is moved to 0.

        Of a part's pedal events before 0 only the position at 0 is kept.
        """
        pedal_time = self.pedal_time + seconds
        stays = pedal_time > 0.0
        for part in np.unique(self.pedal_part[~stays]):
            passed = np.flatnonzero(~stays & (self.pedal_part == part))
            stays[passed[pedal_time[passed] == pedal_time[passed[-1]]]] = True
        tempos = [Tempo(max(0.0, t.seconds + seconds), t.bpm) for t in self.tempos]
        started = [i for i, tempo in enumerate(tempos) if tempo.seconds == 0.0]
        return self.replace(
            start=np.maximum(self.start + seconds, 0.0),
            end=np.maximum(self.end + seconds, 0.0),
            pedal_time=np.maximum(pedal_time[stays], 0.0),
            pedal_value=self.pedal_value[stays],
            pedal_part=self.pedal_part[stays],
            tempos=tuple(tempos[started[-1] if started else 0 :]),
        )

    def transpose(self, semitones: int) -> Performance:
        """Return the performance in another key, without the notes that leave 0 to 127.

        Drum parts keep their pitches, which name instruments.
        """
        drums = np.array([part.is_drum for part in self.parts], dtype=bool)[self.part]
        moved = np.where(drums, self.pitch, self.pitch.astype(np.int16) + semitones)
        keep = (moved >= 0) & (moved < NUM_PITCHES)
        return self.select(keep).replace(pitch=moved[keep].astype(np.uint8))

    def stretch(self, factor: float) -> Performance:
        """Return the performance with all times multiplied by ``factor`` (above 1 is slower)."""
        return self.replace(
            start=self.start * factor,
            end=self.end * factor,
            pedal_time=self.pedal_time * factor,
            tempos=tuple(Tempo(t.seconds * factor, t.bpm / factor) for t in self.tempos),
        )

    def apply_sustain(self, *, note_seq_ties: bool = False) -> Performance:
        """Return the performance without pedals, each note as long as the pedal held it.

        A note released while its part's pedal is down lasts until the pedal goes up, or until the
        same pitch is struck again with the pedal down. A note without any length left is dropped;
        one that the pedal holds to the end is ``unreleased``. Of simultaneous events the pedal
        comes first, in the order of its values, then note-ons and note-offs: a pedal that goes up
        and down at one moment ends what it held and is down. With ``note_seq_ties`` it is up,
        since note-seq's ``apply_sustain_control_changes`` puts downs before ups; all other
        rules are note-seq's too.
        """
        end, unreleased = self.end.copy(), self.unreleased.copy()
        drums = [index for index, part in enumerate(self.parts) if part.is_drum]
        melodic = ~np.isin(self.part, drums)
        last = max(
            float(self.end[melodic].max(initial=0.0)), float(self.pedal_time.max(initial=0.0))
        )
        for part in np.unique(self.pedal_part):
            if part in drums:
                continue
            notes = np.flatnonzero(self.part == part)
            pedals = self.pedal_part == part
            downs, ups = _pedal_intervals(
                self.pedal_time[pedals], self.pedal_value[pedals], note_seq_ties
            )
            ends = _sustained_ends(
                self.start[notes], self.end[notes], self.pitch[notes], downs, ups
            )
            end[notes] = np.minimum(ends, last)
            unreleased[notes] = (unreleased[notes] & (ends >= self.end[notes])) | np.isinf(ends)
        pedals_off = {name: getattr(self, name)[:0] for name in _PEDAL_FIELDS}
        applied = self.replace(end=end, unreleased=unreleased, **pedals_off)
        return applied.select(end > self.start)


def _pedal_intervals(
    time: FloatArray, value: ByteArray, note_seq_ties: bool
) -> tuple[FloatArray, FloatArray]:
    """Return when a pedal goes down, and when up again; the last of these may be infinite."""
    down = value >= SUSTAIN_DOWN
    if not len(time) or not down.any():
        return np.empty(0), np.empty(0)
    moments, first = np.unique(time, return_index=True)
    has_up = np.logical_or.reduceat(~down, first)
    is_down = ~has_up if note_seq_ties else down[np.append(first[1:], len(down)) - 1]
    was_down = np.append(False, is_down[:-1])
    # A pedal that goes up and down at one moment ends an interval there and begins another.
    downs, ups = moments[is_down & (has_up | ~was_down)], moments[was_down & has_up]
    return downs, np.append(ups, np.inf) if len(ups) < len(downs) else ups


def _next_up(time: FloatArray, downs: FloatArray, ups: FloatArray) -> FloatArray:
    """Return when the pedal next goes up, for each time at which it is down; else NaN."""
    index = np.searchsorted(downs, time, side="right") - 1
    up = np.where(index >= 0, ups[np.maximum(index, 0)], -np.inf) if len(downs) else time - 1
    return np.where(up > time, up, np.nan)


def _sustained_ends(
    start: FloatArray,
    end: FloatArray,
    pitch: ByteArray,
    downs: FloatArray,
    ups: FloatArray,
) -> FloatArray:
    """Return the ends of one part's notes with the pedal; infinite where it stays down."""
    up = _next_up(end, downs, ups)
    held = ~np.isnan(up)
    sustained = np.where(held, up, end)
    # The next strike of the same pitch with the pedal down, looked up backwards within a pitch.
    order = np.argsort(pitch, kind="stable")
    strike = np.where(~np.isnan(_next_up(start, downs, ups)), start, np.inf)[order]
    following = np.full(len(order), np.inf)
    first_of_pitch = np.flatnonzero(np.diff(pitch[order].astype(np.int16), prepend=-1))
    for begin, stop in itertools.pairwise([*first_of_pitch, len(order)]):
        following[begin : stop - 1] = np.minimum.accumulate(strike[begin + 1 : stop][::-1])[::-1]
    restrike = np.empty(len(order))
    restrike[order] = following
    still_sounds = np.where(held, restrike < up, restrike <= end)
    return np.where(still_sounds, restrike, sustained)


def cut_overlaps(
    start: npt.NDArray[Any], end: npt.NDArray[Any], voice: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Return the ends, cut at the next start of the same voice; shape ``(N,)``.

    Notes must be in order of start; ``voice`` is what can sound only once at a time (a pitch). A
    note that is struck again at its own start gets no length.
    """
    order = np.argsort(voice, kind="stable")
    same = voice[order][1:] == voice[order][:-1]
    ends = end[order]
    ends[:-1][same] = np.minimum(ends[:-1], start[order][1:])[same]
    result = np.empty_like(end)
    result[order] = ends
    return result
