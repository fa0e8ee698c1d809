"""MIDI files to performances and back.

The modules build on one another in this order: ``pairing`` (events to notes), ``channels``,
``reading``, ``writing``, ``pretty`` (pretty_midi).
"""

from __future__ import annotations

from midirnn.midifile.channels import share_out_channels
from midirnn.midifile.pretty import from_pretty_midi, is_pretty_midi, to_pretty_midi
from midirnn.midifile.reading import MAX_HOURS, SUFFIXES, assemble, read_midi
from midirnn.midifile.writing import TICKS_PER_QUARTER, midi_bytes, write_midi

__all__ = [
    "MAX_HOURS",
    "SUFFIXES",
    "TICKS_PER_QUARTER",
    "assemble",
    "from_pretty_midi",
    "is_pretty_midi",
    "midi_bytes",
    "read_midi",
    "share_out_channels",
    "to_pretty_midi",
    "write_midi",
]
