"""The flags of ``midirnn generate`` for what is continued."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from midirnn.cli.inputs import STDIN, read_music
from midirnn.errors import OptionError

if TYPE_CHECKING:
    from midirnn.codecs import Codec

LONG_PRIMER = 2000
"""Notes; longer primers take some seconds, which a line announces."""


@dataclass(frozen=True)
class PrimerFlags:
    """What is continued: a passage of a file, or a text."""

    primer: Annotated[
        Path | None,
        Parameter(
            allow_leading_hyphen=True,
            help="A file to continue: MIDI (-: standard input) or, with a text model, text.",
        ),
    ] = None
    primer_text: Annotated[
        str | None,
        Parameter(help=r"A text to continue, with a text model; \n begins a new line."),
    ] = None
    primer_from: Annotated[
        float | None,
        Parameter(help="Begin the primer at this second of the file; below 0 counts from its end."),
    ] = None
    primer_seconds: Annotated[
        float | None, Parameter(help="Length of the primer in seconds. [to the end of the file]")
    ] = None
    primer_drums: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Use the primer's channel 10 as notes. By default it is drums, and left out.",
        ),
    ] = False

    def check(self) -> None:
        """Raise :class:`OptionError` for two primers."""
        if self.primer is not None and self.primer_text is not None:
            raise OptionError("--primer and --primer-text are two primers; choose one")

    def read(self, codec: Codec[Any]) -> tuple[Any, float | None]:
        """Return what is continued (None for nothing), and print what of it is not used.

        With it comes the time at which a passage ends, if its length was given: it may end with a
        rest.
        """
        if self.primer_text is not None:
            return _text(codec, self.primer_text), None
        return self._passage(codec)

    def _passage(self, codec: Codec[Any]) -> tuple[Any, float | None]:
        from midirnn.codecs import NoteStream
        from midirnn.performance import Performance
        from midirnn.sampling.primer import (
            dropped_drums,
            drums_as_notes,
            passage,
            read_primer,
            span_of,
            with_notes,
        )

        path = self.primer
        flags = {
            "--primer-from": self.primer_from,
            "--primer-seconds": self.primer_seconds,
            "--primer-drums": self.primer_drums or None,
        }
        flag = next((name for name, value in flags.items() if value is not None), None)
        if path is None:
            if flag:
                raise OptionError(
                    f"{flag} says what of a primer to use; name its file with --primer"
                )
            return None, None
        from_pipe = path == STDIN and isinstance(codec, NoteStream)
        piece: Any
        if from_pipe:
            piece = with_notes(read_music(path, drums=True), path)
        else:
            piece = read_primer(codec, path)
        if not isinstance(piece, Performance):
            if flag:
                raise OptionError(f"{flag} is for music; the codec {codec.name!r} has no notes")
            return piece, None
        if self.primer_drums:
            piece = drums_as_notes(piece)
        wanted = self.primer_from or 0.0, self.primer_seconds
        begin, end = span_of(piece, *wanted)
        piece = passage(piece, *wanted)
        if dropped := dropped_drums(piece):
            print(f"{path}: {dropped} (use them with --primer-drums)", file=sys.stderr)
        if len(piece) > LONG_PRIMER:
            print(f"{path}: the model hears {len(piece):,} notes first ...", file=sys.stderr)
        return piece, None if self.primer_seconds is None else end - begin


def _text(codec: Codec[Any], text: str) -> str:
    """Return a text to continue, as it was given to ``--primer-text``."""
    from midirnn.codecs import TextCodec

    if not isinstance(codec, TextCodec):
        raise OptionError(
            f"--primer-text is for models of text, and this one has the codec {codec.name!r}; "
            "give it a file with --primer"
        )
    return text.replace("\\n", "\n")
