"""Standard MIDI Files byte by byte, right ones and wrong ones, without a library in between."""

from __future__ import annotations

import struct

END_OF_TRACK = b"\x00\xff\x2f\x00"


def vlq(value: int) -> bytes:
    """A variable-length quantity: seven bits a byte, the highest first."""
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(0x80 | (value & 0x7F))
    return bytes(reversed(digits))


def event(delta: int, *data: int) -> bytes:
    """Bytes that come ``delta`` ticks after the event before."""
    return vlq(delta) + bytes(data)


def note_on(delta: int, pitch: int, velocity: int = 64, channel: int = 0) -> bytes:
    return event(delta, 0x90 | channel, pitch, velocity)


def note_off(delta: int, pitch: int, channel: int = 0) -> bytes:
    return event(delta, 0x80 | channel, pitch, 0)


def pedal(delta: int, value: int, channel: int = 0) -> bytes:
    return event(delta, 0xB0 | channel, 64, value)


def control(delta: int, number: int, value: int = 0, channel: int = 0) -> bytes:
    return event(delta, 0xB0 | channel, number, value)


def program(delta: int, number: int, channel: int = 0) -> bytes:
    return event(delta, 0xC0 | channel, number)


def meta(delta: int, kind: int, payload: bytes = b"") -> bytes:
    return vlq(delta) + bytes([0xFF, kind]) + vlq(len(payload)) + payload


def tempo(delta: int, microseconds: int) -> bytes:
    """A tempo in microseconds a quarter note."""
    return meta(delta, 0x51, microseconds.to_bytes(3, "big"))


def sysex(delta: int, payload: bytes, status: int = 0xF0) -> bytes:
    return vlq(delta) + bytes([status]) + vlq(len(payload)) + payload


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">I", len(body)) + body


def track(*events: bytes, end: bytes = END_OF_TRACK) -> bytes:
    """A track chunk; ``end`` is the event that closes it."""
    return chunk(b"MTrk", b"".join(events) + end)


def header(file_format: int, tracks: int, division: int) -> bytes:
    return chunk(b"MThd", struct.pack(">HHH", file_format, tracks, division))


def smpte(frames: int, ticks_per_frame: int) -> int:
    """The time division of so many frames a second (29 stands for 29.97)."""
    return (256 - frames) << 8 | ticks_per_frame


def midi(*tracks: bytes, file_format: int = 1, division: int = 480) -> bytes:
    """A whole file of track chunks. At 480 ticks a quarter note and 120 a minute 960 are 1 s."""
    return header(file_format, len(tracks), division) + b"".join(tracks)


def rmid(data: bytes) -> bytes:
    """A MIDI file in the RIFF wrapper of Windows."""
    body = b"RMID" + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body
