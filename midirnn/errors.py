"""All errors that midirnn raises on purpose.

::

    MidirnnError
    ├── MidiFileError       a MIDI file cannot be read or written
    ├── CodecError          tokens, settings or files that a codec does not support
    ├── DatasetError        a data set is missing, damaged or made with other settings
    ├── CheckpointError     a model or a run is missing, damaged or does not fit
    ├── OptionError         a value that a command or a function does not accept
    ├── MissingExtraError   an optional library is not installed
    ├── ModelLostError      a model process died or does not answer
    ├── PortError           a MIDI port cannot be found, opened or used
    ├── RecordingError      a session cannot be recorded, or its log cannot be read
    └── ScoreError          a score cannot be read, or has nothing to play

Each message is one line: what happened, the value, what is allowed, and what
to do next. The command line prints it and exits with 1.
"""

from __future__ import annotations


class MidirnnError(Exception):
    """Base class of all errors that midirnn raises on purpose."""


class MidiFileError(MidirnnError):
    """A MIDI file cannot be read or written.

    ``source`` is the name of the file (or ``<bytes>``), ``reason`` what is wrong.
    """

    def __init__(self, source: str, reason: str) -> None:
        # A file name may hold a line break, or bytes that cannot be printed.
        super().__init__(f"{source if source.isprintable() else repr(source)}: {reason}")
        self.source = source
        self.reason = reason

    def __reduce__(self) -> tuple[type[MidiFileError], tuple[str, str]]:
        return type(self), (self.source, self.reason)


class CodecError(MidirnnError):
    """Tokens outside a vocabulary, or settings, files or uses that a codec does not support."""


class DatasetError(MidirnnError):
    """A data set is missing, damaged, or made with other settings."""


class CheckpointError(MidirnnError):
    """A model or a training run is missing, damaged, or does not fit."""


class OptionError(MidirnnError):
    """A value that a command or a function does not accept."""


class MissingExtraError(MidirnnError):
    """An optional library is not installed."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {library}, which is not installed. "
            f"Install it with: pip install 'midirnn[{extra}]'"
        )
        self.library = library
        self.extra = extra
        self.purpose = purpose

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        return type(self), (self.library, self.extra, self.purpose)


class ModelLostError(MidirnnError):
    """A model process died, or does not answer."""


class PortError(MidirnnError):
    """A MIDI port cannot be found, opened or used."""


class RecordingError(MidirnnError):
    """A session cannot be recorded, or its event log cannot be read."""


class ScoreError(MidirnnError):
    """A score cannot be read, or has nothing to play."""
