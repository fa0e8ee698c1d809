"""MIDI files to performances and back."""

from __future__ import annotations

import io
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from midirnn.errors import MidiFileError
from midirnn.files import reason_of, write_file
from midirnn.midievents import (
    CONTROL_CHANGE,
    MAX_DELTA,
    MODE_MESSAGES,
    NOTE_ON,
    PEDAL_RESETS,
    PROGRAM_CHANGE,
    SUSTAIN,
    Event,
    MidiChunks,
    Track,
    parse_midi,
    wrap,
)
from midirnn.performance import (
    SUSTAIN_DOWN,
    FloatArray,
    KeySignature,
    Part,
    Performance,
    Signature,
    Tempo,
    TimeSignature,
)

if TYPE_CHECKING:
    import mido
    import pretty_midi

SUFFIXES = (".mid", ".midi", ".kar", ".rmi")
"""The names of MIDI files end in one of these, in upper or lower case.

Files named ``.kar`` hold lyrics too, and ``.rmi`` is a MIDI file in a RIFF wrapper.
"""

TICKS_PER_QUARTER = 960
MAX_HOURS = 24.0
"""A file that lasts longer counts as damaged."""

MAX_DENOMINATOR_POWER = 7
"""Time signatures with a denominator over 128 count as damaged and are left out."""

_DEFAULT_TEMPO = 500_000  # microseconds per quarter note: 120 per minute

_SHARED_SUSTAIN = SUSTAIN | 0x80
"""Stands for the sustain pedal of another track in the events of a track."""

Note = tuple[int, int, int, int, bool]
"""(start tick, end tick, pitch, velocity, unreleased)"""


def read_midi(source: str | os.PathLike[str] | bytes, *, drums: bool = False) -> Performance:
    """Read a MIDI file, given by its path or its bytes.

    Formats 0 and 1 share one tempo map; the tracks of format 2 follow one another, each with its
    own. In formats 0 and 1 the program and the sustain pedal belong to a channel, whichever track
    sets them, and so do the messages that end all notes of a channel (CC 120 and 123 to 127). A
    part is a (track, channel, program). A note-off ends every note of its pitch that began
    before it, as in pretty_midi; a note that is never released lasts to the end of its track;
    notes without length are dropped. Drums (channel 10) are left out unless ``drums`` is true.

    Raises :class:`MidiFileError` for a file that cannot be read, is not MIDI, or is cut off.
    """
    data, name = _load(source)
    chunks = parse_midi(data, name)
    performance = assemble(chunks)
    hours = _hours(performance)
    if hours > MAX_HOURS:
        raise MidiFileError(name, f"lasts {hours:.0f} hours, over {MAX_HOURS:.0f}: it is damaged")
    return performance if drums else performance.without_drums()


def _hours(performance: Performance) -> float:
    """Return how long a performance lasts with its pedal, in hours."""
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
        # Of several changes at one tick the last counts.
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

    def seconds(self, ticks: list[int]) -> FloatArray:
        """Return the time of each tick in seconds; shape ``(len(ticks),)``."""
        tick = np.asarray(ticks, dtype=np.int64)
        index = np.searchsorted(np.asarray(self._ticks), tick, side="right") - 1
        begin = np.asarray(self._ticks, dtype=np.int64)[index]
        scale: FloatArray = np.asarray(self._scales)[index]
        return np.asarray(self._seconds)[index] + scale * (tick - begin)


def _tpq(chunks: MidiChunks) -> int:
    return chunks.ticks_per_quarter


def assemble(chunks: MidiChunks, *, shared_channels: bool = True) -> Performance:
    """Return one performance of all tracks.

    Without ``shared_channels`` each track has channels of its own, as if it were on a port of its
    own.
    """
    if chunks.format != 2:
        clock = _TickClock(chunks, (tempo for track in chunks.tracks for tempo in track.tempos))
        tracks = _share_channels(chunks.tracks) if shared_channels else chunks.tracks
        combined = _combine([_track_performance(track, clock) for track in tracks], clock.tempos)
        return combined.replace(signatures=_signatures(tracks, clock))
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
    """Return the signatures of all tracks that make sense; of several at one tick the last."""
    events = [event for track in tracks for event in track.signatures]
    last = {(tick, len(payload)): payload for tick, payload in events}
    signatures: list[Signature] = []
    for (tick, _), payload in sorted(last.items()):
        seconds = float(clock.seconds([tick])[0])
        if len(payload) == 4 and payload[0] and payload[1] <= MAX_DENOMINATOR_POWER:
            signatures.append(TimeSignature(seconds, payload[0], 2 ** payload[1]))
        elif len(payload) == 2 and (payload[0] + 7) % 256 <= 14 and payload[1] <= 1:
            sharps = (payload[0] + 7) % 256 - 7
            signatures.append(KeySignature(seconds, sharps, bool(payload[1])))
    return tuple(signatures)


def _share_channels(tracks: list[Track]) -> list[Track]:
    """Return the tracks, each with what other tracks say to the channels it plays on.

    At one tick a program of the track itself counts, the pedals of a channel go in the order of
    the tracks, and a note survives what ends the notes in another track.
    """
    states = [[event for event in track.events if event[1] >= CONTROL_CHANGE] for track in tracks]
    if sum(map(bool, states)) == 0 or len(tracks) == 1:
        return tracks
    states = [
        [
            (
                tick,
                status,
                _SHARED_SUSTAIN if first == SUSTAIN and not is_program else first,
                second,
            )
            for tick, status, first, second in state
            for is_program in (status & 0xF0 == PROGRAM_CHANGE,)
        ]
        for state in states
    ]
    shared: list[Track] = []
    for index, track in enumerate(tracks):
        channels = {event[1] & 0x0F for event in track.events if event[1] < CONTROL_CHANGE}
        before, after = (
            [event for state in some for event in state if event[1] & 0x0F in channels]
            for some in (states[:index], states[index + 1 :])
        )
        if before or after:
            pedals = [event for event in after if event[2] == _SHARED_SUSTAIN]
            others = [event for event in after if event[2] != _SHARED_SUSTAIN]
            events = [*before, *others, *track.events, *pedals]
            events = [e for e in events if e[1:3] != (CONTROL_CHANGE | 9, _SHARED_SUSTAIN)]
            events.sort(key=lambda event: event[0])
            track = replace(track, events=events)
        shared.append(track)
    return shared


def _combine(pieces: list[Performance], tempos: tuple[Tempo, ...]) -> Performance:
    """Return the pieces as one in which they sound together, with the parts of all."""
    parts = [part for piece in pieces for part in piece.parts if len(piece)]
    pieces = [piece for piece in pieces if len(piece)]
    if not pieces:
        return Performance(tempos=tempos)
    offsets = np.cumsum([0] + [len(piece.parts) for piece in pieces[:-1]])
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(piece, name) for piece in pieces])
        for name in (
            "start",
            "end",
            "pitch",
            "velocity",
            "unreleased",
            "pedal_time",
            "pedal_value",
            "pedal_shared",
        )
    }
    for name in ("part", "pedal_part"):
        joined[name] = np.concatenate(
            [getattr(piece, name) + offset for piece, offset in zip(pieces, offsets, strict=True)]
        )
    return Performance(**joined, parts=tuple(parts), tempos=tempos)


def _track_performance(track: Track, clock: _TickClock) -> Performance:
    """Return the notes and pedals of a track, with a part for each (channel, program)."""
    notes, pedals = pair_notes(track.events, track.last_tick)
    parts = [Part(program, channel, track.name) for channel, program in notes]
    rows = [row for part_notes in notes.values() for row in part_notes]
    part_of_row = [index for index, part in enumerate(notes.values()) for _ in part]
    pedal_rows = [
        (tick, value, shared, index)
        for index, (channel, _) in enumerate(notes)
        for tick, value, shared in pedals.get(channel, ())
    ]
    start, end, pitch, velocity, unreleased = zip(*rows, strict=True) if rows else ((),) * 5
    tick, value, shared, pedal_part = zip(*pedal_rows, strict=True) if pedal_rows else ((),) * 4
    return Performance(
        start=clock.seconds(list(start)),
        end=clock.seconds(list(end)),
        pitch=np.array(pitch, np.uint8),
        velocity=np.array(velocity, np.uint8),
        part=np.array(part_of_row, np.int32),
        unreleased=np.array(unreleased, dtype=bool),
        pedal_time=clock.seconds(list(tick)),
        pedal_value=np.array(value, np.uint8),
        pedal_part=np.array(pedal_part, np.int32),
        pedal_shared=np.array(shared, dtype=bool),
        parts=tuple(parts),
        tempos=clock.tempos,
    )


def pair_notes(
    events: Iterable[Event], last_tick: int
) -> tuple[dict[tuple[int, int], list[Note]], dict[int, list[tuple[int, int, bool]]]]:
    """Return notes by (channel, program), and (tick, value, shared) of the pedal by channel.

    A note-off ends all notes of its channel and pitch that began at an earlier tick. Notes that
    began at its own tick are dropped if there are no earlier ones, else they go on. A channel mode
    message (CC 120, 123 to 127) is a note-off for every note of its channel, and all but CC 123
    put the pedal up, as CC 121 does.
    """
    notes: dict[tuple[int, int], list[Note]] = {}
    pedals: dict[int, list[tuple[int, int, bool]]] = defaultdict(list)
    sounding: dict[tuple[int, int], list[tuple[int, int]]] = {}
    programs = [0] * 16

    def finish(
        channel: int, pitch: int, tick: int, begun: list[tuple[int, int]], unreleased: bool = False
    ) -> None:
        ended = [
            (start, tick, pitch, velocity, unreleased) for start, velocity in begun if start < tick
        ]
        if ended:
            notes.setdefault((channel, programs[channel]), []).extend(ended)

    def release(tick: int, channel: int, pitch: int) -> None:
        begun = sounding.pop((channel, pitch), None)
        if begun is None:
            return
        finish(channel, pitch, tick, begun)
        kept = [note for note in begun if note[0] == tick]
        if kept and len(kept) < len(begun):
            sounding[channel, pitch] = kept

    for tick, status, first, second in events:
        kind, channel = status & 0xF0, status & 0x0F
        if kind == NOTE_ON and second:
            sounding.setdefault((channel, first), []).append((tick, second))
        elif kind <= NOTE_ON:
            release(tick, channel, first)
        elif kind == PROGRAM_CHANGE:
            programs[channel] = first
        elif kind == CONTROL_CHANGE:
            if first in (SUSTAIN, _SHARED_SUSTAIN):
                pedals[channel].append((tick, second, first != SUSTAIN))
                continue
            if first in MODE_MESSAGES:
                for pitch in [pitch for key, pitch in sounding if key == channel]:
                    release(tick, channel, pitch)
            is_down = pedals[channel] and pedals[channel][-1][1] >= SUSTAIN_DOWN
            if first in PEDAL_RESETS and is_down:
                pedals[channel].append((tick, 0, True))
    for (channel, pitch), begun in sounding.items():
        finish(channel, pitch, last_tick, begun, unreleased=True)
    return notes, pedals


def write_midi(performance: Performance, path: str | os.PathLike[str]) -> None:
    """Write a performance as a MIDI file of format 1: a tempo track, then a track for each part.

    Each part gets a channel of its own while there are 15 (its own one if that is free), and all
    drums channel 10. The tempos behind the last note or pedal are left out. Times are rounded to
    ticks of 1/960 of a quarter note (0.52 ms at 120 per minute). Missing
    folders are made, and the file is written whole or not at all. Raises :class:`MidiFileError`
    if it cannot be written, or if no reader would take it (it lasts over 24 hours).
    A name that ends in ``.rmi`` gets the RIFF wrapper.
    """
    hours = _hours(performance)
    if hours > MAX_HOURS:
        reason = f"cannot be written (it lasts {hours:.0f} hours, over {MAX_HOURS:.0f})"
        raise MidiFileError(str(path), reason)
    data = midi_bytes(performance)
    if Path(path).suffix.lower() == ".rmi":
        data = wrap(data)
    try:
        write_file(Path(path), data)
    except OSError as error:
        raise MidiFileError(str(path), f"cannot be written ({reason_of(error)})") from None


def midi_bytes(performance: Performance) -> bytes:
    """Return the bytes that :func:`write_midi` writes."""
    import mido

    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_QUARTER, charset="latin-1")
    last = max(performance.duration, float(performance.pedal_time.max(initial=0.0)))
    first, *changes = performance.tempos or (Tempo(0.0, 120.0),)
    tempos = [first, *(change for change in changes if change.seconds < last)]
    microseconds = [min(max(round(6e7 / tempo.bpm), 1), 0xFFFFFF) for tempo in tempos]
    rates = TICKS_PER_QUARTER * 1e6 / np.array(microseconds)  # ticks per second
    # A change is measured from the rounded one before it, so that rounding errors never add up.
    change_ticks, change_seconds = [0], [0.0]
    for tempo, rate in zip(tempos[1:], rates[:-1], strict=True):
        span = max(0, round((tempo.seconds - change_seconds[-1]) * rate))
        change_ticks.append(change_ticks[-1] + span)
        change_seconds.append(change_seconds[-1] + span / rate)
    origin_ticks, origin_seconds = np.array(change_ticks), np.array(change_seconds)

    def ticks(seconds: FloatArray) -> list[int]:
        index = np.searchsorted(origin_seconds, seconds, side="right") - 1
        exact = origin_ticks[index] + (seconds - origin_seconds[index]) * rates[index]
        return [int(tick) for tick in np.rint(exact)]

    conductor = [
        (tick, 0, mido.MetaMessage("set_tempo", tempo=tempo))
        for tick, tempo in zip(change_ticks, microseconds, strict=True)
    ]
    kept = [s for s in performance.signatures if s.seconds < last or not s.seconds]
    moments = ticks(np.array([s.seconds for s in kept], np.float64))
    conductor += [(tick, 1, _signature_message(s)) for tick, s in zip(moments, kept, strict=True)]
    file.tracks.append(_to_track(conductor))
    start, end = ticks(performance.start), ticks(performance.end)
    pedal = ticks(performance.pedal_time)
    written: dict[int, list[list[tuple[int, int]]]] = defaultdict(list)
    for index, part in enumerate(share_out_channels(performance.parts)):
        notes = np.flatnonzero(performance.part == index)
        values = performance.pedal_value.tolist()
        pedals = [(pedal[i], values[i]) for i in np.flatnonzero(performance.pedal_part == index)]
        if pedals in written[part.channel] and not part.is_drum:
            pedals = []  # the parts of a channel share its pedal
        written[part.channel].append(pedals)
        events: list[tuple[int, int, mido.Message]] = [
            (0, -1, mido.Message("program_change", channel=part.channel, program=part.program))
        ]
        for i in notes:
            on, off = start[i], max(end[i], start[i] + 1)
            pitch, velocity = int(performance.pitch[i]), int(performance.velocity[i])
            events.append((on, 2, _message("note_on", part, note=pitch, velocity=velocity)))
            events.append((off, 0, _message("note_off", part, note=pitch, velocity=0)))
        for tick, value in pedals:
            events.append((tick, 1, _message("control_change", part, control=64, value=value)))
        file.tracks.append(_to_track(events, part.name))
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def share_out_channels(parts: Sequence[Part]) -> list[Part]:
    """Return the parts, each on a channel of its own while there are 15; drums stay on theirs.

    A part keeps its channel if no part before it has the same. Parts for which no channel is left
    share one with a part of their program, if there is one.
    """
    first_on = {part.channel: index for index, part in reversed(list(enumerate(parts)))}
    free = [channel for channel in range(16) if channel not in first_on and channel != 9]
    channels: dict[int, int] = {}
    channel_of: dict[int, int] = {}
    for index, part in enumerate(parts):
        channel = part.channel
        if first_on[channel] != index and not part.is_drum:
            channel = free.pop(0) if free else channel_of.get(part.program, channel)
        channels[index] = channel
        if not part.is_drum:
            channel_of.setdefault(part.program, channel)
    return [replace(part, channel=channels[index]) for index, part in enumerate(parts)]


def _signature_message(signature: Signature) -> mido.MetaMessage:
    import mido

    if isinstance(signature, KeySignature):
        # mido takes keys by name; the names of major keys go up in fifths from seven flats.
        majors = ["Cb", "Gb", "Db", "Ab", "Eb", "Bb", *"FCGDAEB", "F#", "C#"]
        minors = ["Abm", "Ebm", "Bbm", "Fm", "Cm", "Gm", "Dm", "Am", "Em", "Bm"]
        minors += ["F#m", "C#m", "G#m", "D#m", "A#m"]
        key = (minors if signature.minor else majors)[signature.sharps + 7]
        return mido.MetaMessage("key_signature", key=key)
    return mido.MetaMessage(
        "time_signature", numerator=signature.numerator, denominator=signature.denominator
    )


def _message(kind: str, part: Part, **values: int) -> mido.Message:
    import mido

    return mido.Message(kind, channel=part.channel, **values)


def _to_track(events: list[tuple[int, int, mido.Message]], name: str = "") -> mido.MidiTrack:
    """Return a track from (tick, rank among equals, message).

    Empty texts split a wait that is too long for one delta time.
    """
    import mido

    track = mido.MidiTrack()
    if name:
        printable = name.encode("latin-1", "replace").decode("latin-1")
        track.append(mido.MetaMessage("track_name", name=printable))
    last = 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        while tick - last > MAX_DELTA:
            track.append(mido.MetaMessage("text", text="", time=MAX_DELTA))
            last += MAX_DELTA
        track.append(message.copy(time=tick - last))
        last = tick
    return track


def to_pretty_midi(performance: Performance) -> pretty_midi.PrettyMIDI:
    """Return a ``pretty_midi.PrettyMIDI`` with an instrument for each part and CC 64 as pedal.

    Tempos and signatures go with it.
    """
    import pretty_midi

    first, *changes = performance.tempos or (Tempo(0.0, 120.0),)
    result = pretty_midi.PrettyMIDI(resolution=TICKS_PER_QUARTER, initial_tempo=first.bpm)
    tick, seconds, bpm = 0, 0.0, first.bpm
    for tempo in changes:  # pretty_midi has no public way to change the tempo
        span = max(0, round((tempo.seconds - seconds) * bpm / 60 * TICKS_PER_QUARTER))
        tick, seconds = tick + span, seconds + span * 60 / (bpm * TICKS_PER_QUARTER)
        bpm = tempo.bpm
        result._tick_scales.append((tick, 60.0 / (bpm * TICKS_PER_QUARTER)))
    result._update_tick_to_time(tick)
    for signature in performance.signatures:
        if isinstance(signature, TimeSignature):
            result.time_signature_changes.append(
                pretty_midi.TimeSignature(
                    signature.numerator, signature.denominator, signature.seconds
                )
            )
        else:
            tonic = (7 * signature.sharps - 3 * signature.minor) % 12
            result.key_signature_changes.append(
                pretty_midi.KeySignature(tonic + 12 * signature.minor, signature.seconds)
            )
    for index, part in enumerate(performance.parts):
        instrument = pretty_midi.Instrument(part.program, is_drum=part.is_drum, name=part.name)
        instrument.notes = [
            pretty_midi.Note(
                velocity=int(performance.velocity[i]),
                pitch=int(performance.pitch[i]),
                start=float(performance.start[i]),
                end=float(performance.end[i]),
            )
            for i in np.flatnonzero(performance.part == index)
        ]
        instrument.control_changes = [
            pretty_midi.ControlChange(
                SUSTAIN, int(performance.pedal_value[i]), float(performance.pedal_time[i])
            )
            for i in np.flatnonzero(performance.pedal_part == index)
        ]
        result.instruments.append(instrument)
    return result


def from_pretty_midi(source: pretty_midi.PrettyMIDI, *, drums: bool = False) -> Performance:
    """Return the performance in a ``pretty_midi.PrettyMIDI``, without drums by default."""
    instruments = [i for i in source.instruments if drums or not i.is_drum]
    notes = [
        (note.start, note.end, note.pitch, note.velocity, index)
        for index, instrument in enumerate(instruments)
        for note in instrument.notes
    ]
    pedals = [
        (change.time, change.value, index)
        for index, instrument in enumerate(instruments)
        for change in instrument.control_changes
        if change.number == SUSTAIN
    ]
    start, end, pitch, velocity, part = zip(*notes, strict=True) if notes else ((),) * 5
    time, value, pedal_part = zip(*pedals, strict=True) if pedals else ((),) * 3
    times, bpms = source.get_tempo_changes()
    signatures: list[Signature] = [
        TimeSignature(s.time, s.numerator, s.denominator) for s in source.time_signature_changes
    ]
    for key in source.key_signature_changes:
        minor = key.key_number >= 12
        sharps = (7 * (key.key_number + 3 * minor) + 5) % 12 - 5
        signatures.append(KeySignature(key.time, sharps, minor))
    parts = share_out_channels(
        [Part(i.program, 9 if i.is_drum else 0, i.name) for i in instruments]
    )
    return Performance(
        start=np.array(start, np.float64),
        end=np.array(end, np.float64),
        pitch=np.array(pitch, np.uint8),
        velocity=np.array(velocity, np.uint8),
        part=np.array(part, np.int32),
        pedal_time=np.array(time, np.float64),
        pedal_value=np.array(value, np.uint8),
        pedal_part=np.array(pedal_part, np.int32),
        parts=tuple(parts) or (Part(),),
        tempos=tuple(Tempo(float(t), float(b)) for t, b in zip(times, bpms, strict=True))
        or (Tempo(0.0, 120.0),),
        signatures=tuple(sorted(signatures, key=lambda signature: signature.seconds)),
    )
