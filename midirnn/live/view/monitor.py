"""The monitor: gathers what a terminal shows of a session."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from midirnn.codecs.style import Style
from midirnn.live.base.messages import (
    Delivery,
    Heard,
    Knobs,
    Planned,
    PlannedEvent,
    Reply,
    Request,
    Rewind,
)
from midirnn.live.base.observers import Observer
from midirnn.live.modes import MODES
from midirnn.live.output.ledger import MODEL
from midirnn.live.timing.stretch import TimeMap
from midirnn.live.view.display import (
    AHEAD_SECONDS,
    HEARD,
    PAST_SECONDS,
    PLANNED,
    SENT,
    Lateness,
    RollNote,
    StageView,
)
from midirnn.live.view.session_view import SessionView
from midirnn.midievents import NOTE_OFF, NOTE_ON
from midirnn.performance import NUM_PITCHES
from midirnn.pitch_names import PITCH_CLASS_NAMES, pitch_name
from midirnn.ports.base import Message
from midirnn.sampling import SamplingConfig

BEATS_OF_A_BAR = 4

FEW_OF_A_CLASS = 0.03
"""A pitch class with a smaller share of the notes is not named."""

MOST_NOTES = 400
MOST_SURPRISES = 200
MOST_LATENESSES = 2000
MOST_LINES = 4

Ports = Callable[[], tuple[tuple[str, str, bool], ...]]


class Monitor(Observer):
    """Gathers what a :class:`StageView` shows. Owns the latest notes, surprises and so on.

    An observer of a session. :meth:`view` does the work, in the thread that calls it.
    """

    def __init__(
        self,
        start_seconds: float,
        sampling: SamplingConfig,
        ports: Ports = tuple,
        time_map: TimeMap | None = None,
    ) -> None:
        self._start = start_seconds
        self._ports = ports
        self._time = time_map or TimeMap()
        self._lock = threading.Lock()
        self._notes: deque[RollNote] = deque(maxlen=MOST_NOTES)
        self._sounding: dict[tuple[str, int, int], RollNote] = {}
        self._plan: deque[PlannedEvent] = deque(maxlen=MOST_NOTES)
        self._planned_until = -math.inf
        self._surprises: deque[float] = deque(maxlen=MOST_SURPRISES)
        self._late_ms: deque[float] = deque(maxlen=MOST_LATENESSES)
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._knobs = Knobs(sampling)
        self._balance = 1.0

    def tell(self, line: str) -> None:
        """Add a line to the latest ones shown."""
        self._lines.append(line)

    def performed(self, message: Message, seconds: float) -> None:
        """Take note of music of the performer."""
        self._note(HEARD, message, seconds)

    def sent(self, message: Message, seconds: float, due_seconds: float, player: str) -> None:
        """Take note of a message that was sent, and of when it was due."""
        self._late_ms.append(1e3 * (seconds - due_seconds))
        if player == MODEL:
            self._note(SENT, message, seconds)

    def tuned(self, delivery: Delivery, seconds: float) -> None:
        """Take note of the balance; the time map knows the tempo."""
        self._balance = delivery.balance

    def asked(self, request: Request, seconds: float) -> None:
        """Take note of a request to the model."""
        if isinstance(request, Rewind):
            with self._lock:
                self._plan.clear()
                self._planned_until = seconds
        elif isinstance(request, Knobs):
            self._knobs = request

    def answered(self, reply: Reply, seconds: float) -> None:
        """Take note of a reply of the model, whose times are in musical seconds."""
        if isinstance(reply, Planned):
            at = self._time.seconds
            with self._lock:
                self._plan.extend(replace(e, seconds=at(e.seconds)) for e in reply.events)
                self._planned_until = at(reply.seconds)
        elif isinstance(reply, Heard):
            self._surprises.extend(surprise.nats for surprise in reply.surprises)

    def view(self, now: float, session: SessionView) -> StageView:
        """Return what to show now of a session in that state."""
        with self._lock:
            played = [*self._notes, *self._sounding.values()]
            plan = list(self._plan)
        shown = [note for note in played if note.end > now - PAST_SECONDS]
        return StageView(
            now=now,
            start=self._start,
            mode=session.mode,
            summary=MODES[session.mode].summary if session.mode in MODES else "",
            tempo=tempo(session),
            doing=doing(session),
            ports=self._ports(),
            notes=(*shown, *planned_notes(plan, now)),
            planned_until=self._planned_until,
            knobs=(*states(session), *described(self._knobs, self._balance)),
            lateness=lateness(list(self._late_ms)),
            surprises=tuple(self._surprises),
            lines=tuple(self._lines),
            units=session.units,
        )

    def _note(self, kind: str, message: Message, seconds: float) -> None:
        status = message[0] & 0xF0
        if status not in (NOTE_ON, NOTE_OFF):
            return
        key = (kind, message[0] & 0x0F, message[1])
        with self._lock:
            if before := self._sounding.pop(key, None):
                self._notes.append(replace(before, end=seconds))
            if status == NOTE_ON and message[2]:
                self._sounding[key] = RollNote(seconds, math.inf, message[1], kind)


def doing(session: SessionView) -> str:
    """Return what the model does, in a word or two."""
    if not session.has_model:
        return "recovering"
    if not session.has_output:
        return "output gone"
    if session.plays:
        return "playing"
    return "frozen" if session.frozen else "listening"


def states(session: SessionView) -> list[tuple[str, str]]:
    """Return what else a performer should know, such as freeze, stored presets and faults."""
    shown = [("freeze", "on")] if session.frozen else []
    if session.presets:
        shown.append(("presets", _presets(session)))
    if session.knobs.get("store") is True:
        shown.append(("store", "pressed"))
    if isinstance(share := session.knobs.get("crossfade"), float) and share:
        shown.append(("crossfade", f"{share:.2f}"))
    if (key := session.knobs.get("key", "free")) != "free":
        shown.append(("key", str(key)))
    if session.remedies:
        guarded = (f"{fault} ({count})" for fault, count in session.remedies.items())
        shown.append(("guard", ", ".join(guarded)))
    return shown


def tempo(session: SessionView) -> str:
    """Return a text with the clock's tempo and beat; empty without a clock."""
    if session.bpm is None:
        return ""
    bpm = f"{session.bpm:.0f} bpm"
    if not session.clock_runs:
        return f"{bpm}, stopped"
    beat = session.beat or 0.0
    return f"{bpm}, beat {int(beat) % BEATS_OF_A_BAR + 1}"


def planned_notes(plan: Iterable[PlannedEvent], now: float) -> list[RollNote]:
    """Return the notes of a plan that are still to come; those without an end last to the edge."""
    notes: list[RollNote] = []
    begun: dict[int, float] = {}
    for event in plan:
        if event.seconds <= now:
            continue
        kind, pitch = event.message[0] & 0xF0, event.message[1]
        if kind == NOTE_ON and event.message[2]:
            begun[pitch] = event.seconds
        elif pitch in begun:
            notes.append(RollNote(begun.pop(pitch), event.seconds, pitch, PLANNED))
        else:  # it sounds already
            notes.append(RollNote(now, event.seconds, pitch, PLANNED))
    edge = now + AHEAD_SECONDS
    return notes + [RollNote(at, max(at, edge), pitch, PLANNED) for pitch, at in begun.items()]


def lateness(late_ms: list[float]) -> Lateness:
    """Return statistics of how late messages were; those sent early count as on time."""
    if not late_ms:
        return Lateness()
    ordered = sorted(max(0.0, late) for late in late_ms)
    last = len(ordered) - 1
    return Lateness(
        len(ordered), ordered[last // 2], ordered[math.ceil(0.99 * last)], ordered[last]
    )


def described(knobs: Knobs, balance: float = 1.0) -> tuple[tuple[str, str], ...]:
    """Return the (name, value) of the knobs to show, without those that are at their default.

    Temperature and top_p are always shown.
    """
    sampling, asked = knobs.sampling, knobs.controls
    shown = [("temperature", f"{sampling.temperature:.2f}"), ("top_p", f"{sampling.top_p:.2f}")]
    if sampling.top_k:
        shown.append(("top_k", str(sampling.top_k)))
    if sampling.min_p:
        shown.append(("min_p", f"{sampling.min_p:.3f}"))
    if asked is not None and asked.notes_per_second is not None:
        shown.append(("notes per second", f"{asked.notes_per_second:.1f}"))
    if asked is not None and asked.loudness is not None:
        shown.append(("loudness", f"{asked.loudness:.0f}"))
    if asked is not None and asked.weights is not None:
        shown.append(("pitch classes", _weights(asked.weights)))
    if asked is not None and asked.style is not None:
        shown.append(("follow", f"{asked.follow:.1f}{_style_words(asked.style)}"))
    if (knobs.lowest, knobs.highest) != (0, NUM_PITCHES - 1):
        shown.append(("pitches", f"{pitch_name(knobs.lowest)} to {pitch_name(knobs.highest)}"))
    if balance != 1.0:
        shown.append(("balance", f"{balance:.2f}"))
    return tuple(shown)


def _style_words(style: Style) -> str:
    """Return the density that is followed, if it is known."""
    density = style.values.get("density")
    return f" ({2.0**density - 1.0:.1f} notes/s)" if isinstance(density, float) else ""


def _weights(weights: Iterable[float]) -> str:
    """Return the names of the requested pitch classes, from C on."""
    listed = list(weights)
    least = FEW_OF_A_CLASS * sum(listed)
    named = zip(PITCH_CLASS_NAMES, listed, strict=True)
    return " ".join(name for name, weight in named if weight > least)


def _presets(session: SessionView) -> str:
    """Return a text with the stored presets, and their names in a set list."""
    names = session.preset_names
    named = any(name != f"preset {number}" for number, name in names.items())
    shown = [f"{n} {names[n]}" if named and n in names else str(n) for n in sorted(session.presets)]
    return (", " if named else " ").join(shown)
