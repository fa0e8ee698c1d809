"""A performance: notes and pedals in seconds, as immutable numpy arrays."""

from __future__ import annotations

import copy
import dataclasses
import html
import math
import numbers
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from midirnn.errors import OptionError
from midirnn.sketch import piano_roll_svg
from midirnn.sustain import SUSTAIN_DOWN as SUSTAIN_DOWN  # part of this module, too
from midirnn.sustain import sustained_ends

NUM_PITCHES = 128

PITCH_BEND, CHANNEL_PRESSURE = 128, 129
"""Stand-ins for controller numbers (which end at 127) for these messages."""

MAX_BEND = 8191

FloatArray = npt.NDArray[np.float64]
ByteArray = npt.NDArray[np.uint8]
IndexArray = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]

ARRAYS = {
    "start": np.float64,
    "end": np.float64,
    "pitch": np.uint8,
    "velocity": np.uint8,
    "part": np.int32,
    "unreleased": np.bool_,
    "pedal_time": np.float64,
    "pedal_value": np.uint8,
    "pedal_part": np.int32,
    "pedal_shared": np.bool_,
    "control_time": np.float64,
    "control_number": np.uint8,
    "control_value": np.int16,
    "control_part": np.int32,
}
"""The type of each array of a performance."""

INDICES = ("part", "pedal_part", "control_part")
"""The arrays that index the parts."""

_ALLOWED = {
    **dict.fromkeys(("start", "end", "pedal_time", "control_time"), "finite seconds from 0 on"),
    **dict.fromkeys(("pitch", "pedal_value"), "whole numbers from 0 to 127"),
    "velocity": "whole numbers from 1 to 127",
    "control_number": "controllers from 0 to 127, 128 (pitch bend) and 129 (pressure)",
    "control_value": "whole numbers from 0 to 127, of pitch bend from -8192 to 8191",
    **dict.fromkeys(INDICES, "the indices of its parts"),
}
_NOTE_FIELDS = ("start", "end", "pitch", "velocity", "part", "unreleased")
_PEDAL_FIELDS = ("pedal_time", "pedal_value", "pedal_part", "pedal_shared")
_CONTROL_FIELDS = ("control_time", "control_number", "control_value", "control_part")


@dataclass(frozen=True)
class Part:
    """One instrument of a performance, with a sustain pedal of its own.

    ``program`` is 0 to 127, ``channel`` 0 to 15; 9 is drums, which players call channel 10.
    ``bank`` is what CC 0 and 32 select, as one number of 14 bits.
    """

    program: int = 0
    channel: int = 0
    name: str = ""
    bank: int = 0

    def __post_init__(self) -> None:
        limits = {"program": 127, "channel": 15, "bank": 16383}
        for name, most in limits.items():
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise OptionError(f"a part has {name} {value}; allowed are 0 to {most}")

    @property
    def is_drum(self) -> bool:
        """True if the part is on the drum channel."""
        return self.channel == 9


class Note(NamedTuple):
    """A note, as iterating over a performance yields it: times in seconds, MIDI values."""

    start: float
    end: float
    pitch: int
    velocity: int
    part: int


@dataclass(frozen=True, slots=True)
class Tempo:
    """A tempo from ``seconds`` on, in quarter notes per minute."""

    seconds: float
    bpm: float

    def __post_init__(self) -> None:
        if not (0.0 <= self.seconds < math.inf and 0.0 < self.bpm < math.inf):
            raise OptionError(
                f"a tempo is {self.bpm} bpm at {self.seconds} s; allowed are above 0 bpm, "
                "from 0 s on"
            )


@dataclass(frozen=True)
class TimeSignature:
    """A time signature from ``seconds`` on: 6/8 has numerator 6 and denominator 8."""

    seconds: float
    numerator: int
    denominator: int


@dataclass(frozen=True)
class KeySignature:
    """A key signature from ``seconds`` on; ``sharps`` is negative for flats."""

    seconds: float
    sharps: int
    minor: bool = False


Signature = TimeSignature | KeySignature


def _as_array(name: str, values: Any) -> npt.NDArray[Any]:
    """Return the values of a field in its type. Raise :class:`OptionError` if that changes any."""
    dtype = np.dtype(ARRAYS[name])
    given = np.asarray(values)
    if given.dtype == dtype:
        return given
    if dtype.kind == "b" or not given.size:
        return given.astype(dtype)
    try:
        exact = given.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        wrong = next((value for value in values if not isinstance(value, numbers.Real)), values)
        raise OptionError(f"{name} is {wrong!r}; allowed are {_ALLOWED[name]}") from None
    if dtype.kind == "f":
        return exact
    limits: np.iinfo[Any] = np.iinfo(dtype)
    with np.errstate(invalid="ignore"):
        fits = (exact >= limits.min) & (exact <= limits.max) & (exact == np.rint(exact))
    if not fits.all():
        wrong = given[~fits].flat[0].item()
        raise OptionError(f"{name} is {wrong}; allowed are {_ALLOWED[name]}")
    return exact.astype(dtype)


def _check_lengths(fields: dict[str, npt.NDArray[Any]]) -> None:
    """Raise :class:`OptionError` unless all fields hold a value for each note or pedal event."""
    first, *_ = fields
    for name, values in fields.items():
        if values.shape != (len(fields[first]),):
            raise OptionError(
                f"{name} has shape {values.shape}; it needs one value for each of the "
                f"{len(fields[first])} of {first}"
            )


def _check_range(name: str, values: npt.NDArray[Any], least: float, most: float) -> None:
    """Raise :class:`OptionError`, naming the value, for any outside ``least`` to ``most``."""
    if values.size and not (values.min() >= least and values.max() <= most):
        wrong = values[~((values >= least) & (values <= most))][0].item()
        raise OptionError(f"{name} is {wrong}; allowed are {_ALLOWED[name]}")


_SORTED_BY = ("start", "pitch", "pedal_time", "control_time")


def order_of(time: FloatArray, pitch: ByteArray | None = None) -> npt.NDArray[np.int64] | None:
    """Return the order by time, then by pitch; None if the arrays are in order."""
    late = time[1:] < time[:-1]
    if pitch is not None:
        late |= (time[1:] == time[:-1]) & (pitch[1:] < pitch[:-1])
    if not late.any():
        return None
    return np.argsort(time, kind="stable") if pitch is None else np.lexsort((pitch, time))


def _read_only(values: npt.NDArray[Any], order: npt.NDArray[np.int64] | None) -> npt.NDArray[Any]:
    """Return the values in order and read-only; a copy, unless nobody can write to them."""
    if order is not None:
        values = values[order]
    elif values.flags.writeable or values.base is not None:
        values = values.copy()
    values.flags.writeable = False
    return values


def _empty(name: str) -> Callable[[], Any]:
    return lambda: np.empty(0, dtype=ARRAYS[name])


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

    start: FloatArray = field(default_factory=_empty("start"))
    end: FloatArray = field(default_factory=_empty("end"))
    pitch: ByteArray = field(default_factory=_empty("pitch"))
    velocity: ByteArray = field(default_factory=_empty("velocity"))
    part: IndexArray = field(default_factory=_empty("part"))
    unreleased: BoolArray = field(default_factory=_empty("unreleased"))
    pedal_time: FloatArray = field(default_factory=_empty("pedal_time"))
    pedal_value: ByteArray = field(default_factory=_empty("pedal_value"))
    pedal_part: IndexArray = field(default_factory=_empty("pedal_part"))
    pedal_shared: BoolArray = field(default_factory=_empty("pedal_shared"))
    control_time: FloatArray = field(default_factory=_empty("control_time"))
    control_number: ByteArray = field(default_factory=_empty("control_number"))
    control_value: npt.NDArray[np.int16] = field(default_factory=_empty("control_value"))
    control_part: IndexArray = field(default_factory=_empty("control_part"))
    parts: tuple[Part, ...] = (Part(),)
    tempos: tuple[Tempo, ...] = (Tempo(0.0, 120.0),)
    signatures: tuple[Signature, ...] = ()
    """Time and key signatures, in order of time."""

    def __post_init__(self) -> None:
        arrays = {name: _as_array(name, getattr(self, name)) for name in ARRAYS}
        for name, of in (("unreleased", "start"), ("pedal_shared", "pedal_time")):
            if not len(arrays[name]):
                arrays[name] = np.zeros(len(arrays[of]), dtype=bool)
        for names in (_NOTE_FIELDS, _PEDAL_FIELDS, _CONTROL_FIELDS):
            _check_lengths({name: arrays[name] for name in names})
            order = order_of(*(arrays[name] for name in names if name in _SORTED_BY))
            for name in names:
                object.__setattr__(self, name, _read_only(arrays.pop(name), order))
        self._check_values()

    def _check_values(self) -> None:
        """Raise :class:`OptionError` for a value that no note or pedal can have."""
        for name in ("start", "end", "pedal_time", "control_time"):
            _check_range(name, getattr(self, name), 0.0, np.finfo(np.float64).max)
        _check_range("pitch", self.pitch, 0, NUM_PITCHES - 1)
        _check_range("velocity", self.velocity, 1, 127)
        _check_range("pedal_value", self.pedal_value, 0, 127)
        _check_range("control_number", self.control_number, 0, CHANNEL_PRESSURE)
        bends = self.control_number == PITCH_BEND
        _check_range("control_value", self.control_value[bends], -MAX_BEND - 1, MAX_BEND)
        _check_range("control_value", self.control_value[~bends], 0, 127)
        for name in INDICES:
            _check_range(name, getattr(self, name), 0, len(self.parts) - 1)

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
            start=_as_array("start", start),
            end=_as_array("end", end),
            pitch=_as_array("pitch", pitch),
            velocity=_as_array("velocity", velocity),
            part=np.zeros(len(note_rows), np.int32),
            pedal_time=_as_array("pedal_time", pedal_time),
            pedal_value=_as_array("pedal_value", pedal_value),
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
        return self._with(**{name: getattr(self, name)[keep] for name in _NOTE_FIELDS})

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
            **{name: getattr(self, name)[inside] for name in _NOTE_FIELDS},
            **{name: getattr(self, name)[before] for name in _PEDAL_FIELDS},
            **{n: getattr(self, n)[self.control_time < end_seconds] for n in _CONTROL_FIELDS},
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
            **{name: getattr(self, name)[controls] for name in _CONTROL_FIELDS[1:]},
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
        kept = {name: getattr(self, name)[keep] for name in _NOTE_FIELDS}
        kept |= {"end": end[keep], "unreleased": unreleased[keep]}
        return self._with(**kept, **{n: np.empty(0, ARRAYS[n]) for n in _PEDAL_FIELDS})


_SILENCE = Performance()


def _shifted(signatures: Sequence[Signature], seconds: float) -> tuple[Signature, ...]:
    """Return the signatures moved in time; before 0 only the last of each kind is kept, at 0."""
    moved = [dataclasses.replace(s, seconds=max(0.0, s.seconds + seconds)) for s in signatures]
    in_force = {type(s): s for s in moved if s.seconds == 0.0}
    return (*in_force.values(), *(s for s in moved if s.seconds > 0.0))


def cut_overlaps(
    start: npt.NDArray[Any], end: npt.NDArray[Any], voice: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Return the ends, cut at the next start of the same voice; shape ``(N,)``.

    Notes must be in order of start; ``voice`` is what can sound only once at a time, such as a
    pitch. A note that is struck again at its own start gets zero length.
    """
    order = np.argsort(voice, kind="stable")
    same = voice[order][1:] == voice[order][:-1]
    ends = end[order]
    ends[:-1][same] = np.minimum(ends[:-1], start[order][1:])[same]
    result = np.empty_like(end)
    result[order] = ends
    return result
