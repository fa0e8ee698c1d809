"""A performance: notes and pedals in seconds, as immutable numpy arrays."""

from __future__ import annotations

import copy
import dataclasses
import html
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from midirnn.arrays import BoolArray, ByteArray, Float64Array
from midirnn.errors import OptionError
from midirnn.midievents import SUSTAIN_DOWN
from midirnn.note_arrays import (
    ARRAYS,
    CHANNEL_PRESSURE,
    CONTROL_FIELDS,
    INDICES,
    MAX_BEND,
    NOTE_FIELDS,
    NUM_PITCHES,
    PEDAL_FIELDS,
    PITCH_BEND,
    SORTED_BY,
    IndexArray,
    as_array,
    check_lengths,
    check_range,
    cut_overlaps,
    empty_array,
    order_of,
    read_only,
)
from midirnn.parts import KeySignature, Part, Signature, Tempo, TimeSignature
from midirnn.sketch import piano_roll_svg
from midirnn.sustain import sustained_ends

__all__ = [
    "ARRAYS",
    "CHANNEL_PRESSURE",
    "INDICES",
    "NUM_PITCHES",
    "PITCH_BEND",
    "SUSTAIN_DOWN",
    "KeySignature",
    "Note",
    "Part",
    "Performance",
    "Signature",
    "Tempo",
    "TimeSignature",
    "cut_overlaps",
    "order_of",
]


class Note(NamedTuple):
    """A note, as iterating over a performance yields it: times in seconds, MIDI values."""

    start: float
    end: float
    pitch: int
    velocity: int
    part: int


@dataclass(frozen=True, eq=False)
class Performance:
    """Notes and sustain pedals of one or more parts, in seconds.

    Notes (shape ``(N,)`` each) are kept in order of (start, pitch); notes equal in both keep the
    order in which they were given. Pedals (shape ``(P,)`` each) are CC 64 values in order of time.
    Controls (shape ``(C,)`` each) are the other controllers, pitch bend (-8192 to 8191) and channel
    pressure, in order of time; no codec reads them, but files keep them. ``part``, ``pedal_part``
    and ``control_part`` index ``parts``. ``pedal_shared`` is true for pedal events that came
    from another track of the part's channel or from a reset (by default none). ``unreleased`` is
    true for notes that were still held when the recording ended (by default none). The arrays are
    read-only. Raises :class:`OptionError` for an impossible value, such as a pitch of 200 or an
    infinite end.
    """

    start: Float64Array = field(default_factory=empty_array("start"))
    end: Float64Array = field(default_factory=empty_array("end"))
    pitch: ByteArray = field(default_factory=empty_array("pitch"))
    velocity: ByteArray = field(default_factory=empty_array("velocity"))
    part: IndexArray = field(default_factory=empty_array("part"))
    unreleased: BoolArray = field(default_factory=empty_array("unreleased"))
    pedal_time: Float64Array = field(default_factory=empty_array("pedal_time"))
    pedal_value: ByteArray = field(default_factory=empty_array("pedal_value"))
    pedal_part: IndexArray = field(default_factory=empty_array("pedal_part"))
    pedal_shared: BoolArray = field(default_factory=empty_array("pedal_shared"))
    control_time: Float64Array = field(default_factory=empty_array("control_time"))
    control_number: ByteArray = field(default_factory=empty_array("control_number"))
    control_value: npt.NDArray[np.int16] = field(default_factory=empty_array("control_value"))
    control_part: IndexArray = field(default_factory=empty_array("control_part"))
    parts: tuple[Part, ...] = (Part(),)
    tempos: tuple[Tempo, ...] = (Tempo(0.0, 120.0),)
    signatures: tuple[Signature, ...] = ()
    """Time and key signatures, in order of time."""

    def __post_init__(self) -> None:
        arrays = {name: as_array(name, getattr(self, name)) for name in ARRAYS}
        for name, of in (("unreleased", "start"), ("pedal_shared", "pedal_time")):
            if not len(arrays[name]):
                arrays[name] = np.zeros(len(arrays[of]), dtype=bool)
        for names in (NOTE_FIELDS, PEDAL_FIELDS, CONTROL_FIELDS):
            check_lengths({name: arrays[name] for name in names})
            order = order_of(*(arrays[name] for name in names if name in SORTED_BY))
            for name in names:
                object.__setattr__(self, name, read_only(arrays.pop(name), order))
        self._check_values()

    def _check_values(self) -> None:
        """Raise :class:`OptionError` for a value that no note or pedal can have."""
        for name in ("start", "end", "pedal_time", "control_time"):
            check_range(name, getattr(self, name), 0.0, np.finfo(np.float64).max)
        check_range("pitch", self.pitch, 0, NUM_PITCHES - 1)
        check_range("velocity", self.velocity, 1, 127)
        check_range("pedal_value", self.pedal_value, 0, 127)
        check_range("control_number", self.control_number, 0, CHANNEL_PRESSURE)
        bends = self.control_number == PITCH_BEND
        check_range("control_value", self.control_value[bends], -MAX_BEND - 1, MAX_BEND)
        check_range("control_value", self.control_value[~bends], 0, 127)
        for name in INDICES:
            check_range(name, getattr(self, name), 0, len(self.parts) - 1)

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
            start=as_array("start", start),
            end=as_array("end", end),
            pitch=as_array("pitch", pitch),
            velocity=as_array("velocity", velocity),
            part=np.zeros(len(note_rows), np.int32),
            pedal_time=as_array("pedal_time", pedal_time),
            pedal_value=as_array("pedal_value", pedal_value),
            pedal_part=np.zeros(len(pedal_rows), np.int32),
            parts=tuple(parts),
        )

    def __len__(self) -> int:
        return len(self.start)

    def __iter__(self) -> Iterator[Note]:
        columns = (self.start, self.end, self.pitch, self.velocity, self.part)
        return map(Note._make, zip(*(column.tolist() for column in columns), strict=True))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Performance):
            return NotImplemented
        same_arrays = all(np.array_equal(getattr(self, n), getattr(other, n)) for n in ARRAYS)
        return same_arrays and (self.parts, self.tempos, self.signatures) == (
            other.parts,
            other.tempos,
            other.signatures,
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    def __repr__(self) -> str:
        return (
            f"Performance({len(self)} notes, {len(self.pedal_time)} pedal events, "
            f"{len(self.parts)} parts, {self.duration:.3f} s)"
        )

    def _repr_html_(self) -> str:
        """Return a piano roll for notebooks."""
        svg = piano_roll_svg(self.start, self.end, self.pitch, self.velocity)
        return f"<div>{html.escape(repr(self))}</div>{svg}"

    @property
    def duration(self) -> float:
        """The end of the last note in seconds; 0 without notes."""
        return float(self.end.max(initial=0.0))

    def replace(self, **changes: Any) -> Performance:
        """Return the performance with some fields changed."""
        if changes.keys() <= {"tempos", "signatures"}:  # which need no check of the arrays
            changed = copy.copy(self)
            for name, value in changes.items():
                object.__setattr__(changed, name, value)
            return changed
        return dataclasses.replace(self, **changes)

    def _with(self, **arrays: npt.NDArray[Any]) -> Performance:
        """Return the performance with new arrays, which must be valid and in order.

        Checking them would double the time of making one performance from another.
        """
        changed = copy.copy(self)
        for name, values in arrays.items():
            values.flags.writeable = False
            object.__setattr__(changed, name, values)
        return changed

    @classmethod
    def unchecked(cls, parts: tuple[Part, ...], **arrays: npt.NDArray[Any]) -> Performance:
        """Return a performance of arrays, which must be valid, read-only and in order.

        Checking and copying them would double the time of reading a file.
        """
        performance = copy.copy(_SILENCE)
        for name, values in arrays.items():
            object.__setattr__(performance, name, values)
        object.__setattr__(performance, "parts", parts)
        return performance

    def select(self, keep: npt.NDArray[np.bool_]) -> Performance:
        """Return the performance with only the notes where ``keep`` (shape ``(N,)``) is true."""
        return self._with(**{name: getattr(self, name)[keep] for name in NOTE_FIELDS})

    def without_drums(self) -> Performance:
        """Return the performance without the notes of drum parts."""
        drums = np.array([part.is_drum for part in self.parts], dtype=bool)
        return self.select(~drums[self.part]) if drums.any() else self

    def slice(self, start_seconds: float, end_seconds: float) -> Performance:
        """Return the notes that begin in ``[start_seconds, end_seconds)``, moved to start at 0.

        Notes are cut at ``end_seconds``, and are ``unreleased`` there. The positions of pedals and
        controllers and the tempo at ``start_seconds`` are kept.
        """
        inside = (self.start >= start_seconds) & (self.start < end_seconds)
        before = self.pedal_time < end_seconds
        cut = self.replace(
            **{name: getattr(self, name)[inside] for name in NOTE_FIELDS},
            **{name: getattr(self, name)[before] for name in PEDAL_FIELDS},
            **{n: getattr(self, n)[self.control_time < end_seconds] for n in CONTROL_FIELDS},
            tempos=tuple(t for t in self.tempos if t.seconds < end_seconds),
            signatures=tuple(s for s in self.signatures if s.seconds < end_seconds),
        )
        return cut.replace(
            end=np.minimum(cut.end, end_seconds),
            unreleased=cut.unreleased | (cut.end > end_seconds),
        ).shift(-start_seconds)

    def shift(self, seconds: float) -> Performance:
        """Return the performance moved in time; what would fall before 0 is moved to 0.

        Of each part's pedal and controllers, only the last position before 0 is kept.
        """
        controls = self._controls_from(-seconds)
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
            pedal_shared=self.pedal_shared[stays],
            **{name: getattr(self, name)[controls] for name in CONTROL_FIELDS[1:]},
            control_time=np.maximum(self.control_time[controls] + seconds, 0.0),
            tempos=tuple(tempos[started[-1] if started else 0 :]),
            signatures=_shifted(self.signatures, seconds),
        )

    def _controls_from(self, seconds: float) -> npt.NDArray[np.bool_]:
        """Return which controls come after ``seconds``, or are the last of their kind by then."""
        stays = self.control_time > seconds
        passed = np.flatnonzero(~stays)[::-1]
        kind = self.control_part[passed].astype(np.int64) << 8 | self.control_number[passed]
        stays[passed[np.unique(kind, return_index=True)[1]]] = True
        return stays

    def transpose(self, semitones: int) -> Performance:
        """Return the performance transposed, without the notes that leave 0 to 127.

        Drum parts keep their pitches, which stand for instruments.
        """
        drums = np.array([part.is_drum for part in self.parts], dtype=bool)[self.part]
        moved = np.where(drums, self.pitch, self.pitch.astype(np.int16) + semitones)
        keep = (moved >= 0) & (moved < NUM_PITCHES)
        return self.select(keep).replace(
            pitch=moved[keep].astype(np.uint8),
            signatures=tuple(
                dataclasses.replace(s, sharps=(s.sharps + 7 * semitones + 5) % 12 - 5)
                if isinstance(s, KeySignature) and semitones
                else s
                for s in self.signatures
            ),
        )

    def stretch(self, factor: float) -> Performance:
        """Return the performance with all times multiplied by ``factor`` (above 1 is slower)."""
        if not 0.0 < factor < math.inf:
            raise OptionError(f"factor is {factor}; allowed are finite numbers above 0")
        return self.replace(
            start=self.start * factor,
            end=self.end * factor,
            pedal_time=self.pedal_time * factor,
            control_time=self.control_time * factor,
            tempos=tuple(Tempo(t.seconds * factor, t.bpm / factor) for t in self.tempos),
            signatures=tuple(
                dataclasses.replace(s, seconds=s.seconds * factor) for s in self.signatures
            ),
        )

    def apply_sustain(self, *, as_note_seq: bool = False) -> Performance:
        """Return the performance without pedals, its notes as long as the pedal holds them.

        A note released while its part's pedal is down lasts until the pedal goes up, or until the
        same pitch is struck again with the pedal down. Notes of zero length are dropped; a note
        that the pedal holds to the end is ``unreleased``. Of simultaneous events the pedal comes
        first, in the order given, then note-ons and note-offs: a pedal that goes up and down at
        one time releases what it held, and is then down. With ``as_note_seq`` it is then up, since
        note-seq's ``apply_sustain_control_changes`` puts downs before ups, and a pedal acts on its
        own track rather than its channel. All other rules are note-seq's too.
        """
        end, unreleased = self.end.copy(), self.unreleased.copy()
        drums = [index for index, part in enumerate(self.parts) if part.is_drum]
        melodic = ~np.isin(self.part, drums)
        last = max(
            float(self.end[melodic].max(initial=0.0)), float(self.pedal_time.max(initial=0.0))
        )
        counts = ~self.pedal_shared if as_note_seq else np.ones(len(self.pedal_time), dtype=bool)
        for part in np.flatnonzero(np.bincount(self.pedal_part[counts])):
            if part in drums:
                continue
            alone = len(self.parts) == 1
            notes = slice(None) if alone else np.flatnonzero(self.part == part)
            pedals = counts & (self.pedal_part == part)
            ends = sustained_ends(
                *(self.start[notes], self.end[notes], self.pitch[notes]),
                *(self.pedal_time[pedals], self.pedal_value[pedals]),
                as_note_seq=as_note_seq,
            )
            end[notes] = np.minimum(ends, last)
            unreleased[notes] = (unreleased[notes] & (ends >= self.end[notes])) | np.isinf(ends)
        keep = end > self.start
        kept = {name: getattr(self, name)[keep] for name in NOTE_FIELDS}
        kept |= {"end": end[keep], "unreleased": unreleased[keep]}
        return self._with(**kept, **{n: np.empty(0, ARRAYS[n]) for n in PEDAL_FIELDS})


_SILENCE = Performance()


def _shifted(signatures: Sequence[Signature], seconds: float) -> tuple[Signature, ...]:
    """Return the signatures moved in time; before 0 only the last of each kind is kept, at 0."""
    moved = [dataclasses.replace(s, seconds=max(0.0, s.seconds + seconds)) for s in signatures]
    in_force = {type(s): s for s in moved if s.seconds == 0.0}
    return (*in_force.values(), *(s for s in moved if s.seconds > 0.0))
