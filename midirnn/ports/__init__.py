"""MIDI ports: those of this machine, and ports in memory for tests.

Nothing here loads python-rtmidi before a port is listed or opened.
"""

from __future__ import annotations

from midirnn.ports.base import (
    Clock,
    Ignored,
    InputCallback,
    InputPort,
    Message,
    OutputPort,
    Port,
    check_message,
)
from midirnn.ports.matching import Direction, PortRow, best_matches, choose_port, stable_name
from midirnn.ports.memory import MemoryInput, MemoryOutput, loopback_pair
from midirnn.ports.rtmidi_ports import RtMidiInput, RtMidiOutput, open_input, open_output
from midirnn.ports.systems import PortListing, SystemFailure, list_ports

__all__ = [
    "Clock",
    "Direction",
    "Ignored",
    "InputCallback",
    "InputPort",
    "MemoryInput",
    "MemoryOutput",
    "Message",
    "OutputPort",
    "Port",
    "PortListing",
    "PortRow",
    "RtMidiInput",
    "RtMidiOutput",
    "SystemFailure",
    "best_matches",
    "check_message",
    "choose_port",
    "list_ports",
    "loopback_pair",
    "open_input",
    "open_output",
    "stable_name",
]
