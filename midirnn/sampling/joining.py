"""Join a primer and the new notes after it, which get a part of their own with its sound."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from midirnn.codecs.base import Message
from midirnn.midievents import CONTROL_CHANGE, NOTE_ON
from midirnn.midifile import share_out_channels
from midirnn.performance import SUSTAIN_DOWN, Part, Performance

NEW_PART = "midirnn"
"""The name of the part, and of the track, that continues a primer."""

MIX = (7, 10, 91, 92, 93, 94, 95)
"""Controllers that the new part copies, as set before the first note: volume, pan, effects."""


def join(primer: Performance, messages: list[tuple[float, Message]]) -> Performance:
    """Return the primer followed by ``messages``, which also end the notes that it holds.

    A pedal that the primer leaves down goes up at the first pedal-up after it.
    """
    end = primer.end.copy()
    sounding: dict[int, int] = {
        int(primer.pitch[index]): int(index) for index in np.flatnonzero(primer.unreleased)
    }
    notes: list[list[float]] = []
    pedals: list[tuple[float, int]] = []
    for seconds, (status, pitch, velocity) in messages:
        if status & 0xF0 == CONTROL_CHANGE:  # the sustain pedal, which a codec may have tokens for
            pedals.append((seconds, velocity))
        elif status & 0xF0 == NOTE_ON:
            sounding[pitch] = len(end) + len(notes)
            notes.append([seconds, seconds, pitch, velocity])
        else:
            index = sounding.pop(pitch)
            if index < len(end):
                end[index] = seconds
            else:
                notes[index - len(end)][1] = seconds
    new = np.array([note for note in notes if note[1] > note[0]]).reshape(-1, 4)
    parts, like = _with_new_part(primer)
    return Performance(
        start=np.concatenate([primer.start, new[:, 0]]),
        end=np.concatenate([end, new[:, 1]]),
        pitch=np.concatenate([primer.pitch, new[:, 2].astype(np.uint8)]),
        velocity=np.concatenate([primer.velocity, new[:, 3].astype(np.uint8)]),
        part=np.concatenate([primer.part, np.full(len(new), len(parts) - 1, np.int32)]),
        parts=parts,
        tempos=primer.tempos,
        signatures=primer.signatures,
        **_controls_with(primer, len(parts) - 1, like),
        **_pedals_with(primer, pedals, len(parts) - 1),
    )


def _pedals_with(primer: Performance, pedals: list[tuple[float, int]], new: int) -> dict[str, Any]:
    """Return the pedal events of the primer and the new part."""
    rows = [(seconds, value, new) for seconds, value in pedals]
    lifted = next((seconds for seconds, value in pedals if value < SUSTAIN_DOWN), None)
    if lifted is not None:
        last = dict(zip(primer.pedal_part.tolist(), primer.pedal_value.tolist(), strict=True))
        rows += [(lifted, 0, part) for part, value in last.items() if value >= SUSTAIN_DOWN]
    time, value, part = np.array(rows, np.float64).reshape(-1, 3).T
    return {
        "pedal_time": np.append(primer.pedal_time, time),
        "pedal_value": np.append(primer.pedal_value, value.astype(np.uint8)),
        "pedal_part": np.append(primer.pedal_part, part.astype(np.int32)),
        "pedal_shared": np.append(primer.pedal_shared, np.zeros(len(rows), bool)),
    }


def _controls_with(primer: Performance, new: int, like: int | None) -> dict[str, Any]:
    """Return the controllers of a primer, with the mix of part ``like`` copied to the new part."""
    names = ("control_time", "control_number", "control_value", "control_part")
    time, number, value, part = (getattr(primer, name) for name in names)
    if like is None or like == new or not len(time):
        return dict(zip(names, (time, number, value, part), strict=True))
    first = primer.start[primer.part == like].min(initial=primer.duration)
    mix = np.flatnonzero((part == like) & np.isin(number, MIX) & (time <= first))
    return {
        "control_time": np.append(time, np.zeros(len(mix))),
        "control_number": np.append(number, number[mix]),
        "control_value": np.append(value, value[mix]),
        "control_part": np.append(part, np.full(len(mix), new, np.int32)),
    }


def _with_new_part(primer: Performance) -> tuple[tuple[Part, ...], int | None]:
    """Return the parts of a primer plus one for the new notes, and the index of the busiest.

    The new part has the sound of the busiest melodic part. Without a primer there is only the part
    of an empty performance.
    """
    if primer.parts == (Part(),) and not len(primer):
        return primer.parts, None
    notes = np.bincount(primer.part, minlength=len(primer.parts))
    melodic = [index for index, part in enumerate(primer.parts) if not part.is_drum]
    busiest = max(melodic, key=lambda index: int(notes[index]), default=None)
    like = Part() if busiest is None else primer.parts[busiest]
    new = share_out_channels([*primer.parts, replace(like, name=NEW_PART)])[-1]
    return (*primer.parts, new), busiest
