"""Note-ons and note-offs to notes; pedals and controllers with their resets.

Everything is in arrays, in chunks: a file of 13 million events must not need a Python object for
each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.arrays import BoolArray, IntArray
from midirnn.midievents import (
    BANK_LSB,
    BANK_MSB,
    BEND,
    CONTROL_CHANGE,
    MODE_MESSAGES,
    NOTE_ON,
    PEDAL_RESETS,
    PRESSURE,
    PROGRAM_CHANGE,
    RESET_CONTROLLERS,
    SUSTAIN,
    SUSTAIN_DOWN,
    Events,
)
from midirnn.midifile.pair import LIBRARY, PairedNotes, control_columns, paired_notes, pedal_columns
from midirnn.performance import ARRAYS, CHANNEL_PRESSURE, PITCH_BEND

CHUNK = 250_000
"""Number of events that are paired at a time."""

SHARED_SUSTAIN = SUSTAIN | 0x80
"""Marks the sustain pedal of another track in the events of a track."""

NEUTRAL = {1: 0, 11: 127, 65: 0, 66: 0, 67: 0, PITCH_BEND: 0, CHANNEL_PRESSURE: 0}
"""The values to which CC 121 resets controllers, apart from the sustain pedal (RP-015)."""

_IS_MODE = np.isin(np.arange(256), [*MODE_MESSAGES])
_IS_PEDAL_RESET = np.isin(np.arange(256), [*PEDAL_RESETS])
_IS_CONTROL = np.isin(np.arange(256), [*range(120)]) & ~np.isin(
    np.arange(256), [SUSTAIN, BANK_MSB, BANK_LSB]
)
"""The neutral value by the number of the controller."""

_NEVER = np.iinfo(np.int64).max
_PROGRAM_BITS = 21  # the bank (14 bits) and the program (7 bits)
_CENTRE = 8192

Seconds = Callable[[IntArray], npt.NDArray[np.float64]]


@dataclass
class Notes:
    """The notes of a track in the order in which they end, in chunks."""

    start: list[npt.NDArray[np.float64]] = field(default_factory=list)
    end: list[npt.NDArray[np.float64]] = field(default_factory=list)
    pitch: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    velocity: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    part: list[npt.NDArray[np.int32]] = field(default_factory=list)
    unreleased: list[BoolArray] = field(default_factory=list)
    parts: dict[int, int] = field(default_factory=dict)
    """The index of each part, by its channel, bank and program."""

    def part_keys(self) -> list[tuple[int, int, int]]:
        """Return the channel, bank and program of each part."""
        return [(key >> _PROGRAM_BITS, key >> 7 & 0x3FFF, key & 0x7F) for key in self.parts]

    def add(
        self,
        seconds: Seconds,
        note_ons: Events,
        end: IntArray,
        sound: IntArray,
        *,
        unreleased: bool = False,
    ) -> None:
        """Add notes, with the tick at which each one ends and the key of its part."""
        keys, first, inverse = np.unique(sound, return_index=True, return_inverse=True)
        for key in keys[np.argsort(first)].tolist():
            self.parts.setdefault(key, len(self.parts))
        index = np.array([self.parts[key] for key in keys.tolist()], np.int32)
        self.start.append(seconds(note_ons.tick))
        self.end.append(seconds(end))
        self.pitch.append(note_ons.first)
        self.velocity.append(note_ons.second)
        self.part.append(index[inverse])
        self.unreleased.append(np.full(len(note_ons), unreleased))

    def take(self, name: str) -> npt.NDArray[Any]:
        """Return an array of all notes, and free its chunks."""
        chunks = getattr(self, name)
        joined = np.concatenate(chunks) if chunks else np.empty(0, ARRAYS[name])
        chunks.clear()
        return joined


def pair_notes(events: Events, last_tick: int, seconds: Seconds) -> Notes:
    """Return the notes of a track.

    A note-off ends all notes of its channel and pitch that began at an earlier tick. Notes that
    began at its own tick are dropped if there are no earlier ones; otherwise they go on. A channel
    mode message (CC 120, 123 to 127) is a note-off for every note of its channel. A note has the
    bank and the program in force where it ends, as in pretty_midi.
    """
    in_cpp = len(events) <= CHUNK and LIBRARY.is_for(len(events))
    if in_cpp and (found := paired_notes(events, last_tick)):
        return _in_seconds(found, seconds)
    notes = Notes()
    open_notes = Events(events.packed[:0])
    banks = _Banks()
    for begin in range(0, len(events), CHUNK):
        chunk = events[begin : begin + CHUNK]
        sounds = banks.sounds_of(chunk)
        may_end = _may_end(open_notes, chunk) if len(open_notes) else np.empty(0, np.bool_)
        waiting = open_notes[~may_end]
        shift = int(may_end.sum())
        if shift:
            chunk = Events(np.concatenate([open_notes.packed[may_end], chunk.packed]))
        on, off, still = _pair(chunk)
        started, ended = chunk[on], chunk[off]
        notes.add(seconds, started, ended.tick, sounds(ended.channel, off - shift))
        open_notes = Events(np.concatenate([waiting.packed, chunk.packed[still]]))
    held = open_notes[open_notes.tick < last_tick]
    held = held[np.argsort(held.tick, kind="stable")]
    for begin in range(0, len(held), CHUNK):
        some = held[begin : begin + CHUNK]
        at_end = np.full(len(some), last_tick, np.int64)
        notes.add(seconds, some, at_end, banks.now(some.channel), unreleased=True)
    return notes


def _in_seconds(found: PairedNotes, seconds: Seconds) -> Notes:
    """Return notes that were paired in C++."""
    unreleased = np.zeros(len(found.start), np.bool_)
    unreleased[found.released :] = True
    return Notes(
        [seconds(found.start)],
        [seconds(found.end)],
        [found.pitch],
        [found.velocity],
        [found.part],
        [unreleased],
        {key: index for index, key in enumerate(found.parts)},
    )


def _may_end(open_notes: Events, events: Events) -> BoolArray:
    """Return a mask of the notes that some of the events could end."""
    kind, channel = events.kind, events.channel
    ends = np.zeros((16, 128), dtype=bool)
    off = (kind <= NOTE_ON) & ((kind < NOTE_ON) | (events.second == 0))
    ends[channel[off], events.first[off]] = True
    ends[channel[(kind == CONTROL_CHANGE) & _IS_MODE[events.first]]] = True
    may_end: BoolArray = ends[open_notes.channel, open_notes.first]
    return may_end


class _Banks:
    """The bank and program of each channel. Owns those in force after the last chunk."""

    def __init__(self) -> None:
        self._program = np.zeros(16, np.int64)  # bank << 7 | program
        self._selected = [[0, 0] for _ in range(16)]

    def now(self, channel: npt.NDArray[np.uint8]) -> IntArray:
        """Return the key of the part of each channel."""
        return channel.astype(np.int64) << _PROGRAM_BITS | self._program[channel]

    def sounds_of(self, events: Events) -> Callable[[npt.NDArray[np.uint8], IntArray], IntArray]:
        """Follow some events; return a function from (channels, positions) to keys of parts."""
        kind, first = events.kind, events.first
        is_bank = (kind == CONTROL_CHANGE) & ((first == BANK_MSB) | (first == BANK_LSB))
        changes = np.flatnonzero((kind == PROGRAM_CHANGE) | is_bank)
        places: dict[int, list[int]] = {}
        values: dict[int, list[int]] = {}
        begin = self._program.copy()
        for position, kind_, channel, number, value in zip(
            changes.tolist(),
            kind[changes].tolist(),
            events[changes].channel.tolist(),
            first[changes].tolist(),
            events[changes].second.tolist(),
            strict=True,
        ):
            selected = self._selected[channel]
            if kind_ == CONTROL_CHANGE:
                selected[number == BANK_LSB] = value
                continue
            self._program[channel] = selected[0] << 14 | selected[1] << 7 | number
            places.setdefault(channel, []).append(position)
            values.setdefault(channel, []).append(int(self._program[channel]))

        def sounds(channel: npt.NDArray[np.uint8], position: IntArray) -> IntArray:
            program = begin[channel]
            for which in places:
                own = np.flatnonzero(channel == which)
                index = np.searchsorted(places[which], position[own])
                program[own] = np.array([begin[which], *values[which]])[index]
            return channel.astype(np.int64) << _PROGRAM_BITS | program

        return sounds


def _pair(events: Events) -> tuple[IntArray, IntArray, IntArray]:
    """Return where notes begin and end, in order of their ends, and where others begin.

    The others are not released within these events.
    """
    kind, first = events.kind, events.first
    note = np.flatnonzero(kind <= NOTE_ON)
    modes = np.flatnonzero((kind == CONTROL_CHANGE) & _IS_MODE[first])
    channel = events.channel
    key = channel[note].astype(np.uint16) << 7 | first[note]
    order = np.argsort(key, kind="stable")
    position, key = note[order], key[order]
    is_on = ((kind == NOTE_ON) & (events.second > 0))[position]
    # The next note-off of the same key, looked up backwards.
    count = len(position)
    following = np.where(is_on, count, np.arange(count))[::-1]
    following = np.minimum.accumulate(following)[::-1]
    on = np.flatnonzero(is_on)
    next_off = following[on]
    found = next_off < count
    found[found] = key[next_off[found]] == key[on][found]
    begin, end = position[on], np.full(len(on), _NEVER)
    end[found] = position[next_off[found]]
    for which in np.unique(channel[modes]).tolist():
        own = np.append(modes[channel[modes] == which], _NEVER)
        those = np.flatnonzero(key[on] >> 7 == which)
        end[those] = np.minimum(end[those], own[np.searchsorted(own, begin[those])])
    tick = events.tick
    released = end < _NEVER
    at_once = released.copy()
    at_once[released] = tick[end[released]] == tick[begin[released]]
    if at_once.any():
        odd = np.isin(key[on], key[on][at_once])
        slow = _pair_one_by_one(events, position[np.isin(key, key[on][at_once])], modes)
        begin = np.concatenate([begin[~odd], slow[0]])
        end = np.concatenate([end[~odd], slow[1]])
        released = end < _NEVER
    in_order = np.lexsort((begin, end))
    in_order = in_order[released[in_order]]
    return begin[in_order], end[in_order], np.sort(begin[~released])


def _pair_one_by_one(events: Events, notes: IntArray, modes: IntArray) -> tuple[IntArray, IntArray]:
    """Return (begin, end) for keys with a note-off at the tick of a note-on."""
    begins: list[int] = []
    ends: list[int] = []
    sounding: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def release(key: tuple[int, int], tick: int, position: int) -> None:
        begun = sounding.pop(key, [])
        ended = [place for start, place in begun if start < tick]
        begins.extend(ended)
        ends.extend([position] * len(ended))
        if ended and len(ended) < len(begun):
            sounding[key] = [(start, place) for start, place in begun if start == tick]

    places = np.sort(np.concatenate([notes, modes]))
    chosen = events[places]
    rows = zip(
        places.tolist(), chosen.tick.tolist(), chosen.kind.tolist(), chosen.channel.tolist(),
        chosen.first.tolist(), chosen.second.tolist(), strict=True,
    )  # fmt: skip
    for position, tick, kind, channel, pitch, velocity in rows:
        if kind == NOTE_ON and velocity:
            sounding.setdefault((channel, pitch), []).append((tick, position))
        elif kind <= NOTE_ON:
            release((channel, pitch), tick, position)
        else:
            for key in [key for key in sounding if key[0] == channel]:
                release(key, tick, position)
    left = [place for begun in sounding.values() for _, place in begun]
    begins += left
    return np.array(begins, np.int64), np.array(ends + [_NEVER] * len(left), np.int64)


@dataclass(frozen=True)
class Changes:
    """The values of a pedal or of controllers of one channel, in order."""

    tick: IntArray
    number: npt.NDArray[np.uint8]
    value: npt.NDArray[np.int16]
    shared: BoolArray
    """True for values from another track or from a reset."""


NO_CHANGES = Changes(
    np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.int16), np.empty(0, np.bool_)
)


def pedals_of(events: Events, channel: int) -> Changes:
    """Return the sustain pedal of a channel.

    CC 120, 121 and 124 to 127 put it up if it is down.
    """
    if LIBRARY.is_for(len(events)) and (columns := pedal_columns(events, channel)):
        tick, level, is_shared = columns
        return Changes(tick, np.full(len(tick), SUSTAIN, np.uint8), level, is_shared)
    own = events[(events.kind == CONTROL_CHANGE) & (events.channel == channel)]
    first = own.first
    is_pedal = (first == SUSTAIN) | (first == SHARED_SUSTAIN)
    is_reset = _IS_PEDAL_RESET[first]
    own, is_reset = own[is_pedal | is_reset], is_reset[is_pedal | is_reset]
    value = np.where(is_reset, 0, own.second).astype(np.int16)
    # A reset counts only after a pedal that is down.
    was_down = np.append(False, (value >= SUSTAIN_DOWN)[:-1])
    keep = ~is_reset | was_down
    shared = is_reset | (own.first == SHARED_SUSTAIN)
    return Changes(
        own.tick[keep], np.full(keep.sum(), SUSTAIN, np.uint8), value[keep], shared[keep]
    )


def controls_of(events: Events, channel: int) -> Changes:
    """Return the other controllers of a channel, with pitch bend and pressure.

    CC 121 sets those that it resets to their neutral value, if they have another. Banks belong to
    the program, and channel mode messages to notes and pedals.
    """
    if LIBRARY.is_for(len(events)) and (columns := control_columns(events, channel)):
        return Changes(*columns, np.zeros(len(columns[0]), np.bool_))
    own = events[(events.kind >= CONTROL_CHANGE) & (events.channel == channel)]
    kind, first, second = own.kind, own.first, own.second
    is_control = (kind == CONTROL_CHANGE) & _IS_CONTROL[first]
    is_bend, is_pressure = kind == BEND, kind == PRESSURE
    resets = np.flatnonzero((kind == CONTROL_CHANGE) & (first == RESET_CONTROLLERS))
    number = np.where(is_bend, PITCH_BEND, np.where(is_pressure, CHANNEL_PRESSURE, first))
    bend = (second.astype(np.int16) << 7 | first) - _CENTRE
    value = np.where(is_bend, bend, np.where(is_pressure, first, second)).astype(np.int16)
    chosen = np.flatnonzero(is_control | is_bend | is_pressure)
    place, number, value = chosen, number[chosen].astype(np.uint8), value[chosen]
    del kind, first, second, bend, is_control, is_bend, is_pressure, chosen
    back = list(_resets(place, number, value, resets)) if len(resets) else []
    if not back:
        tick = own.packed[place]
        tick >>= 22  # in place: there may be millions
        return Changes(tick, number, value, np.zeros(len(place), np.bool_))
    shared = np.repeat([False, True], [len(place), sum(len(where) for where, _, _ in back)])
    place = np.concatenate([place, *(where for where, _, _ in back)])
    number = np.concatenate([number, *(which for _, which, _ in back)])
    value = np.concatenate([value, *(neutral for _, _, neutral in back)])
    order = np.argsort(place, kind="stable")
    return Changes(own.tick[place[order]], number[order], value[order], shared[order])


def _resets(
    place: IntArray,
    number: npt.NDArray[np.uint8],
    value: npt.NDArray[np.int16],
    resets: IntArray,
) -> Iterator[tuple[IntArray, npt.NDArray[np.uint8], npt.NDArray[np.int16]]]:
    """Yield where each controller that a reset affects goes back to its neutral value."""
    for which, neutral in NEUTRAL.items():
        own = np.flatnonzero(number == which)
        before = np.searchsorted(place[own], resets) - 1
        last_reset = np.append(-1, resets[:-1])
        used = before >= 0
        used[used] &= value[own][before[used]] != neutral
        used[used] &= place[own][before[used]] > last_reset[used]
        where = resets[used]
        yield (
            where,
            np.full(len(where), which, np.uint8),
            np.full(len(where), neutral, np.int16),
        )
