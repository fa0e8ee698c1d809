"""The numbers of MIDI: what a status byte and a controller mean."""

from __future__ import annotations

NOTE_OFF = 0x80
NOTE_ON = 0x90
CONTROL_CHANGE = 0xB0
PROGRAM_CHANGE = 0xC0
PRESSURE = 0xD0
BEND = 0xE0
SYSTEM_RESET = 0xFF
SUSTAIN = 64
SUSTAIN_DOWN = 64
"""The lowest value at which a sustain pedal (CC 64) is down (MIDI 1.0)."""
BANK_MSB, BANK_LSB = 0, 32
ALL_SOUND_OFF, RESET_CONTROLLERS, ALL_NOTES_OFF = 120, 121, 123
MODE_MESSAGES = frozenset({ALL_SOUND_OFF, *range(ALL_NOTES_OFF, 128)})
"""The controllers that end the notes of their channel (CC 122, local control, does not)."""
PEDAL_RESETS = MODE_MESSAGES - {ALL_NOTES_OFF} | {RESET_CONTROLLERS}
"""The controllers that put the pedals of their channel up ("all notes off" does not)."""
