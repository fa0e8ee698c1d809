"""The event log of a session: lines of JSON, written as things happen.

The first line is the header. Then come the messages heard and sent, and the requests to the model
and its replies, each with its time on the session's clock in seconds. What was written survives
however the process ends: a log that was cut off can still be read and replayed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, is_dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from midirnn.errors import RecordingError
from midirnn.files import reason_of
from midirnn.live.base.messages import Delivery, ModelSettings, Reply, Request
from midirnn.live.base.observers import Observer
from midirnn.live.output.ledger import MODEL, PERFORMER
from midirnn.live.recording.midi import Recording
from midirnn.live.recording.shapes import is_record, is_settings
from midirnn.ports.base import Message

FORMAT = 1
"""The format version, raised when older readers would misunderstand a log."""

SUFFIX = ".jsonl"
LIBRARIES = ("midirnn", "numpy", "onnxruntime")
CLOSE_SECONDS = 5.0
"""How long closing waits for the rest to be written."""

Tell = Callable[[str], None]


# Dataclasses as JSON and back.


@cache
def known_types() -> dict[str, type]:
    """Return the dataclasses that a log can hold, by name."""
    from midirnn.codecs.controls import Controls
    from midirnn.codecs.style import Style
    from midirnn.live.base import messages

    found = [value for value in vars(messages).values() if isinstance(value, type)]
    return {kind.__name__: kind for kind in [*found, Controls, Style] if is_dataclass(kind)}


def to_plain(value: Any) -> Any:
    """Return a value as JSON types, from which :func:`from_plain` makes an equal one.

    An error becomes its text, bytes (the state of a model) become their SHA-256: nothing in a log
    is ever unpickled.
    """
    if is_dataclass(value):
        plain = {
            part.name: to_plain(getattr(value, part.name))
            for part in fields(value)
            if not _is_left_out(part, getattr(value, part.name))
        }
        return {"type": type(value).__name__, **plain}
    if isinstance(value, Mapping):
        return {"type": "mapping", "items": [[to_plain(k), to_plain(v)] for k, v in value.items()]}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, bytes):
        return {"type": "bytes", "sha256": hashlib.sha256(value).hexdigest()}
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    return value.item() if hasattr(value, "item") else value


def _is_left_out(part: Field[Any], value: Any) -> bool:
    return bool(part.metadata.get("left_out_of_logs")) and value == part.default


def from_plain(plain: Any) -> Any:
    """Return the value given to :func:`to_plain`, with sequences as tuples and bytes as SHA-256."""
    if isinstance(plain, list):
        return tuple(from_plain(item) for item in plain)
    if not isinstance(plain, dict):
        return plain
    parts = {name: from_plain(item) for name, item in plain.items()}
    name = parts.pop("type", None)
    if name == "bytes":
        return bytes.fromhex(parts["sha256"])
    if name == "mapping":
        return dict(parts["items"])
    if name not in known_types():
        raise RecordingError(f"the log holds {name!r}, which this midirnn does not know")
    return known_types()[name](**parts)


# Writing.


def header(settings: ModelSettings, weights_sha256: str, about: dict[str, Any]) -> dict[str, Any]:
    """Return the first line of a log: what made it, and everything the model's notes depend on.

    ``about`` is further information: the mode and the options of the session.
    """
    return {
        "log": "midirnn",
        "format": FORMAT,
        "weights_sha256": weights_sha256,
        "settings": to_plain(settings),
        "versions": {library: _installed(library) for library in LIBRARIES},
        "python": platform.python_version(),
        "machine": platform.platform(),
        **about,
    }


def _installed(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


class EventLog(Observer):
    """Writes the log of a session. Owns the file, and the thread that writes it.

    Any thread may add to it, which takes microseconds. If writing fails, ``tell`` is called with a
    message, and the session goes on without a log.
    """

    def __init__(
        self, path: Path, first_line: dict[str, Any], *, tell: Tell = lambda line: None
    ) -> None:
        self.path = path
        self.failure: OSError | None = None
        self.written = 0
        """How many bytes were written after the first line."""
        self._tell = tell
        self._queue: queue.SimpleQueue[tuple[float, str, Any] | None] = queue.SimpleQueue()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = path.open("x", buffering=1, encoding="utf-8")
            self._file.write(json.dumps(first_line) + "\n")
        except (OSError, ValueError) as error:
            raise RecordingError(
                f"cannot record to {path.parent}: {reason_of(error)}. Give another folder with "
                "--record"
            ) from error
        self._thread = threading.Thread(target=self._run, name="midirnn event log", daemon=True)
        self._thread.start()

    def heard(self, message: Message, seconds: float) -> None:
        """Take note of a message of the performer."""
        self._queue.put((seconds, "in", message))

    def sent(self, message: Message, seconds: float, due_seconds: float, player: str) -> None:
        """Take note of a message that was sent, for the model or the performer."""
        self._queue.put((seconds, "out", (message, due_seconds, player)))

    def started(self, settings: ModelSettings, seconds: float) -> None:
        """Take note that a model process starts from these settings."""
        self._queue.put((seconds, "start", settings))

    def asked(self, request: Request, seconds: float) -> None:
        """Take note of a request to the model."""
        self._queue.put((seconds, "ask", request))

    def answered(self, reply: Reply, seconds: float) -> None:
        """Take note of a reply of the model."""
        self._queue.put((seconds, "answer", reply))

    def tuned(self, delivery: Delivery, seconds: float) -> None:
        """Take note of how the plan is played from now on."""
        self._queue.put((seconds, "tune", delivery))

    def noted(self, text: str, seconds: float) -> None:
        """Take note of something else that is worth knowing."""
        self._queue.put((seconds, "note", text))

    def close(self) -> None:
        """Write the rest and close the file."""
        self._queue.put(None)
        self._thread.join(CLOSE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        """Write until the end; once that fails, discard the rest."""
        while (item := self._queue.get()) is not None:
            if self.failure is None:
                self._write(_line(*item))
        with contextlib.suppress(OSError):
            self._file.close()

    def _write(self, line: str) -> None:
        try:
            self._file.write(line)
            self.written += len(line)
        except OSError as error:
            self.failure = error
            self._tell(
                f"recording to {self.path} has stopped: {reason_of(error)}. The music goes on"
            )


def _line(seconds: float, kind: str, value: Any) -> str:
    return json.dumps({"at": seconds, kind: to_plain(value)}) + "\n"


def free_path(folder: Path, name: str) -> Path:
    """Return an unused path in the folder for a log of that name."""
    candidates = [name, *(f"{name}-{number}" for number in range(2, 1000))]
    paths = (folder / f"{candidate}{SUFFIX}" for candidate in candidates)
    return next((path for path in paths if not path.exists()), folder / f"{name}{SUFFIX}")


# Reading.


@dataclass(frozen=True)
class Record:
    """A line of a log: when something happened, its kind, and its details."""

    seconds: float
    kind: str
    value: Any


@dataclass(frozen=True)
class SessionLog:
    """A log that was read. ``cut_off`` is True if its last line is incomplete."""

    header: dict[str, Any]
    records: list[Record] = field(repr=False)
    cut_off: bool = False

    @property
    def settings(self) -> ModelSettings:
        """The settings that the model started from."""
        settings = from_plain(self.header["settings"])
        assert isinstance(settings, ModelSettings)
        return settings

    def recording(self) -> Recording:
        """Return what both played. The performer's part is what came in, not what was passed on."""
        recording = Recording(self.settings.start_seconds)
        for record in self.records:
            recording.until(record.seconds)
            if record.kind == "in":
                recording.add(PERFORMER, record.value, record.seconds)
            elif record.kind == "out" and record.value[2] == MODEL:
                recording.add(MODEL, record.value[0], record.seconds)
        return recording


def read_log(path: str | os.PathLike[str]) -> SessionLog:
    """Read a log. A last line that was cut off is left out.

    Raises :class:`RecordingError` for a file that cannot be read or is not an event log.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise RecordingError(f"{path} cannot be read ({reason_of(error)})") from error
    lines = text.split("\n")
    unfinished = lines.pop()
    first = _parsed(lines[0]) if lines else None
    if not first or first.get("log") != "midirnn":
        raise RecordingError(f"{path} is not the event log of a midirnn session")
    if first.get("format") != FORMAT:
        raise RecordingError(
            f"{path} has format {first.get('format')}; this midirnn reads format {FORMAT}"
        )
    _check_header(path, first)
    return SessionLog(first, list(read_records(path, lines[1:])), bool(unfinished))


def _check_header(path: str | os.PathLike[str], first: dict[str, Any]) -> None:
    """Raise a RecordingError if the header does not say what the session was made with."""
    if not isinstance(first.get("weights_sha256"), str) or "settings" not in first:
        raise RecordingError(f"{path} does not say with which model and settings it was made")
    try:
        is_known = is_settings(from_plain(first["settings"]))
    except (*_NONSENSE, RecordingError) as error:
        raise RecordingError(
            f"{path} has settings that this midirnn does not know ({error}). It may be the log of "
            "a newer version"
        ) from error
    if not is_known:
        raise RecordingError(f"{path} has no settings of a model in its first line")


def read_records(path: str | os.PathLike[str], lines: Iterable[str]) -> Iterator[Record]:
    """Yield the records in lines of a log after its first. Raises :class:`RecordingError`."""
    for number, line in enumerate(lines, start=2):
        parsed = _parsed(line)
        if parsed is None or len(parsed) != 2 or "at" not in parsed:
            raise RecordingError(f"{path} is damaged at line {number}")
        seconds = parsed.pop("at")
        ((kind, plain),) = parsed.items()
        try:
            value = from_plain(plain)
        except _NONSENSE as error:
            raise RecordingError(f"{path} is damaged at line {number} ({error})") from error
        if not is_record(seconds, kind, value):
            raise RecordingError(f"{path} is damaged at line {number}: it is no record of {kind!r}")
        yield Record(seconds, kind, value)


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


_NONSENSE = (TypeError, ValueError, KeyError, RecursionError)
"""What :func:`from_plain` raises for JSON that :func:`to_plain` does not write."""
