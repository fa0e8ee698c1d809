"""Tuning between sets: while nobody plays, a low-priority process learns from the performer."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from midirnn.errors import MidirnnError
from midirnn.files import reason_of
from midirnn.live.base.channel_messages import is_note_on
from midirnn.live.base.messages import Prepare, Request
from midirnn.live.base.observers import Observer
from midirnn.live.base.playing import Stance
from midirnn.live.controls.commands import Command, TakeUpTuned
from midirnn.live.output.ledger import PERFORMER
from midirnn.live.recording.midi import Recording, notes_of
from midirnn.midifile import write_midi
from midirnn.performance import Performance
from midirnn.ports.base import Message

QUIET_SECONDS = 20.0
"""A set is over when the performer has not played for this long."""

PAUSE_SECONDS = 1.0
"""A phrase is over when the performer has not played for this long."""

LEAST_NOTES, LEAST_NEW_NOTES = 1_000, 500
"""The fewest notes of the performer to tune to, about three minutes of playing, and the fewest new
ones to tune again."""

STEPS = 240
"""The most training steps. (There is no time limit, since training may be interrupted.)"""

LOOK_SECONDS = 0.25
"""How often to check whether anybody plays."""

STARTED = "nobody plays: the model learns from your {notes} notes"
TOLD = "the model is tuned to your playing ({change}). Undo it with the knob untune"


class TunedSession(Protocol):
    """The part of a session that is used here."""

    @property
    def stance(self) -> Stance | None:
        """What the model does."""
        ...

    def ask(self, *requests: Request) -> None:
        """Send requests to the model."""
        ...

    def command(self, *commands: Command) -> None:
        """Queue commands."""
        ...


class BetweenSets(Observer):
    """Tunes the model of a session to what its performer plays. Owns the process that trains.

    It learns from everything played in the session, starts while nobody plays, and is suspended
    whenever the performer plays. The result is taken up between two phrases. Tuned models are
    written to ``place-tuned-1`` and so on. An observer of the session; a thread of its own looks
    after the process between :meth:`begin` and :meth:`end`.
    """

    def __init__(
        self,
        base: str,
        place: Path,
        start_seconds: float,
        *,
        tell: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
        start: Callable[[Sequence[str]], Tuning] | None = None,
    ) -> None:
        self._base, self._place = base, place
        self._tell, self._now = tell, now
        self._start = start or Tuning
        self._recording = Recording(start_seconds)
        self._lock = threading.Lock()
        self._heard_at = start_seconds
        self._notes = self._learned_notes = self._number = 0
        self._tuning: Tuning | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._ready: TakeUpTuned | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def performed(self, message: Message, seconds: float) -> None:
        """Take note of music of the performer."""
        with self._lock:
            self._recording.add(PERFORMER, message, seconds)
            self._heard_at = max(self._heard_at, seconds)
            self._notes += is_note_on(message)

    def begin(self, session: TunedSession) -> None:
        """Look after a session, in a thread, until :meth:`end`."""
        self._thread = threading.Thread(
            target=self._look_after, args=(session,), name="midirnn between sets", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """End the thread, and the process if there is one."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._tuning is not None:
            self._tuning.end()
        self._clean_up()

    def _clean_up(self) -> None:
        """Remove the MIDI file written for a tuning: the session's recording holds it as well."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _look_after(self, session: TunedSession) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self.look(session)

    def look(self, session: TunedSession) -> None:
        """Do what is due now: start, suspend or resume a tuning, or take up its result."""
        now = self._now()
        quiet = now - self._heard_at
        if self._ready is not None:
            if _between_phrases(session, quiet):
                session.command(self._ready)
                self._ready = None
        elif self._tuning is None:
            enough = LEAST_NEW_NOTES if self._learned_notes else LEAST_NOTES
            if quiet >= QUIET_SECONDS and self._notes - self._learned_notes >= enough:
                self._begin_tuning()
        elif self._tuning.is_done:
            self._finish(session, self._tuning)
        else:
            self._tuning.go_on(quiet >= QUIET_SECONDS)

    def _begin_tuning(self) -> None:
        """Start a tuning to what was played, or report why that is not possible."""
        self._number += 1
        self._learned_notes = self._notes
        with self._lock:
            performance = self._recording.performance()
        try:
            self._tuning = self._start_tuning(performance)
        except (MidirnnError, OSError) as error:
            self._tell(f"the model is not tuned: {reason_of(error)}")
            self._clean_up()
        else:
            self._tell(STARTED.format(notes=notes_of(performance, PERFORMER)))

    def _start_tuning(self, performance: Performance) -> Tuning:
        target = self._target()
        self._folder = tempfile.TemporaryDirectory(prefix="midirnn-played-")
        played = Path(self._folder.name, f"{target.name}.mid")
        write_midi(performance, played)
        flags = ["--model", self._base, "--steps", str(STEPS)]
        return self._start([str(played), "-o", str(target), *flags])

    def _target(self) -> Path:
        """Return the folder of the present tuned model."""
        return self._place.with_name(f"{self._place.name}-tuned-{self._number}")

    def _finish(self, session: TunedSession, tuning: Tuning) -> None:
        """Have the tuned model loaded, or report why there is none."""
        self._tuning = None
        printed, error = tuning.result()
        self._clean_up()
        if error is not None:
            self._tell(f"the model is not tuned: {error}")
            return
        target = self._target()
        session.ask(Prepare(str(target)))
        found = re.search(r"^your playing, kept aside +(\S+) +(\S+)", printed, re.MULTILINE)
        change = f"{found[1]} to {found[2]} nats per token" if found else f"{target}"
        self._ready = TakeUpTuned(str(target), TOLD.format(change=change))


def _between_phrases(session: TunedSession, quiet: float) -> bool:
    """Return whether nobody plays, after ``quiet`` seconds without a note of the performer.

    Models that play all the time, as in autopilot, are not waited for longer than a set's end.
    """
    plays = session.stance is not None and Stance.PLAYS in session.stance
    return quiet >= (QUIET_SECONDS if plays else PAUSE_SECONDS)


class Tuning:
    """A process that runs ``midirnn tune`` at the lowest priority. Owns it."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "midirnn", "tune", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            text=True,
            # In a group of its own, so that Ctrl-C does not reach it. If this process dies while it
            # is suspended, the system sends the group SIGHUP and SIGCONT, which end it.
            process_group=0 if os.name == "posix" else None,
        )
        self._stopped = False
        if os.name == "posix":
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._process.pid, 19)

    @property
    def is_done(self) -> bool:
        """True if it has ended."""
        return self._process.poll() is not None

    def go_on(self, on: bool) -> None:
        """Let it run, or suspend it. On systems that cannot do that it keeps running."""
        if on == self._stopped and os.name == "posix":
            self._process.send_signal(signal.SIGCONT if on else signal.SIGSTOP)
            self._stopped = not on

    def result(self) -> tuple[str, str | None]:
        """Return what it printed, and its error in one line, None if there was none."""
        printed, errors = self._process.communicate()
        if self._process.returncode == 0:
            return printed, None
        lines = errors.strip().splitlines()
        return printed, lines[-1] if lines else f"it ended with code {self._process.returncode}"

    def end(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.communicate()
