"""Join a primer and the new notes that continue it: on a part of their own, with its sound."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from midirnn.codecs.base import Message
from midirnn.midievents import NOTE_ON
from midirnn.midifile import share_out_channels
from midirnn.performance import Part, Performance

NEW_PART = "midirnn"
"""The name of the part, and of the track, that continues a primer."""

MIX = (7, 10, 91, 92, 93, 94, 95)
"""Controllers that the new part takes over: volume, pan and effects, as before the first note."""


def join(primer: Performance, messages: list[tuple[float, Message]]) -> Performance:
    """Return the primer with what comes after it; notes that were held end where they ended."""
    end = primer.end.copy()
    sounding: dict[int, int] = {
        int(primer.pitch[index]): int(index) for index in np.flatnonzero(primer.unreleased)
    }
    notes: list[list[float]] = []
    for seconds, (status, pitch, velocity) in messages:
        if status & 0xF0 == NOTE_ON:
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
    )


def _controls_with(primer: Performance, new: int, like: int | None) -> dict[str, Any]:
    """Return the controllers of a primer; the new part has the mix of the part it is like."""
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
    """Return the parts of a primer and one for the new notes, and the index of the busiest.

    The new one has the sound of the busiest. Without a primer there is only the one that an empty
    performance has.
    """
    if primer.parts == (Part(),) and not len(primer):
        return primer.parts, None
    notes = np.bincount(primer.part, minlength=len(primer.parts))
    melodic = [index for index, part in enumerate(primer.parts) if not part.is_drum]
    busiest = max(melodic, key=lambda index: int(notes[index]), default=None)
    like = Part() if busiest is None else primer.parts[busiest]
    new = share_out_channels([*primer.parts, replace(like, name=NEW_PART)])[-1]
    return (*primer.parts, new), busiest
