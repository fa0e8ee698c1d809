"""The terminal's own process: it draws what the session's process sends it ten times a second.

Drawing a frame takes milliseconds in which no other Python thread of its process runs. The process
that sends notes on time cannot spare them.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from midirnn.head_start import end
from midirnn.live.base.clock import Clock
from midirnn.live.view.display import StageView, render

FRAME_SECONDS = 0.1
END_SECONDS = 2.0
NICENESS = 5

PLAIN = dict(zip("▁▂▃▄▅▆▇█▀│■", "_.:.=+*#'|#", strict=True))
"""Replacements for block characters, for terminals whose encoding lacks them."""

_CHILD = "from midirnn.live.view.terminal import main; main()"


class Terminal:
    """Shows a session. Owns the drawing process, and the thread that sends it what to draw.

    ``look`` returns what to draw at a clock time. ``stdout`` is the terminal's file descriptor, by
    default our own. If the drawing process dies or hangs, the session goes on.
    """

    def __init__(
        self,
        look: Callable[[float], StageView],
        clock: Clock,
        *,
        command: Sequence[str] = (sys.executable, "-c", _CHILD),
        stdout: int | None = None,
    ) -> None:
        self._look = look
        self._clock = clock
        self._command = list(command)
        self._stdout = stdout
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="midirnn terminal", daemon=True)

    def __enter__(self) -> Self:
        # The terminal's Ctrl-C does not reach it: it ends when its standard input does.
        self._child = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=self._stdout,
            start_new_session=True,
            bufsize=0,
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Draw the last frame, which stays."""
        self._closing.set()
        self._thread.join(END_SECONDS)
        if self._thread.is_alive():  # it cannot send: the terminal hangs
            self._child.kill()
            self._thread.join()
        with contextlib.suppress(OSError):
            self._send()
        end(self._child, END_SECONDS)

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # the drawing process is gone
            while not self._closing.wait(FRAME_SECONDS):
                self._send()

    def _send(self) -> None:
        data = pickle.dumps(self._look(self._clock.now()), pickle.HIGHEST_PROTOCOL)
        assert self._child.stdin is not None
        self._child.stdin.write(data)


def main() -> None:
    """Draw until the input ends or cannot be read as a view."""
    from rich.console import Console
    from rich.live import Live

    if hasattr(os, "nice"):
        os.nice(NICENESS)
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error("plain", _draw_plainly)
        sys.stdout.reconfigure(errors="plain")  # a port's name may be in any script
    console = Console()
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while (view := _read()) is not None:
            live.update(render(view, console.width, console.height), refresh=True)


def _draw_plainly(error: UnicodeError) -> tuple[str, int]:
    """Replace what the terminal's encoding lacks: blocks by ASCII, the rest by question marks."""
    assert isinstance(error, UnicodeEncodeError)
    missing = error.object[error.start : error.end]
    return "".join(PLAIN.get(character, "?") for character in missing), error.end


def _read() -> StageView | None:
    try:
        view = pickle.load(sys.stdin.buffer)
    except (EOFError, pickle.UnpicklingError):
        return None
    return view if isinstance(view, StageView) else None
