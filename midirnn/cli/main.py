"""The command ``midirnn``: runs the command that was given and prints errors in one line.

Nothing is imported that the command does not need: cyclopts loads ``midirnn.cli.NAME`` when
command NAME runs, and that module imports what it needs inside its function.
"""

from __future__ import annotations

import importlib
import inspect
import io
import json
import math
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from midirnn.cli import UNTIL_CTRL_C
from midirnn.cli.interrupting import repeating_lost_interrupts
from midirnn.errors import MidirnnError, MissingExtraError
from midirnn.head_start import head_start

if TYPE_CHECKING:
    from cyclopts import App

COMMANDS = {
    "encode": "Make a data set of tokens from MIDI files.",
    "fetch": "Download a data set of MIDI files from its publisher.",
    "clean": "Find duplicates and performances of the same composition.",
    "stats": "Print what is in a data set: hours, notes, tokens, density.",
    "decode": "Write a piece of a data set to a MIDI file.",
    "train": "Train a model on a data set.",
    "tune": "Tune a model to your own playing.",
    "evaluate": "Measure how well a model predicts a data set, and how it plays.",
    "generate": "Write MIDI files that continue a primer or start from scratch.",
    "infill": "Rewrite a stretch of a MIDI file.",
    "vary": "Vary velocity, timing, pitch or duration in a MIDI file.",
    "humanize": "Play a score (MIDI or MusicXML) as a pianist might.",
    "style": "Continue between the styles of two MIDI files, or map styles.",
    "render": "Render MIDI files to sound files.",
    "info": "Print what is in MIDI files, models and data sets.",
    "likelihood": "Measure how likely MIDI files are under a model, note by note.",
    "cells": "Show which hidden units follow which features of the music.",
    "compare": "Compare two sets of MIDI files by ten features.",
    "export": "Write a model as an ONNX file with weights in int8.",
    "plot": "Draw a piano roll of a MIDI file, or curves of training runs.",
    "ports": "List the MIDI ports of this machine.",
    "live": "Play along: listen to a MIDI input, answer on an output.",
    "jam": "Play with the model in the browser.",
    "replay": "Replay a recorded session, and compare it note for note.",
    "doctor": "Check this machine before a concert: ports, speed, lateness.",
}
"""The one-line help of each command. ``NAME`` is the function ``midirnn.cli.NAME:NAME``."""

HEAD_STARTS = {
    "live": ("midirnn.live.model_process.child",),
    "jam": ("midirnn.web.child", "midirnn.live.model_process.child"),
}
"""The modules that a command runs in child processes, which start before its own code loads."""

EXTRAS = {
    "datasketch": "clean",
    "distributed": "dask",
    "fsspec": "remote",
    "miditok": "miditok",
    "symusic": "miditok",
    "torch": "train",
    "onnxruntime": "fast",
    "fluidsynth": "audio",
    "music21": "scores",
    "pyloudnorm": "audio",
    "soundfile": "audio",
    "starlette": "web",
    "tensorboard": "tensorboard",
    "uvicorn": "web",
    "websockets": "web",
}
"""Optional libraries and the extra of this package that installs each."""

EXIT_ERROR, EXIT_USAGE, EXIT_INTERRUPTED, EXIT_BROKEN_PIPE = 1, 2, 130, 141

_HELP_AND_VERSION = ("--help", "-h", "--version")


class UsageError(MidirnnError):
    """An invalid command line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return 0, 1 (an error), 2 (wrong usage) or 130 (Ctrl-C).

    Ctrl-C is the normal end of ``midirnn live`` and ``midirnn jam``: they return 0.
    """
    _print_anything()
    tokens = list(sys.argv[1:] if argv is None else argv)
    end = tokens.index("--") if "--" in tokens else len(tokens)
    show_traceback = "--traceback" in tokens[:end]
    tokens = [token for token in tokens[:end] if token != "--traceback"] + tokens[end:]
    try:
        with repeating_lost_interrupts():
            code = run(tokens)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as error:
        if tokens and tokens[0] in UNTIL_CTRL_C:
            return 0
        return _fail("interrupted", EXIT_INTERRUPTED, error, show_traceback)
    except BrokenPipeError:
        # The reader of the output is gone; the interpreter must not flush into the pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except UsageError as error:
        return _fail(f"error: {error}", EXIT_USAGE, error, show_traceback)
    except MidirnnError as error:
        line = f"error: {_with_flags(str(error), tokens)}"
        return _fail(line, EXIT_ERROR, error, show_traceback)
    except Exception as error:
        known = _missing_extra(error, tokens[0] if tokens else "midirnn")
        line = known or f"internal error: {type(error).__name__}: {error}"
        hint = "" if known or show_traceback else "; run again with --traceback"
        return _fail(f"error: {line}" if known else line + hint, EXIT_ERROR, error, show_traceback)


_SETTING = re.compile(r"^[a-z0-9_]+(?= (?:is|has) )|(?<= )[a-z0-9]+(?:_[a-z0-9]+)+(?=[ ,;])")
"""The name of a setting of the library in an error: what it begins with, or has underscores."""


def _with_flags(line: str, tokens: Sequence[str]) -> str:
    """Return an error of the library with settings named as the flags that were given."""
    given = {token.partition("=")[0] for token in tokens if token.startswith("--")}

    def as_flag(match: re.Match[str]) -> str:
        name = f"--{match[0].replace('_', '-')}"
        return name if name in given else match[0]

    return _SETTING.sub(as_flag, line)


def _print_anything() -> None:
    """Print characters that the terminal's encoding lacks as escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run(tokens: Sequence[str]) -> int:
    """Run a command and return its exit code. Raises whatever the command raises."""
    if tokens and tokens[0] not in COMMANDS and tokens[0] not in _HELP_AND_VERSION:
        raise UsageError(_unknown_command(tokens[0]))
    with head_start(*_processes_of(tokens)):
        return _run(tokens)


def _processes_of(tokens: Sequence[str]) -> tuple[str, ...]:
    """Return the modules that a command line is going to run in child processes."""
    asks_for_help = any(token in _HELP_AND_VERSION for token in tokens)
    return () if asks_for_help or not tokens else HEAD_STARTS.get(tokens[0], ())


def _run(tokens: Sequence[str]) -> int:
    from cyclopts import CycloptsError

    try:
        result = make_app(*tokens[:1])(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        chain = ["midirnn", *tokens[:1]]
        raise UsageError(f"{_one_line(error)} See: {' '.join(chain)} --help") from error
    return result if isinstance(result, int) else 0


def make_app(asked: str | None = None) -> App:
    """Make the command line with every command, without importing the commands' modules.

    Only ``asked`` is imported: its help is its docstring, that of the others their line.
    """
    from cyclopts import App, Parameter

    app = App(
        name="midirnn",
        help="You play; when you stop, it plays on: a real-time MIDI music generator built on "
        "recurrent networks.",
        help_epilogue="Any command takes --traceback, which shows where an error came from.",
        help_format="plaintext",
        version=_version,
        result_action="return_value",
        default_parameter=Parameter(show_default=_shown_default),
        suppress_keyboard_interrupt=False,
    )
    for order, (name, line) in enumerate(COMMANDS.items()):
        shown = _whole_help(name) if name == asked else line
        app.command(f"midirnn.cli.{name}:{name}", name=name, help=shown, sort_key=order)
    return app


def _shown_default(value: object) -> str | None:
    """Return a default as the help shows it; None for those that mean that nothing was given."""
    return None if value in (None, "", (), math.inf) else str(value)


def _whole_help(name: str) -> str:
    """Return the docstring of a command, with each paragraph on one line."""
    command = getattr(importlib.import_module(f"midirnn.cli.{name}"), name)
    paragraphs = (inspect.getdoc(command) or "").replace("``", "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _version() -> str:
    from importlib.metadata import version

    return version("midirnn")


def _unknown_command(token: str) -> str:
    kind = "option" if token.startswith("-") else "command"
    close = get_close_matches(token, COMMANDS, n=1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    return f"unknown {kind} {token!r}.{guess} The commands are {', '.join(COMMANDS)}."


def _fail(line: str, code: int, error: BaseException, show_traceback: bool) -> int:
    """Print what went wrong in one line, and if wanted in full; return the exit code.

    Of the processes that torchrun starts with the same command line, only the first prints it.
    """
    if is_first_process():
        if show_traceback:
            traceback.print_exception(error)
        _say(line)
    return code


def is_first_process() -> bool:
    """Return True if this process is alone, or the first of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def print_error(line: str) -> None:
    """Print the error of a process other than the first, for which :func:`main` prints none."""
    _say(f"error: {line}")


def _say(line: str) -> None:
    """Print why the process ends. If torchrun started it, that is repeated in torchrun's report."""
    said = f"midirnn: {_printable(line)}"
    print(said, file=sys.stderr, flush=True)
    report = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if report:
        about = {"message": said, "extraInfo": {"timestamp": str(int(time.time()))}}
        with suppress(OSError):
            Path(report).write_text(json.dumps({"message": about}), encoding="utf-8")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _printable(text: str) -> str:
    """Return the text with line breaks and other control characters written as escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _missing_extra(error: BaseException, command: str) -> str:
    """Return how to install a missing optional library; empty if that is not the error."""
    for cause in _chain(error):
        library = (getattr(cause, "name", None) or "").partition(".")[0]
        if isinstance(cause, ModuleNotFoundError) and library in EXTRAS:
            return str(MissingExtraError(library, EXTRAS[library], f"midirnn {command}"))
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    while error is not None:
        yield error
        error = error.__cause__
