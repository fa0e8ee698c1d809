"""Performances to MIDI files."""

from __future__ import annotations

import io
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from midirnn.arrays import Float64Array
from midirnn.errors import MidiFileError
from midirnn.files import reason_of, write_file
from midirnn.midievents import BANK_LSB, BANK_MSB, MAX_DELTA, MAX_TICKS, SUSTAIN, text_bytes, wrap
from midirnn.midifile.channels import share_out_channels
from midirnn.midifile.reading import MAX_HOURS, hours_of
from midirnn.performance import (
    CHANNEL_PRESSURE,
    PITCH_BEND,
    KeySignature,
    Part,
    Performance,
    Signature,
    Tempo,
)
from midirnn.pitch_names import tonic_name

if TYPE_CHECKING:
    import mido

TICKS_PER_QUARTER = 960

_LEAST_MICROSECONDS = math.ceil(3600e6 * MAX_HOURS * TICKS_PER_QUARTER / MAX_TICKS)
"""Faster tempos are written as this, so that a long file does not have too many ticks."""

_Timed = tuple[int, int, "mido.Message"]
"""(tick, rank among equals, message)"""


def write_midi(performance: Performance, path: str | os.PathLike[str]) -> None:
    """Write a performance as a MIDI file of format 1: a tempo track, then a track for each part.

    Up to 15 parts get a channel each (their own one if that is free), and all drums channel 10.
    Tempos and controllers after the last note or pedal are left out. Times are rounded to ticks of
    1/960 of a quarter note (0.52 ms at 120 per minute). Missing folders are created, and the file
    is written atomically. Raises :class:`MidiFileError` if it cannot be written, or if no reader
    would accept it (it lasts over 24 hours). A name that ends in ``.rmi`` gets the RIFF wrapper.
    """
    hours = hours_of(performance)
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
    clock = _TempoMap(performance.tempos, last)
    signatures = [s for s in performance.signatures if s.seconds < last or not s.seconds]
    moments = clock.ticks(np.array([s.seconds for s in signatures], np.float64))
    conductor = [
        *((tick, 0, mido.MetaMessage("set_tempo", tempo=tempo)) for tick, tempo in clock.changes),
        *((t, 1, _signature_message(s)) for t, s in zip(moments, signatures, strict=True)),
    ]
    file.tracks.append(_to_track(conductor))
    written: dict[int, list[list[_Timed]]] = defaultdict(list)
    for index, part in enumerate(share_out_channels(performance.parts)):
        state = list(_state_events(performance, index, part, clock))
        if state in written[part.channel] and not part.is_drum:
            state = []  # the parts of a channel share its pedal and its controllers
        written[part.channel].append(state)
        events = [*_sound_events(part), *_note_events(performance, index, part, clock), *state]
        file.tracks.append(_to_track(events, part.name))
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


class _TempoMap:
    """Converts seconds to ticks, by the tempo changes before ``last`` seconds."""

    def __init__(self, tempos: Sequence[Tempo], last: float) -> None:
        first, *changes = tempos or (Tempo(0.0, 120.0),)
        kept = [first, *(change for change in changes if change.seconds < last)]
        microseconds = [
            min(max(round(6e7 / tempo.bpm), _LEAST_MICROSECONDS), 0xFFFFFF) for tempo in kept
        ]
        self._rates = TICKS_PER_QUARTER * 1e6 / np.array(microseconds)  # ticks per second
        # A change is measured from the rounded one before it, so that errors never add up.
        ticks, seconds = [0], [0.0]
        for tempo, rate in zip(kept[1:], self._rates[:-1], strict=True):
            span = max(0, round((tempo.seconds - seconds[-1]) * rate))
            ticks.append(ticks[-1] + span)
            seconds.append(seconds[-1] + span / rate)
        self._ticks, self._seconds = np.array(ticks), np.array(seconds)
        self.last = last
        self.changes = list(zip(ticks, microseconds, strict=True))
        """(tick, microseconds per quarter note)"""

    def ticks(self, seconds: Float64Array) -> list[int]:
        """Return the tick nearest to each time."""
        index = np.searchsorted(self._seconds, seconds, side="right") - 1
        exact = self._ticks[index] + (seconds - self._seconds[index]) * self._rates[index]
        return [int(tick) for tick in np.rint(exact)]


def _sound_events(part: Part) -> Iterator[_Timed]:
    """Yield the bank, if it is not the first, and the program of a part."""
    import mido

    for control, value in ((BANK_MSB, part.bank >> 7), (BANK_LSB, part.bank & 0x7F)):
        if part.bank:
            yield 0, -2, _control(part.channel, control, value)
    yield 0, -1, mido.Message("program_change", channel=part.channel, program=part.program)


def _note_events(
    performance: Performance, index: int, part: Part, clock: _TempoMap
) -> Iterator[_Timed]:
    """Yield the note-ons and note-offs of a part; each note lasts at least a tick."""
    import mido

    own = performance.select(performance.part == index)
    for on, off, pitch, velocity in zip(
        clock.ticks(own.start),
        clock.ticks(own.end),
        own.pitch.tolist(),
        own.velocity.tolist(),
        strict=True,
    ):
        note = {"channel": part.channel, "note": pitch}
        yield on, 2, mido.Message("note_on", velocity=velocity, **note)
        yield max(off, on + 1), 0, mido.Message("note_off", velocity=0, **note)


def _state_events(
    performance: Performance, index: int, part: Part, clock: _TempoMap
) -> Iterator[_Timed]:
    """Yield the pedal and the controllers of a part."""
    pedals = performance.pedal_part == index
    values = performance.pedal_value[pedals].tolist()
    for tick, value in zip(clock.ticks(performance.pedal_time[pedals]), values, strict=True):
        yield tick, 1, _control(part.channel, SUSTAIN, value)
    controls = (performance.control_part == index) & (performance.control_time <= clock.last)
    for tick, number, value in zip(
        clock.ticks(performance.control_time[controls]),
        performance.control_number[controls].tolist(),
        performance.control_value[controls].tolist(),
        strict=True,
    ):
        yield tick, 1, _control(part.channel, number, value)


def _control(channel: int, number: int, value: int) -> mido.Message:
    """Return the message of a controller, of pitch bend or of channel pressure."""
    import mido

    if number == PITCH_BEND:
        return mido.Message("pitchwheel", channel=channel, pitch=value)
    if number == CHANNEL_PRESSURE:
        return mido.Message("aftertouch", channel=channel, value=value)
    return mido.Message("control_change", channel=channel, control=number, value=value)


def _signature_message(signature: Signature) -> mido.MetaMessage:
    import mido

    if isinstance(signature, KeySignature):
        tonic = tonic_name(signature.sharps, minor=signature.minor)  # mido takes keys by name
        return mido.MetaMessage("key_signature", key=f"{tonic}{'m' if signature.minor else ''}")
    return mido.MetaMessage(
        "time_signature", numerator=signature.numerator, denominator=signature.denominator
    )


def _to_track(events: list[_Timed], name: str = "") -> mido.MidiTrack:
    """Return a track from (tick, rank among equals, message).

    A wait that is too long for one delta time is split by empty text events.
    """
    import mido

    track = mido.MidiTrack()
    if name:
        as_latin = text_bytes(name).decode("latin-1")  # as which mido writes it
        track.append(mido.MetaMessage("track_name", name=as_latin))
    last = 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        while tick - last > MAX_DELTA:
            track.append(mido.MetaMessage("text", text="", time=MAX_DELTA))
            last += MAX_DELTA
        track.append(message.copy(time=tick - last))
        last = tick
    return track
