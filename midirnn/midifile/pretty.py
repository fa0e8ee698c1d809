"""Performances from and to pretty_midi."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from midirnn.midievents import BANK_LSB, BANK_MSB, SUSTAIN
from midirnn.midifile.channels import share_out_channels
from midirnn.midifile.writing import TICKS_PER_QUARTER
from midirnn.parts import DENOMINATORS
from midirnn.performance import (
    CHANNEL_PRESSURE,
    PITCH_BEND,
    KeySignature,
    Part,
    Performance,
    Signature,
    Tempo,
    TimeSignature,
)

if TYPE_CHECKING:
    import pretty_midi

_NO_CONTROLS = {SUSTAIN, BANK_MSB, BANK_LSB, *range(120, 128)}
"""Pedal, banks and channel mode messages, which are not controls of a performance."""


def to_pretty_midi(performance: Performance) -> pretty_midi.PrettyMIDI:
    """Return a ``pretty_midi.PrettyMIDI`` with an instrument for each part and CC 64 as pedal.

    Controllers, pitch bend, tempos and signatures are included.
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
        for i in np.flatnonzero(performance.control_part == index):
            time, number = float(performance.control_time[i]), int(performance.control_number[i])
            value = int(performance.control_value[i])
            if number == PITCH_BEND:
                instrument.pitch_bends.append(pretty_midi.PitchBend(value, time))
            elif number != CHANNEL_PRESSURE:  # which pretty_midi does not support
                instrument.control_changes.append(pretty_midi.ControlChange(number, value, time))
        result.instruments.append(instrument)
    return result


def is_pretty_midi(given: Any) -> bool:
    """Return whether something is a ``pretty_midi.PrettyMIDI``, or of a class made from it."""
    return any(kind.__module__.partition(".")[0] == "pretty_midi" for kind in type(given).__mro__)


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
    controls = [
        (change.time, change.number, change.value, index)
        for index, instrument in enumerate(instruments)
        for change in (*instrument.control_changes, *map(_as_control, instrument.pitch_bends))
        if change.number not in _NO_CONTROLS
    ]
    start, end, pitch, velocity, part = zip(*notes, strict=True) if notes else ((),) * 5
    time, value, pedal_part = zip(*pedals, strict=True) if pedals else ((),) * 3
    moment, number, amount, control_part = zip(*controls, strict=True) if controls else ((),) * 4
    times, bpms = source.get_tempo_changes()
    signatures: list[Signature] = [
        TimeSignature(s.time, s.numerator, s.denominator)
        for s in source.time_signature_changes
        if s.denominator in DENOMINATORS
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
        control_time=np.array(moment, np.float64),
        control_number=np.array(number, np.uint8),
        control_value=np.array(amount, np.int16),
        control_part=np.array(control_part, np.int32),
        parts=tuple(parts) or (Part(),),
        tempos=tuple(Tempo(float(t), float(b)) for t, b in zip(times, bpms, strict=True))
        or (Tempo(0.0, 120.0),),
        signatures=tuple(sorted(signatures, key=lambda signature: signature.seconds)),
    )


def _as_control(bend: pretty_midi.PitchBend) -> Any:
    """Return a pitch bend in the form of a control change."""
    return SimpleNamespace(number=PITCH_BEND, value=bend.pitch, time=bend.time)
