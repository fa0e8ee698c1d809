"""MIDI bytes to timed channel messages: the part of the file format below notes.

Source: Standard MIDI Files 1.0 (RP-001). This is not left to a library because a reader must
survive any bytes, say what is wrong with them, and keep what libraries drop: SMPTE time, format 2,
and notes that are never released.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from midirnn.errors import MidiFileError

NOTE_OFF = 0x80
NOTE_ON = 0x90
CONTROL_CHANGE = 0xB0
PROGRAM_CHANGE = 0xC0
SUSTAIN = 64
ALL_SOUND_OFF, RESET_CONTROLLERS, ALL_NOTES_OFF = 120, 121, 123
MODE_MESSAGES = frozenset({ALL_SOUND_OFF, *range(ALL_NOTES_OFF, 128)})
"""The controllers that end the notes of their channel (CC 122, local control, does not)."""
PEDAL_RESETS = MODE_MESSAGES - {ALL_NOTES_OFF} | {RESET_CONTROLLERS}
"""The controllers that put the pedals of their channel up."""
MAX_DELTA = 0x0FFFFFFF
"""The longest delta time and the longest message: what four bytes of seven bits hold."""

_META = 0xFF
_META_TRACK_NAME = 0x03
_META_END_OF_TRACK = 0x2F
_META_TEMPO = 0x51
_SIGNATURES = {0x58: 4, 0x59: 2}
"""Time and key signatures, and how many bytes they have."""
_CONTROLLERS = MODE_MESSAGES | {SUSTAIN, RESET_CONTROLLERS}
_SYSEX = (0xF0, 0xF7)
_ONE_DATA_BYTE = (0xC0, 0xD0)
_SMPTE_RATES = {24: 24.0, 25: 25.0, 29: 30000 / 1001, 30: 30.0}

Event = tuple[int, int, int, int]
"""(tick, status, data 1, data 2) of a channel message."""


@dataclass(frozen=True)
class Track:
    """One track chunk: channel messages in order, tempo changes, its name, its last tick."""

    events: list[Event]
    tempos: list[tuple[int, int]]
    """(tick, microseconds per quarter note)"""
    name: str
    last_tick: int
    signatures: tuple[tuple[int, bytes], ...] = ()
    """(tick, payload): time signatures have 4 bytes, key signatures 2."""


@dataclass(frozen=True)
class MidiChunks:
    """A parsed file: its format (0, 1 or 2), its time division and its tracks."""

    format: int
    ticks_per_quarter: int
    seconds_per_tick: float | None
    """Fixed by an SMPTE division; None where the tempo decides."""
    tracks: list[Track]


def parse_midi(data: bytes, source: str) -> MidiChunks:
    """Parse the bytes of a MIDI file into tracks of channel messages.

    Only notes, program changes, the sustain pedal and what ends notes are kept. Tracks beyond the
    number that the header gives are read too. Raises :class:`MidiFileError`,
    naming ``source``, for bytes that are not a MIDI file, are cut off or break the format.
    """
    if not data:
        raise MidiFileError(source, "is empty (0 bytes)")
    if data[:4] == b"RIFF" and data[8:12] == b"RMID":
        wrapped = _unwrap(data)
        if wrapped is None:
            raise MidiFileError(source, "has no chunk 'data' in its RIFF wrapper")
        data = wrapped
    if data[:4] != b"MThd":
        raise MidiFileError(source, "is not a MIDI file (it does not begin with 'MThd')")
    if len(data) < 14:
        raise MidiFileError(source, f"is cut off in its header ({len(data)} of 14 bytes)")
    header_size, file_format, track_count, division = struct.unpack(">IHHH", data[4:14])
    if header_size < 6:
        raise MidiFileError(source, f"has a header of {header_size} bytes; at least 6 are needed")
    if file_format > 2:
        raise MidiFileError(source, f"has MIDI file format {file_format}; known are 0, 1 and 2")
    ticks_per_quarter, seconds_per_tick = _time_division(division, source)
    tracks = [
        _parse_track(body, index, source)
        for index, body in enumerate(_track_bodies(data, 8 + header_size, track_count, source))
    ]
    return MidiChunks(file_format, ticks_per_quarter, seconds_per_tick, tracks)


def _unwrap(data: bytes) -> bytes | None:
    """Return the MIDI file in a RIFF wrapper (RMID): its chunk ``data``, if it has one."""
    position = 12
    while position + 8 <= len(data):
        (size,) = struct.unpack("<I", data[position + 4 : position + 8])
        if data[position : position + 4] == b"data":
            return data[position + 8 : position + 8 + size]
        position += 8 + size + size % 2
    return None


def wrap(data: bytes) -> bytes:
    """Return a MIDI file in a RIFF wrapper, as files named ``.rmi`` hold it."""
    padded = data + b"\0" * (len(data) % 2)
    body = b"RMIDdata" + struct.pack("<I", len(data)) + padded
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _time_division(division: int, source: str) -> tuple[int, float | None]:
    """Return the ticks per quarter note, or of an SMPTE division the seconds per tick."""
    if division == 0:
        raise MidiFileError(source, "has a time division of 0 ticks per quarter note")
    if not division & 0x8000:
        return division, None
    frames, ticks_per_frame = 256 - (division >> 8), division & 0xFF
    if frames not in _SMPTE_RATES or ticks_per_frame == 0:
        raise MidiFileError(
            source,
            f"has an SMPTE division of {frames} frames per second and {ticks_per_frame} ticks per "
            f"frame; known frame rates are {', '.join(map(str, _SMPTE_RATES))}",
        )
    return 0, 1.0 / (_SMPTE_RATES[frames] * ticks_per_frame)


def _track_bodies(data: bytes, position: int, count: int, source: str) -> list[bytes]:
    """Return the bytes of each track chunk; chunks of other kinds are skipped.

    Behind the last track that the header counts only further tracks are read.
    """
    bodies: list[bytes] = []
    while len(bodies) < count or data[position : position + 4] == b"MTrk":
        if position + 8 > len(data):
            are = "there" if len(bodies) < count else "whole"
            raise MidiFileError(source, f"is cut off: {len(bodies)} of {count} tracks are {are}")
        (size,) = struct.unpack(">I", data[position + 4 : position + 8])
        body = data[position + 8 : position + 8 + size]
        if len(body) < size:
            raise MidiFileError(
                source,
                f"is cut off: a chunk of {size} bytes has {len(body)} (track {len(bodies)})",
            )
        if data[position : position + 4] == b"MTrk":
            bodies.append(body)
        position += 8 + size
    return bodies


def _parse_track(body: bytes, index: int, source: str) -> Track:
    """Parse one track. One long sequence, for speed: it sees every byte."""
    events: list[Event] = []
    tempos: list[tuple[int, int]] = []
    signatures: list[tuple[int, bytes]] = []
    name = ""
    position = tick = running = 0
    size = len(body)
    try:
        while position < size:
            byte = body[position]
            position += 1
            delta = byte & 0x7F
            while byte & 0x80:
                byte = body[position]
                position += 1
                delta = (delta << 7) | (byte & 0x7F)
                if delta > MAX_DELTA:
                    raise ValueError(f"holds a delta time over {MAX_DELTA} ticks")
            tick += delta
            status = body[position]
            if status >= 0xF0:
                if status == _META:
                    kind = body[position + 1]
                    length, position = _variable_length(body, position + 2)
                    payload = body[position : position + length]
                    if kind == _META_END_OF_TRACK:
                        break
                    if len(payload) < length:
                        raise IndexError
                    if kind == _META_TEMPO and length == 3:
                        microseconds = int.from_bytes(payload, "big")
                        if not microseconds:
                            raise ValueError("holds a tempo of 0 microseconds per quarter note")
                        tempos.append((tick, microseconds))
                    elif _SIGNATURES.get(kind) == length:
                        signatures.append((tick, bytes(payload)))
                    elif kind == _META_TRACK_NAME and not name:
                        name = payload.decode("latin-1").strip("\0 ")
                elif status in _SYSEX:
                    length, position = _variable_length(body, position + 1)
                    running = 0  # not after a meta message: some files rely on that
                else:
                    raise ValueError(f"holds status byte 0x{status:02X}, which no file may hold")
                position += length
                continue
            if status >= 0x80:
                running = status
                position += 1
            elif running:
                status = running
            else:
                raise ValueError(f"holds data byte 0x{status:02X} where a status byte must be")
            first = body[position]
            kind = status & 0xF0
            if kind in _ONE_DATA_BYTE:
                second = 0
                position += 1
            else:
                second = body[position + 1]
                position += 2
            if first > 127 or second > 127:
                raise ValueError(f"holds a data byte over 127 at byte {position} of the track")
            is_kept_control = kind == CONTROL_CHANGE and first in _CONTROLLERS
            if kind <= NOTE_ON or kind == PROGRAM_CHANGE or is_kept_control:
                events.append((tick, status, first, second))
        if position > size:
            raise IndexError
    except IndexError:
        raise MidiFileError(source, f"is cut off inside a message of track {index}") from None
    except ValueError as error:
        raise MidiFileError(source, f"is damaged: track {index} {error}") from None
    return Track(events, tempos, name, tick, tuple(signatures))


def _variable_length(body: bytes, position: int) -> tuple[int, int]:
    """Return a variable-length quantity and the position after it."""
    value = 0
    while True:
        byte = body[position]
        position += 1
        value = (value << 7) | (byte & 0x7F)
        if value > MAX_DELTA:
            raise ValueError(f"holds a message of over {MAX_DELTA} bytes")
        if not byte & 0x80:
            return value, position
