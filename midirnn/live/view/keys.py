"""Keys of the terminal that control a session: answer, mode, presets, panic."""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol, Self

from midirnn.live.controls.knobs import NUM_PRESETS
from midirnn.live.modes import MODES
from midirnn.live.view.session_view import SessionView

try:
    import termios
    import tty
except ImportError:  # there are no such terminals on Windows
    termios = tty = None  # type: ignore[assignment]

LEGEND = "keys: space answer or listen, m mode, 1-8 load a preset, s 1-8 store, u undo, p panic"

SWITCHES = {" ": "switch", "p": "panic", "u": "undo"}
"""The switch that a key presses."""

STORE = "s"
DIGITS = "".join(str(number) for number in range(1, NUM_PRESETS + 1))
LOOK_SECONDS = 0.25
"""How often to check whether the process is in the foreground."""

ESCAPE = "\x1b"
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[0-?]*[@-~])")
"""What a terminal sends for a key such as Page Down: a control sequence of ECMA-48, or SS3."""

_BEGINNING = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O[0-?]*)?\Z")
"""The beginning of such a sequence, at the end of what was read."""


class KeysSession(Protocol):
    """What keys do to a session."""

    def press(self, switch: str) -> None:
        """Press and release a switch."""

    def set_mode(self, name: str) -> None:
        """Change to another mode."""

    def store_preset(self, preset: int) -> None:
        """Store a preset."""

    def load_preset(self, preset: int) -> None:
        """Load a preset."""

    def view(self) -> SessionView:
        """Return the present state."""


class Keys:
    """What each key does. Owns whether the next digit stores."""

    def __init__(self, played: KeysSession) -> None:
        self._played = played
        self._stores = False

    def press(self, key: str) -> None:
        """Do what a key stands for; other keys do nothing."""
        played, stores = self._played, self._stores
        self._stores = key == STORE
        if key in DIGITS and key:
            (played.store_preset if stores else played.load_preset)(int(key))
        elif key == "m":
            names = list(MODES)
            mode = played.view().mode
            played.set_mode(names[(names.index(mode) + 1) % len(names) if mode in names else 0])
        elif key in SWITCHES:
            played.press(SWITCHES[key])


def split_keys(text: str) -> tuple[str, str]:
    """Return the keys in what a terminal sent, and a sequence at its end that is incomplete.

    A key that sends a sequence counts as Escape, which has no meaning here.
    """
    beginning = _BEGINNING.search(text)
    end = len(text) if beginning is None else beginning.start()
    return _SEQUENCE.sub(ESCAPE, text[:end]), text[end:]


class TerminalKeys:
    """Reads keys as they are pressed, as long as the ``with`` statement lasts.

    Without a terminal, or on Windows, it does nothing. Ctrl-C and Ctrl-Z keep their meanings. In
    the background it leaves the terminal alone until it is in the foreground again. Owns the
    reading thread, and the terminal's settings.
    """

    def __init__(
        self, keys: Keys, tell: Callable[[str], None], *, stdin: int | None = None
    ) -> None:
        self._keys = keys
        self._tell = tell
        self._terminal = _terminal() if stdin is None else stdin
        self._before: list[Any] | None = None
        self._taking = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = os.pipe()

    def __enter__(self) -> Self:
        if self._terminal is not None:
            self._take()
        if self._before is not None:
            self._tell(LEGEND)
            self._thread = threading.Thread(target=self._run, name="midirnn keys", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._closing[1])
        if self._thread is not None:
            self._thread.join()
        os.close(self._closing[0])
        self._give_back()

    def around(self, sleep: Callable[[], None]) -> Callable[[], None]:
        """Return ``sleep`` with the terminal's settings restored around it, for Ctrl-Z."""

        def asleep() -> None:
            with self._given_back():
                sleep()

        return asleep

    @contextmanager
    def _given_back(self) -> Iterator[None]:
        with self._taking:
            self._give_back()
            try:
                yield
            finally:
                if self._thread is not None:
                    self._take()

    def _take(self) -> None:
        """Make the terminal pass on each key at once, without showing it, if we are in front."""
        assert self._terminal is not None
        if self._before is not None or not _is_in_front(self._terminal):
            return
        with contextlib.suppress(termios.error, OSError):
            self._before = termios.tcgetattr(self._terminal)
            tty.setcbreak(self._terminal, termios.TCSADRAIN)

    def _give_back(self) -> None:
        """Restore the terminal's settings; in the background they are the shell's already."""
        before, self._before = self._before, None
        if before is None or self._terminal is None or not _is_in_front(self._terminal):
            return
        with contextlib.suppress(termios.error, OSError):
            termios.tcsetattr(self._terminal, termios.TCSADRAIN, before)

    def _run(self) -> None:
        assert self._terminal is not None
        unfinished = ""
        while True:
            in_front = _is_in_front(self._terminal)
            if in_front and self._before is None:
                with self._taking:
                    self._take()
            watched = [self._closing[0], *([self._terminal] if in_front else [])]
            ready, _, _ = select.select(watched, [], [], LOOK_SECONDS)
            if self._closing[0] in ready:
                return
            if not ready or not _is_in_front(self._terminal):
                continue
            try:
                data = os.read(self._terminal, 64)
            except OSError:
                return
            if not data:
                return
            keys, unfinished = split_keys(unfinished + data.decode("ascii", errors="ignore"))
            for key in keys:
                self._keys.press(key)


def _terminal() -> int | None:
    """Return the file descriptor of a terminal whose keys may be read, if there is one."""
    if termios is None or sys.stdin is None or not sys.stdin.isatty():
        return None
    descriptor = sys.stdin.fileno()
    return descriptor if _is_in_front(descriptor) else None


def _is_in_front(terminal: int) -> bool:
    """Return True if this process may read the terminal without being stopped for it."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return True  # it is not the controlling terminal
