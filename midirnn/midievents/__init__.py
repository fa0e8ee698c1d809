"""MIDI bytes to timed channel messages: the part of the file format below notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midirnn.lazy import lazy_names as _lazy_names
from midirnn.midievents.status import (
    ALL_NOTES_OFF,
    ALL_SOUND_OFF,
    BANK_LSB,
    BANK_MSB,
    BEND,
    CONTROL_CHANGE,
    MODE_MESSAGES,
    NOTE_OFF,
    NOTE_ON,
    PEDAL_RESETS,
    PRESSURE,
    PROGRAM_CHANGE,
    RESET_CONTROLLERS,
    SUSTAIN,
    SUSTAIN_DOWN,
    SYSTEM_RESET,
)

# Imported on first use, so that the constants above do not load numpy.
_MODULES = {
    "MAX_DELTA": "events",
    "MAX_TICKS": "events",
    "NO_EVENTS": "events",
    "Event": "events",
    "Events": "events",
    "MidiChunks": "events",
    "Track": "events",
    "parse_midi": "parse",
    "text_bytes": "parse",
    "wrap": "parse",
}

__all__ = [
    "ALL_NOTES_OFF",
    "ALL_SOUND_OFF",
    "BANK_LSB",
    "BANK_MSB",
    "BEND",
    "CONTROL_CHANGE",
    "MAX_DELTA",
    "MAX_TICKS",
    "MODE_MESSAGES",
    "NOTE_OFF",
    "NOTE_ON",
    "NO_EVENTS",
    "PEDAL_RESETS",
    "PRESSURE",
    "PROGRAM_CHANGE",
    "RESET_CONTROLLERS",
    "SUSTAIN",
    "SUSTAIN_DOWN",
    "SYSTEM_RESET",
    "Event",
    "Events",
    "MidiChunks",
    "Track",
    "parse_midi",
    "text_bytes",
    "wrap",
]

if TYPE_CHECKING:
    from midirnn.midievents.events import (
        MAX_DELTA,
        MAX_TICKS,
        NO_EVENTS,
        Event,
        Events,
        MidiChunks,
        Track,
    )
    from midirnn.midievents.parse import parse_midi, text_bytes, wrap


__getattr__ = _lazy_names(__name__, _MODULES)
