"""The display: a pure function from the state of a session to what is drawn."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

PAST_SECONDS, AHEAD_SECONDS = 6.0, 3.0
"""The time that the piano roll shows, before and after now."""

LOWEST_PITCH, HIGHEST_PITCH = 28, 99
"""The pitch range of the piano roll. Notes beyond it are drawn at its edge."""

FEWEST_COLUMNS, FEWEST_LINES = 30, 4
LINES_AROUND_THE_ROLL = 9
MOST_SUMMARY_LINES = 3
MOST_KNOB_LINES = 3

HEARD, SENT, PLANNED = "heard", "sent", "planned"
COLOURS = {HEARD: "cyan", SENT: "yellow", PLANNED: "bright_black"}
"""The kinds of notes on the roll. Where several overlap, the first in this table is drawn."""

LEGEND = {HEARD: "you", SENT: "the model", PLANNED: "planned"}

OCTAVES = {pitch: f"C{pitch // 12 - 1}" for pitch in range(36, HIGHEST_PITCH, 12)}
"""The pitches that are labelled on the roll."""

SURPRISING_NATS = 6.0
"""The surprise at which a bar is full: a probability of one in 400."""

BARS = " ▁▂▃▄▅▆▇█"
UPPER_HALF, LOWER_HALF = "▀", "▄"
BLANK, NOW = (" ", ""), ("│", "dim")
STYLES = {"playing": "green", "listening": "cyan"}
"""The styles of what the model does. Anything else is a fault, or at least unusual."""


@dataclass(frozen=True)
class RollNote:
    """A note on the roll. Times are seconds of the clock; ``end`` is infinite while it sounds."""

    start: float
    end: float
    pitch: int
    kind: str


@dataclass(frozen=True)
class Lateness:
    """How late messages were sent, in milliseconds, and the number of messages."""

    count: int = 0
    median_ms: float = 0.0
    p99_ms: float = 0.0
    worst_ms: float = 0.0


@dataclass(frozen=True)
class UnitView:
    """A hidden unit at one moment."""

    signal: str
    """The signal that it follows: loudness, density, register, since onset, pedal, ..."""
    name: str
    """Which unit it is, such as c1[37]: number 37 of the cell state of layer 1."""
    value: float
    """From 0 to 1 over its usual range; it rises with the signal."""


@dataclass(frozen=True)
class StageView:
    """Everything that is drawn. Times are seconds of the session's clock.

    ``surprises`` are those of the notes heard last in nats, the newest last. ``planned_until`` is
    the time that the plan has reached. ``ports`` are (kind, name, is present). ``knobs`` are (name,
    value). ``lines`` are the latest messages.
    """

    now: float
    start: float
    mode: str
    doing: str
    ports: tuple[tuple[str, str, bool], ...] = ()
    notes: tuple[RollNote, ...] = ()
    planned_until: float = -math.inf
    knobs: tuple[tuple[str, str], ...] = ()
    lateness: Lateness = Lateness()
    surprises: tuple[float, ...] = ()
    lines: tuple[str, ...] = ()
    summary: str = ""
    """What the mode does."""
    tempo: str = ""
    """The clock's tempo and beat, as text."""
    units: tuple[UnitView, ...] = ()
    """The present values of the hidden units that follow a signal."""


def render(view: StageView, width: int, height: int) -> Group:
    """Return a view as rich draws it, in that many columns and lines."""
    from rich.console import Group

    columns = max(FEWEST_COLUMNS, width)
    told = [row for line in view.lines for row in wrapped(line, columns)]
    about = wrapped(view.summary, columns)[:MOST_SUMMARY_LINES]
    knobs = _knobs(view, columns)
    units = _units(view)
    below = len(told) + len(about) + len(knobs) + len(units) - 1
    lines = max(FEWEST_LINES, height - LINES_AROUND_THE_ROLL - below)
    rows = [
        _headline(view),
        _ports(view),
        *_roll(view, columns, lines),
        _time_axis(columns),
        _legend(),
        _surprises(view, columns),
        *units,
        _lateness(view),
        *knobs,
        *(_plain(line, "dim") for line in about),
        *(_plain(line, "bold") for line in told),
    ]
    for row in rows:
        row.no_wrap = True
        row.overflow = "ellipsis"
        row.truncate(columns, overflow="ellipsis")
    return Group(*rows)


def wrapped(text: str, columns: int) -> list[str]:
    """Return a text as lines of at most that many columns, broken between words."""
    return textwrap.wrap(text, columns, break_on_hyphens=False)


def _plain(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(text, style)


def _pieces(*pieces: tuple[str, str]) -> Text:
    from rich.text import Text

    return Text.assemble(*pieces)


def _headline(view: StageView) -> Text:
    minutes, seconds = divmod(int(view.now - view.start), 60)
    return _pieces(
        (view.mode, "bold"),
        ("  ", ""),
        (view.doing, STYLES.get(view.doing, "bold red")),
        (f"  {minutes}:{seconds:02}", "dim"),
        (f"  {view.tempo}" if view.tempo else "", ""),
    )


def _ports(view: StageView) -> Text:
    pieces: list[tuple[str, str]] = []
    for what, name, present in view.ports:
        pieces.append((f"{what} ", "dim"))
        pieces.append((f"{name}  ", "") if present else (f"{name} (gone)  ", "bold red"))
    return _pieces(*pieces)


def _knobs(view: StageView, columns: int) -> list[Text]:
    """Draw the knobs, as many on a line as fit."""
    lines: list[list[tuple[str, str]]] = [[]]
    room = columns
    for name, value in view.knobs:
        length = len(f"{name} {value}  ")
        if length > room and lines[-1]:
            lines.append([])
            room = columns
        lines[-1] += [(f"{name} ", "dim"), (f"{value}  ", "")]
        room -= length
    return [_pieces(*pieces) for pieces in lines[:MOST_KNOB_LINES]]


def _legend() -> Text:
    pieces: list[tuple[str, str]] = []
    for kind, name in LEGEND.items():
        pieces += [("■ ", COLOURS[kind]), (f"{name}  ", "dim")]
    return _pieces(*pieces)


def _lateness(view: StageView) -> Text:
    late = view.lateness
    ahead = max(0.0, view.planned_until - view.now)
    planned = ("planned ahead ", "dim"), (f"{ahead:.2f} s  ", "")
    if not late.count:
        return _pieces(*planned)
    worst = "red" if late.worst_ms > 10.0 else ""
    return _pieces(
        *planned,
        ("late ", "dim"),
        (f"{late.median_ms:.2f} ms, 99% under {late.p99_ms:.2f}", ""),
        (f", at most {late.worst_ms:.1f}", worst),
    )


def _surprises(view: StageView, columns: int) -> Text:
    """Draw a bar for each note heard recently: the higher, the less the model expected it."""
    name = "surprise "
    shown = view.surprises[-max(1, columns - len(name) - 12) :]
    if not shown:
        return _pieces((name, "dim"), ("nothing heard yet", "dim"))
    pieces = [(name, "dim")]
    for nats in shown:
        level = min(len(BARS) - 1, 1 + int(nats / SURPRISING_NATS * (len(BARS) - 1)))
        pieces.append((BARS[level], "red" if nats > SURPRISING_NATS else "cyan"))
    pieces.append((f" {shown[-1]:.1f} nats", ""))
    return _pieces(*pieces)


def _units(view: StageView) -> list[Text]:
    """Draw a bar for each hidden unit that follows a signal: the higher, the more of it."""
    if not view.units:
        return []
    pieces = [("units    ", "dim")]
    for unit in view.units:
        level = round(unit.value * (len(BARS) - 1))
        pieces += [(f"{unit.signal} ", "dim"), (BARS[level], "magenta"), ("  ", "")]
    return [_pieces(*pieces)]


def _time_axis(columns: int) -> Text:
    """Draw the seconds below the roll; now is 0."""
    line = [" "] * columns
    for second in range(-int(PAST_SECONDS), int(AHEAD_SECONDS) + 1):
        label = str(second) if second <= 0 else f"+{second}"
        at = _column(float(second), columns)
        if at + len(label) <= columns:
            line[at : at + len(label)] = label
    return _plain("".join(line), "dim")


def _column(seconds_from_now: float, columns: int) -> int:
    share = (seconds_from_now + PAST_SECONDS) / (PAST_SECONDS + AHEAD_SECONDS)
    return math.floor(share * columns)


def _roll(view: StageView, columns: int, lines: int) -> list[Text]:
    """Draw the piano roll: two rows per line of text, high pitches on top, a bar for now."""
    cells = _cells(view, columns, 2 * lines)
    now = _column(0.0, columns)
    names = {_row(pitch, 2 * lines) // 2: name for pitch, name in OCTAVES.items()}
    roll = []
    for line, (upper, lower) in enumerate(zip(cells[::2], cells[1::2], strict=True)):
        drawn = [_two_halves(*kinds) for kinds in zip(upper, lower, strict=True)]
        for column, letter in enumerate(names.get(line, "")):
            drawn[column] = (letter, "dim") if drawn[column] == BLANK else drawn[column]
        if drawn[now] == BLANK:
            drawn[now] = NOW
        runs = groupby(drawn, key=lambda cell: cell[1])
        roll.append(_pieces(*(("".join(c for c, _ in run), style) for style, run in runs)))
    return roll


def _two_halves(upper: str, lower: str) -> tuple[str, str]:
    """Return a character made of two halves, and its style."""
    if upper and lower:
        return UPPER_HALF, f"{COLOURS[upper]} on {COLOURS[lower]}"
    if upper:
        return UPPER_HALF, COLOURS[upper]
    return (LOWER_HALF, COLOURS[lower]) if lower else BLANK


def _cells(view: StageView, columns: int, rows: int) -> list[list[str]]:
    """Return the kind of note in each cell of the roll, top row first; empty text for none."""
    cells = [[""] * columns for _ in range(rows)]
    order = list(COLOURS)
    for note in sorted(view.notes, key=lambda note: -order.index(note.kind)):
        first = max(0, _column(note.start - view.now, columns))
        until = view.now if note.end == math.inf else note.end
        last = min(columns - 1, max(first, _column(until - view.now, columns) - 1))
        for column in range(first, last + 1):
            cells[_row(note.pitch, rows)][column] = note.kind
    return cells


def _row(pitch: int, rows: int) -> int:
    span = HIGHEST_PITCH - LOWEST_PITCH + 1
    inside = min(max(pitch, LOWEST_PITCH), HIGHEST_PITCH) - LOWEST_PITCH
    return rows - 1 - inside * rows // span
