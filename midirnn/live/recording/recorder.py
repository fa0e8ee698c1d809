"""Recording a session: an event log, and at the end a MIDI file next to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from midirnn.engines.adapters import hash_of
from midirnn.errors import MidirnnError, RecordingError
from midirnn.live.base.messages import ModelSettings
from midirnn.live.recording.event_log import EventLog, free_path, header, read_log
from midirnn.midifile import write_midi

RECORDING_NAME = "%Y-%m-%d-%H%M%S"
"""Recordings are named after the time at which they begin."""

Tell = Callable[[str], None]


@contextmanager
def recorded(
    folder: Path | None,
    settings: ModelSettings,
    model_folder: Path,
    about: dict[str, Any],
    *,
    tell: Tell,
    warn: Tell,
) -> Iterator[EventLog | None]:
    """Yield the event log of a session, in that folder; None without a folder.

    At the end a MIDI file is written next to it. If the recording cannot be written, there is a
    warning, and the session goes on without it.
    """
    log = None if folder is None else _start(folder, settings, model_folder, about, warn)
    if log is None:
        yield None
        return
    try:
        with log:
            yield log
            log.noted("the end", time.monotonic())
    finally:
        _write_midi(log.path, tell, warn)


def _start(
    folder: Path, settings: ModelSettings, model_folder: Path, about: dict[str, Any], warn: Tell
) -> EventLog | None:
    # The current folder may be another one when it is replayed.
    lasting = replace(settings, model=_lasting_name(settings.model, model_folder))
    first_line = header(lasting, hash_of(model_folder), about)
    try:
        return EventLog(free_path(folder, time.strftime(RECORDING_NAME)), first_line, tell=warn)
    except RecordingError as error:
        warn(f"{error}. The music goes on without a recording")
        return None


def _lasting_name(model: str, folder: Path) -> str:
    return str(folder.resolve()) if Path(model).exists() else model


def _write_midi(log: Path, tell: Tell, warn: Tell) -> None:
    """Write the log's contents as a MIDI file next to it."""
    path = log.with_suffix(".mid")
    try:
        write_midi(read_log(log).recording().performance(), path)
    except MidirnnError as error:
        warn(f"{error}. Try again with: midirnn replay {log} -o FILE.mid")
        return
    tell(f"recorded: {path}, {log.name}")
