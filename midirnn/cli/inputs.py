"""Where commands read MIDI: a file, or standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from midirnn.errors import MidiFileError, OptionError

if TYPE_CHECKING:
    from midirnn.performance import Performance

STDIN = Path("-")
"""The file name that stands for standard input."""


def midi_files(folder: Path) -> list[Path]:
    """Return the MIDI files of a folder in order of their names: for recordings, by time."""
    from midirnn.midifile import SUFFIXES

    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise OptionError(f"{folder} holds no MIDI files")
    return found


def read_music(path: Path, *, drums: bool = False) -> Performance:
    """Return the performance in a MIDI file, or from standard input."""
    from midirnn.midifile import read_midi

    if path != STDIN:
        return read_midi(path, drums=drums)
    piped = read_stdin()
    try:
        return read_midi(piped, drums=drums)
    except MidiFileError as error:
        raise MidiFileError("standard input", error.reason) from error


def read_stdin() -> bytes:
    """Return the MIDI file on standard input. Raise :class:`OptionError` on a terminal."""
    if sys.stdin.isatty():
        raise OptionError("a dash reads a MIDI file from standard input: pipe one into it")
    return sys.stdin.buffer.read()
