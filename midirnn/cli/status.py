"""What ``midirnn live`` prints about a session, or shows on a terminal."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

END_SECONDS = 1.0
"""How long to wait for the last line of standard error."""

if TYPE_CHECKING:
    from midirnn.live import Stance
    from midirnn.live.rig import Rig
    from midirnn.live.view.monitor import Monitor


@contextmanager
def stderr_as_lines(tell: Callable[[str], None]) -> Iterator[None]:
    """Within the block, pass each line that this process writes to standard error to ``tell``.

    The libraries of JACK and ALSA write there, and would scroll what is drawn on the terminal.
    """
    reading, writing = os.pipe()
    kept = os.dup(2)
    os.dup2(writing, 2)
    os.close(writing)

    def read() -> None:
        with os.fdopen(reading, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.strip():
                    tell(line.strip())

    thread = threading.Thread(target=read, name="midirnn stderr", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        thread.join(END_SECONDS)


class Status:
    """Prints what happens: the ``Report`` of a rig. While the session is drawn, it shows the lines.

    On a terminal without the drawing, the last line changes in place.
    """

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._in_place = sys.stdout.isatty()
        self._monitor: Monitor | None = None
        self._line = ""

    def tell(self, line: str) -> None:
        """Print the line, unless quiet."""
        if self._monitor is not None:
            self._monitor.tell(line)
        elif not self._quiet:
            print(line, flush=True)

    def warn(self, text: str) -> None:
        """Print what went wrong to standard error, quiet or not."""
        if self._monitor is not None:
            self._monitor.tell(text)
            return
        if self._in_place and self._line:
            print(flush=True)
        print(f"midirnn: {text}", file=sys.stderr, flush=True)

    def change(self, stance: Stance) -> None:
        """Print what the model does now."""
        from midirnn.live import Stance

        if self._monitor is not None or self._quiet:
            return
        word = "playing" if Stance.PLAYS in stance else "listening"
        if self._in_place:
            print(f"\r{word:<{len(self._line)}}", end="", flush=True)
        else:
            print(word, flush=True)
        self._line = word

    @contextmanager
    def showing(self, rig: Rig) -> Iterator[None]:
        """Draw the session within the block, if this is a terminal."""
        if not self._in_place or self._quiet:
            yield
            return
        from midirnn.live import MonotonicClock
        from midirnn.live.view.terminal import Terminal

        self._monitor = rig.monitor
        try:
            with Terminal(rig.look, MonotonicClock()), stderr_as_lines(rig.monitor.tell):
                yield
        finally:
            self._monitor, self._line = None, ""

    def end(self) -> None:
        """End the line that changes in place."""
        if self._in_place and self._line and not self._quiet:
            print()
