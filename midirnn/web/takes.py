"""Takes: recorded parts of a session, as MIDI, as a log for replay, and for playback.

A session under ``midirnn jam`` always writes its event log, into a folder of its own. A take is a
part of that log. What the model plays depends on everything that it has heard before, so the log of
a take begins with the session, and ``midirnn replay`` can compare it note for note.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midirnn.engines.adapters import hash_of
from midirnn.engines.load import find_model
from midirnn.errors import RecordingError
from midirnn.live.base.messages import ModelSettings
from midirnn.live.base.observers import Observer, Observers
from midirnn.live.output.ledger import MODEL, PERFORMER
from midirnn.live.recording.event_log import EventLog, free_path, header, read_records
from midirnn.live.recording.midi import Recording
from midirnn.performance import Performance

WRITTEN_SECONDS = 10.0
"""How long a reader waits for the last lines of a log to be written."""

LOOK_SECONDS = 0.02

BEFORE_BYTES = 1 << 18
"""How far before the end of the log, as it was when a take began, its records are looked for."""

AFTER_SECONDS = 1.0
"""How long after a take its last records may be written."""


@dataclass(frozen=True)
class Take:
    """A part of a session: its number, its log, and its start and end on the session's clock.

    No record of it is in the first ``offset`` bytes of the log.
    """

    number: int
    log: Path
    start: float
    end: float
    offset: int = 0


class Keeper(Observers):
    """An observer that logs consecutive sessions into a folder. Owns the logs and takes.

    ``tell`` is called with a line when a log cannot be written; there are no takes then.
    """

    def __init__(
        self, folder: Path, about: Callable[[], dict[str, Any]], tell: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._folder = folder
        self._about = about
        self._tell = tell
        self._log: EventLog | None = None
        self._begun: float | None = None
        self._offset = 0
        self.takes: list[Take] = []

    @property
    def recording_since(self) -> float | None:
        """When the present take began, in seconds; None without one."""
        return self._begun

    def started(self, settings: ModelSettings, seconds: float) -> None:
        """Open the log of a session when its first model starts."""
        if self._log is None:
            self._open(settings)
        super().started(settings, seconds)

    def _open(self, settings: ModelSettings) -> None:
        first_line = header(settings, hash_of(find_model(settings.model)), self._about())
        try:
            path = free_path(self._folder, "session")
            self._log = EventLog(path, first_line, tell=self._tell)
        except RecordingError as error:
            self._tell(f"{error}. The music goes on, and nothing can be kept")
            return
        observers: tuple[Observer, ...] = (self._log,)
        self._observers = observers

    def begin(self, seconds: float) -> None:
        """Begin a take."""
        if self._begun is None and self._log is not None and self._log.failure is None:
            self._begun = seconds
            self._offset = max(0, self._log.written - BEFORE_BYTES)

    def end(self, seconds: float) -> Take | None:
        """End the take and return it; None if there is none."""
        if self._begun is None or self._log is None:
            return None
        number, begun = len(self.takes) + 1, self._begun
        take = Take(number, self._log.path, begun, seconds, self._offset)
        self.noted(f"take {take.number}: from {take.start!r}", seconds)
        self.takes.append(take)
        self._begun = None
        return take

    def close_log(self, seconds: float) -> None:
        """End the log of a session; the next session gets a new one."""
        self.end(seconds)
        self._observers = ()
        if self._log is not None:
            self._log.close()
        self._log = None


def read_take(take: Take) -> Performance:
    """Return what performer and model played in a take: a part for each player and channel.

    Raises :class:`RecordingError` if the log cannot be read.
    """
    recording = Recording(take.start)
    for record in read_records(take.log, _lines_of(take)):
        if take.start <= record.seconds <= take.end:
            if record.kind == "in":
                recording.add(PERFORMER, record.value, record.seconds)
            elif record.kind == "out" and record.value[2] == MODEL:
                recording.add(MODEL, record.value[0], record.seconds)
    recording.until(take.end)
    return recording.performance()


def read_log_of(take: Take) -> str:
    """Return the log of a session from its beginning to the end of the take."""
    with take.log.open("rb") as file:
        before = file.read(take.offset) + file.readline()
    lines = [line for line in _lines_of(take) if _second_of(line) <= take.end]
    return before.decode() + "".join(lines)


def notes_of_take(take: Take) -> list[list[Any]]:
    """Return the notes of a take for playback, without drums.

    A note is [start, end, pitch, velocity, player].
    """
    music = read_take(take)
    rows = zip(music.start, music.end, music.pitch, music.velocity, music.part, strict=True)
    return [
        [float(start), float(end), int(pitch), int(velocity), music.parts[part].name]
        for start, end, pitch, velocity, part in rows
        if not music.parts[part].is_drum
    ]


def _lines_of(take: Take) -> Iterator[str]:
    """Yield the lines of the log from shortly before the take until shortly after it.

    Waits for the line that ends the take, if it is still to be written.
    """
    until, ended = time.monotonic() + WRITTEN_SECONDS, False
    with take.log.open("rb") as file:
        file.seek(take.offset)
        file.readline()  # the header, or the rest of a line
        line = b""
        while True:
            line += file.readline()
            if line.endswith(b"\n"):
                text, line = line.decode(), b""
                ended = ended or f'"take {take.number}: from ' in text
                if ended and _second_of(text) > take.end + AFTER_SECONDS:
                    return
                yield text
            elif ended or time.monotonic() > until:
                return
            else:
                time.sleep(LOOK_SECONDS)


def _second_of(line: str) -> float:
    try:
        return float(json.loads(line)["at"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
