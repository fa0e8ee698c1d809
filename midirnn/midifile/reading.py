"""MIDI files to performances."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from midirnn.arrays import Float64Array, IntArray
from midirnn.errors import MidiFileError
from midirnn.files import reason_of
from midirnn.midievents import MidiChunks, Track, parse_midi
from midirnn.midifile.channels import share_channels
from midirnn.midifile.pair import note_order
from midirnn.midifile.pairing import CHUNK, NO_CHANGES, Changes, controls_of, pair_notes, pedals_of
from midirnn.note_arrays import NOTE_FIELDS
from midirnn.parts import DENOMINATORS
from midirnn.performance import (
    ARRAYS,
    INDICES,
    KeySignature,
    Part,
    Performance,
    Signature,
    Tempo,
    TimeSignature,
)

SUFFIXES = (".mid", ".midi", ".kar", ".rmi")
"""Suffixes of MIDI files, in upper or lower case.

``.kar`` files also hold lyrics, and ``.rmi`` is a MIDI file in a RIFF wrapper.
"""

MAX_HOURS = 24.0
"""Longer files count as damaged."""

MAX_LOSSES = 5
"""Number of losses of a damaged file that are named."""


_DEFAULT_TEMPO = 500_000  # microseconds per quarter note: 120 per minute


def read_midi(
    source: str | os.PathLike[str] | bytes, *, drums: bool = False, recover: bool = False
) -> Performance:
    """Read a MIDI file, given by its path or its bytes.

    Formats 0 and 1 share one tempo map; the tracks of format 2 follow one another, each with its
    own. In formats 0 and 1 the program and the sustain pedal belong to a channel, whichever track
    sets them, and so do the messages that end all notes of a channel (CC 120 and 123 to 127). A
    part is a (track, channel, program). A note-off ends every note of its pitch that began
    before it, as in pretty_midi; a note that is never released lasts to the end of its track;
    notes without length are dropped. Controllers, pitch bend and channel pressure are kept. Drums
    (channel 10) are left out unless ``drums`` is true, and so are other messages: lyrics and
    markers, system exclusive messages, key pressure.

    Raises :class:`MidiFileError` for a file that cannot be read, is not MIDI, or is cut off. With
    ``recover`` the intact parts before and after the damage are read, and a warning says what is
    lost: a track ends where it is cut off, data bytes over 127 count as 127, and bytes before the
    header are skipped.
    """
    losses: list[str] | None = [] if recover else None
    name, performance = _read(source, losses)
    if losses:
        more = f" and {len(losses) - MAX_LOSSES} more" if len(losses) > MAX_LOSSES else ""
        warnings.warn(f"{name}: {'; '.join(losses[:MAX_LOSSES])}{more}", stacklevel=2)
    hours = hours_of(performance)
    if hours > MAX_HOURS:
        raise MidiFileError(name, f"lasts {hours:.0f} hours, over {MAX_HOURS:.0f}: it is damaged")
    return performance if drums else performance.without_drums()


def _read(
    source: str | os.PathLike[str] | bytes, losses: list[str] | None
) -> tuple[str, Performance]:
    """Return a name for the source, and its performance."""
    data, name = _load(source)
    chunks = parse_midi(data, name, losses)
    del data
    return name, assemble(chunks)


def hours_of(performance: Performance) -> float:
    """Return the duration of a performance, including its pedal, in hours."""
    return max(performance.duration, float(performance.pedal_time.max(initial=0.0))) / 3600


def _load(source: str | os.PathLike[str] | bytes) -> tuple[bytes, str]:
    """Return the bytes of a source and a name for it."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), "<bytes>"
    name = os.fspath(source)
    try:
        return Path(source).read_bytes(), name
    except FileNotFoundError:
        raise MidiFileError(name, "there is no such file") from None
    except IsADirectoryError:
        raise MidiFileError(name, "is a folder, not a MIDI file") from None
    except (OSError, ValueError) as error:
        raise MidiFileError(name, f"cannot be read ({reason_of(error)})") from None


class _TickClock:
    """Converts ticks to seconds, by tempo changes or by a fixed length of a tick."""

    def __init__(self, chunks: MidiChunks, tempos: Iterable[tuple[int, int]]) -> None:
        # If there are several changes at one tick, the last counts.
        changes = {0: _DEFAULT_TEMPO} | dict(sorted(tempos, key=lambda change: change[0]))
        if chunks.seconds_per_tick is not None:
            changes = {0: _DEFAULT_TEMPO}
        self._ticks: list[int] = []
        self._scales: list[float] = []
        for tick, microseconds in changes.items():
            # The order of operations is pretty_midi's, so that times agree to the last bit.
            scale = chunks.seconds_per_tick or 60.0 / ((6e7 / microseconds) * _tpq(chunks))
            if not self._scales or scale != self._scales[-1]:
                self._ticks.append(tick)
                self._scales.append(scale)
        self._seconds = [0.0]
        for index, tick in enumerate(self._ticks[1:]):
            span = tick - self._ticks[index]
            self._seconds.append(self._seconds[-1] + self._scales[index] * span)
        beat = _tpq(chunks) if chunks.seconds_per_tick is None else 0.5 / chunks.seconds_per_tick
        self.tempos = tuple(
            Tempo(seconds, 60.0 / (scale * beat))
            for seconds, scale in zip(self._seconds, self._scales, strict=True)
        )

    def seconds(self, ticks: Sequence[int] | IntArray) -> Float64Array:
        """Return the time of each tick in seconds; shape ``(len(ticks),)``."""
        tick = np.asarray(ticks, dtype=np.int64)
        if len(self._ticks) == 1:
            return np.multiply(tick, self._scales[0], dtype=np.float64)
        result = np.empty(len(tick))
        ticks, times = np.asarray(self._ticks, np.int64), np.asarray(self._seconds)
        scales = np.asarray(self._scales)
        for begin in range(0, len(tick), CHUNK):
            some = tick[begin : begin + CHUNK]
            index = np.searchsorted(ticks, some, side="right") - 1
            result[begin : begin + CHUNK] = times[index] + scales[index] * (some - ticks[index])
        return result


def _tpq(chunks: MidiChunks) -> int:
    return chunks.ticks_per_quarter


def assemble(chunks: MidiChunks, *, shared_channels: bool = True) -> Performance:
    """Return one performance of all tracks, which are removed from ``chunks``.

    Without ``shared_channels`` each track has separate channels, as if it were on a port of its
    own.
    """
    if chunks.format == 2:
        return _one_after_another(chunks)
    clock = _TickClock(chunks, (tempo for track in chunks.tracks for tempo in track.tempos))
    signatures = _signatures(chunks.tracks, clock)
    tracks = share_channels(chunks.tracks) if shared_channels else [*chunks.tracks]
    chunks.tracks.clear()  # the events of a track are not needed once its notes are known
    pieces: list[Performance] = []
    while tracks:
        track = tracks.pop(0)
        if len(track.events):
            pieces.append(_track_performance(track, clock))
    return _combine(pieces, clock.tempos).replace(signatures=signatures)


def _one_after_another(chunks: MidiChunks) -> Performance:
    """Return the tracks of format 2 as one performance."""
    pieces: list[Performance] = []
    tempos: list[Tempo] = []
    signatures: list[Signature] = []
    offset = 0.0
    for track in chunks.tracks:
        clock = _TickClock(chunks, track.tempos)
        pieces.append(_track_performance(track, clock).shift(offset))
        tempos += [Tempo(tempo.seconds + offset, tempo.bpm) for tempo in clock.tempos]
        signatures += [replace(s, seconds=s.seconds + offset) for s in _signatures([track], clock)]
        offset += float(clock.seconds([track.last_tick])[0])
    return _combine(pieces, tuple(tempos)).replace(signatures=tuple(signatures))


def _signatures(tracks: Sequence[Track], clock: _TickClock) -> tuple[Signature, ...]:
    """Return the valid signatures of all tracks; of several at one tick, the last."""
    events = [event for track in tracks for event in track.signatures]
    last = {(tick, len(payload)): payload for tick, payload in events}
    signatures: list[Signature] = []
    for (tick, _), payload in sorted(last.items()):
        seconds = float(clock.seconds([tick])[0])
        if len(payload) == 4 and payload[0] and 2 ** payload[1] in DENOMINATORS:
            signatures.append(TimeSignature(seconds, payload[0], 2 ** payload[1]))
        elif len(payload) == 2 and (payload[0] + 7) % 256 <= 14 and payload[1] <= 1:
            sharps = (payload[0] + 7) % 256 - 7
            signatures.append(KeySignature(seconds, sharps, bool(payload[1])))
    return tuple(signatures)


def _combine(pieces: list[Performance], tempos: tuple[Tempo, ...]) -> Performance:
    """Return one performance in which all pieces sound together, with the parts of all."""
    pieces = [piece for piece in pieces if len(piece)]
    if len(pieces) < 2:
        return (pieces or [Performance()])[0].replace(tempos=tempos)
    offsets = np.cumsum([0] + [len(piece.parts) for piece in pieces[:-1]])
    joined: dict[str, Any] = {}
    for name in ARRAYS:
        arrays = [getattr(piece, name) for piece in pieces]
        if name in INDICES:
            arrays = [array + offset for array, offset in zip(arrays, offsets, strict=True)]
        joined[name] = np.concatenate(arrays)
    parts = tuple(part for piece in pieces for part in piece.parts)
    return Performance(**joined, parts=parts, tempos=tempos)


def _track_performance(track: Track, clock: _TickClock) -> Performance:
    """Return the notes and pedals of a track, with a part for each (channel, bank, program)."""
    notes = pair_notes(track.events, track.last_tick, clock.seconds)
    keys = notes.part_keys()
    of_channel = {
        channel: (pedals_of(track.events, channel), controls_of(track.events, channel))
        for channel in {channel for channel, _, _ in keys}
    }
    channels = [of_channel[channel] for channel, _, _ in keys]
    name_of_track = track.name
    del track
    arrays: dict[str, Any] = {name: notes.take(name) for name in NOTE_FIELDS}
    order = note_order(arrays["start"], arrays["pitch"])
    for name in NOTE_FIELDS if order is not None else ():
        arrays[name] = arrays[name][order]
    del order
    arrays |= _columns("pedal", [pedals for pedals, _ in channels], clock)
    arrays |= _columns("control", [controls for _, controls in channels], clock)
    for array in arrays.values():
        array.flags.writeable = False
    del arrays["control_shared"], arrays["pedal_number"]
    parts = tuple(Part(program, channel, name_of_track, bank) for channel, bank, program in keys)
    if len(parts) == 1:  # with several parts they still have to be sorted
        return Performance.unchecked(parts, **arrays).replace(tempos=clock.tempos)
    return Performance(**arrays, parts=parts, tempos=clock.tempos)


def _columns(name: str, of_parts: Sequence[Changes], clock: _TickClock) -> dict[str, Any]:
    """Return the pedals or controllers of each part as arrays."""
    part = np.repeat(np.arange(len(of_parts), dtype=np.int32), [len(c.tick) for c in of_parts])
    if not of_parts:
        of_parts = [NO_CHANGES]
    columns = {
        f"{name}_{column}": np.concatenate([getattr(changes, column) for changes in of_parts])
        for column in ("number", "value", "shared")
    }
    columns[f"{name}_value"] = columns[f"{name}_value"].astype(ARRAYS[f"{name}_value"])
    time = clock.seconds(np.concatenate([changes.tick for changes in of_parts]))
    return {f"{name}_time": time, f"{name}_part": part, **columns}
