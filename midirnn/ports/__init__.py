"""MIDI ports: those of this machine, and ports in memory for tests.

python-rtmidi is loaded only when a port is listed or opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midirnn.lazy import lazy_names as _lazy_names

# Imported on first use: the model process only needs the message types, and starts sooner.
_MODULES = {
    "Clock": "base",
    "Direction": "matching",
    "Ignored": "base",
    "InputCallback": "base",
    "InputPort": "base",
    "MemoryInput": "memory",
    "MemoryOutput": "memory",
    "Message": "base",
    "OutputPort": "base",
    "Port": "base",
    "PortListing": "systems",
    "PortRow": "matching",
    "RtMidiInput": "rtmidi_ports",
    "RtMidiOutput": "rtmidi_ports",
    "SystemFailure": "systems",
    "best_matches": "matching",
    "check_message": "base",
    "choose_port": "matching",
    "list_ports": "systems",
    "loopback_pair": "memory",
    "open_input": "rtmidi_ports",
    "open_output": "rtmidi_ports",
    "stable_name": "matching",
}

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

if TYPE_CHECKING:
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


__getattr__ = _lazy_names(__name__, _MODULES)
