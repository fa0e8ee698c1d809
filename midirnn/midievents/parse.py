"""MIDI bytes to timed channel messages: the part of the file format below notes.

Source: Standard MIDI Files 1.0 (RP-001). No library is used because the reader must survive any
bytes, report what is wrong with them, and keep what libraries drop: SMPTE time, format 2, and notes
that are never released.
"""

from __future__ import annotations

import struct
from array import array

import numpy as np

from midirnn.errors import MidiFileError
from midirnn.midievents.events import MAX_DELTA, MAX_TICKS, Events, MidiChunks, Track
from midirnn.midievents.scan import LIBRARY, Scanned, scan_track
from midirnn.midievents.status import PRESSURE, PROGRAM_CHANGE

MOST_CHANGES = 200_000
"""A file with more tempo changes and signatures counts as damaged: each takes about 350 bytes of
memory, and at one every hundredth of a second they would last half an hour."""

_NO_TEMPO = b"\0\0\0"
_META = 0xFF
_META_TRACK_NAME = 0x03
_META_END_OF_TRACK = 0x2F
_META_TEMPO = 0x51
_SIGNATURES = {0x58: 4, 0x59: 2}
"""Time and key signatures, and how many bytes they have."""
_LEFT_OUT = (0xA0, 0xF0)
"""Polyphonic key pressure and system messages, which do not belong in a file."""
_SYSEX = (0xF0, 0xF7)
_ONE_DATA_BYTE = (PROGRAM_CHANGE, PRESSURE)
_SMPTE_RATES = {24: 24.0, 25: 25.0, 29: 30000 / 1001, 30: 30.0}


def parse_midi(data: bytes, source: str, losses: list[str] | None = None) -> MidiChunks:
    """Parse the bytes of a MIDI file into tracks of channel messages.

    System messages and polyphonic key pressure are left out. Tracks beyond the number that the
    header gives are read too. Raises :class:`MidiFileError`, naming ``source``, for bytes that are
    not a MIDI file, are cut off or violate the format. With a list of ``losses`` the intact parts
    are read, and descriptions of what is lost are added to the list.
    """
    if not data:
        raise MidiFileError(source, "is empty (0 bytes)")
    if data[:4] == b"RIFF" and data[8:12] == b"RMID":
        wrapped = _unwrap(data)
        if wrapped is None:
            raise MidiFileError(source, "has no chunk 'data' in its RIFF wrapper")
        data = wrapped
    if losses is not None and (begin := data.find(b"MThd")) > 0:
        losses.append(f"skips {begin} bytes before its header")
        data = data[begin:]
    if data[:4] != b"MThd":
        raise MidiFileError(source, "is not a MIDI file (it does not begin with 'MThd')")
    if len(data) < 14:
        raise MidiFileError(source, f"is cut off in its header ({len(data)} of 14 bytes)")
    header_size, file_format, track_count, division = struct.unpack(">IHHH", data[4:14])
    if header_size < 6:
        raise MidiFileError(source, f"has a header of {header_size} bytes; at least 6 are needed")
    if file_format > 2 and losses is not None:
        losses.append(f"has MIDI file format {file_format}, read as 1")
        file_format = 1
    if file_format > 2:
        raise MidiFileError(source, f"has MIDI file format {file_format}; known are 0, 1 and 2")
    ticks_per_quarter, seconds_per_tick = _time_division(division, source)
    tracks: list[Track] = []
    changes_left = MOST_CHANGES
    bodies = _track_bodies(data, 8 + header_size, track_count, source, losses)
    for index, (begin, end) in enumerate(bodies):
        tracks.append(_parse_track(data[begin:end], index, source, losses, changes_left))
        changes_left -= len(tracks[-1].tempos) + len(tracks[-1].signatures)
    return MidiChunks(file_format, ticks_per_quarter, seconds_per_tick, tracks)


def _unwrap(data: bytes) -> bytes | None:
    """Return the MIDI file in a RIFF wrapper (RMID), its chunk ``data``; None if there is none."""
    position = 12
    while position + 8 <= len(data):
        (size,) = struct.unpack("<I", data[position + 4 : position + 8])
        if data[position : position + 4] == b"data":
            return data[position + 8 : position + 8 + size]
        position += 8 + size + size % 2
    return None


def wrap(data: bytes) -> bytes:
    """Return a MIDI file in a RIFF wrapper, as used in ``.rmi`` files."""
    padded = data + b"\0" * (len(data) % 2)
    body = b"RMIDdata" + struct.pack("<I", len(data)) + padded
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _time_division(division: int, source: str) -> tuple[int, float | None]:
    """Return (ticks per quarter note, None), or (0, seconds per tick) for an SMPTE division."""
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


def _track_bodies(
    data: bytes, position: int, count: int, source: str, losses: list[str] | None
) -> list[tuple[int, int]]:
    """Return where the bytes of each track chunk begin and end; chunks of other kinds are skipped.

    After the last track that the header counts, only track chunks are read.
    """
    bodies: list[tuple[int, int]] = []
    while len(bodies) < count or data[position : position + 4] == b"MTrk":
        if position + 8 > len(data):
            are = "there" if len(bodies) < count else "whole"
            lost = f"is cut off: {len(bodies)} of {count} tracks are {are}"
            _lose(lost, source, losses)
            break
        (size,) = struct.unpack(">I", data[position + 4 : position + 8])
        there = len(data) - position - 8
        if there < size:
            lost = f"is cut off: a chunk of {size} bytes has {there} (track {len(bodies)})"
            _lose(lost, source, losses)
        if data[position : position + 4] == b"MTrk":
            bodies.append((position + 8, position + 8 + min(size, there)))
        position += 8 + size
    return bodies


def _lose(reason: str, source: str, losses: list[str] | None) -> None:
    """Record a loss, or raise :class:`MidiFileError` if losses are not allowed."""
    if losses is None:
        raise MidiFileError(source, reason)
    losses.append(reason)


def _parse_track(
    body: bytes,
    index: int,
    source: str,
    losses: list[str] | None = None,
    most_changes: int = MOST_CHANGES,
) -> Track:
    """Parse one track: in C++ if available and if the track is intact, otherwise in Python."""
    scanned = scan_track(body) if LIBRARY.is_for(len(body)) else None
    if (
        scanned is None
        or len(scanned.metas) > most_changes
        or any(body[p : p + n] == _NO_TEMPO for _, _, p, n in scanned.metas)
    ):
        return _parse_bytes(body, index, source, losses, most_changes)
    return _track_of(body, scanned)


def _track_of(body: bytes, scanned: Scanned) -> Track:
    """Return a track that was scanned in C++."""
    tempos: list[tuple[int, int]] = []
    signatures: list[tuple[int, bytes]] = []
    name = ""
    for tick, kind, position, length in scanned.metas:
        payload = body[position : position + length]
        if kind == _META_TEMPO and length == 3:
            tempos.append((tick, int.from_bytes(payload, "big")))
        elif _SIGNATURES.get(kind) == length:
            signatures.append((tick, payload))
        elif kind == _META_TRACK_NAME and not name:
            name = _text(payload)
    return Track(scanned.events, tempos, name, scanned.last_tick, tuple(signatures))


def _text(payload: bytes) -> str:
    """Return a text as UTF-8 if it is that, else as Latin-1, which the standard has in mind."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        text = payload.decode("latin-1")
    return text.strip("\0 ")


def text_bytes(text: str) -> bytes:
    """Return the bytes of a text: Latin-1 if that reads as the same text again, else UTF-8."""
    payload = text.encode("latin-1", "replace")
    return payload if _text(payload) == text.strip("\0 ") else text.encode(errors="replace")


def _parse_bytes(
    body: bytes,
    index: int,
    source: str,
    losses: list[str] | None = None,
    most_changes: int = MOST_CHANGES,
) -> Track:
    """Parse one track. One long function, for speed, because it handles every byte."""
    events = array("q")
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
                        if microseconds:
                            tempos.append((tick, microseconds))
                        else:
                            odd = "holds a tempo of 0 microseconds per quarter note"
                            _lose(f"is damaged: track {index} {odd}", source, losses)
                    elif _SIGNATURES.get(kind) == length:
                        signatures.append((tick, bytes(payload)))
                    elif kind == _META_TRACK_NAME and not name:
                        name = _text(payload)
                    if len(tempos) + len(signatures) > most_changes:
                        del (tempos if kind == _META_TEMPO else signatures)[-1]
                        raise ValueError(
                            f"brings the file to over {MOST_CHANGES:,} tempo changes and signatures"
                        )
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
                odd = f"holds a data byte over 127 at byte {position} of the track"
                _lose(f"is damaged: track {index} {odd}", source, losses)
                first, second = min(first, 127), min(second, 127)
            if kind not in _LEFT_OUT:
                events.append(tick << 22 | (status & 0x7F) << 15 | first << 7 | second)
        if position > size:
            raise IndexError
        if tick > MAX_TICKS:
            raise OverflowError
    except IndexError:
        _lose(f"is cut off inside a message of track {index}", source, losses)
    except OverflowError:
        lost = f"is damaged: track {index} lasts over {MAX_TICKS:,} ticks"
        _lose(lost, source, losses)
        tick = min(tick, MAX_TICKS)
    except ValueError as error:
        _lose(f"is damaged: track {index} {error}", source, losses)
    packed = Events(np.frombuffer(events, np.int64))
    return Track(packed, tempos, name, tick, tuple(signatures))


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
