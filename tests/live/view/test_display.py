"""What the terminal shows, by its text: ports, roll, knobs, surprise, lateness; and its process."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import pty
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from midirnn.codecs.controls import Controls
from midirnn.codecs.style import Style
from midirnn.live.base.clock import MonotonicClock
from midirnn.live.base.messages import (
    Delivery,
    Heard,
    Knobs,
    Planned,
    PlannedEvent,
    Rewind,
    Surprise,
)
from midirnn.live.base.playing import Stance
from midirnn.live.modes import MODES
from midirnn.live.output.ledger import MODEL, PERFORMER
from midirnn.live.timing.stretch import TimeMap
from midirnn.live.view import terminal as terminal_room
from midirnn.live.view.display import (
    HEARD,
    HIGHEST_PITCH,
    LOWEST_PITCH,
    PLANNED,
    SENT,
    Lateness,
    RollNote,
    StageView,
    render,
)
from midirnn.live.view.monitor import Monitor, lateness, planned_notes
from midirnn.live.view.session_view import SessionView
from midirnn.live.view.terminal import Terminal
from midirnn.sampling import SamplingConfig

WIDTH, HEIGHT = 90, 24
VIEW = StageView(now=1075.5, start=1000.0, mode="duet", doing="playing")


def drawn(view: StageView, width: int = WIDTH, height: int = HEIGHT) -> list[str]:
    console = Console(width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(render(view, width, height))
    return capture.get().splitlines()


def line_with(view: StageView, word: str) -> str:
    return next(line for line in drawn(view) if word in line)


def roll_of(view: StageView) -> list[str]:
    return drawn(view)[2 : HEIGHT - 7]


def blocks(lines: list[str]) -> list[tuple[int, int]]:
    """(line, column) of all that is drawn of notes."""
    return [
        (row, column)
        for row, line in enumerate(lines)
        for column, character in enumerate(line)
        if character in "▀▄"
    ]


def test_mode_and_time_are_shown() -> None:
    assert drawn(VIEW)[0].split() == ["duet", "playing", "1:15"]


def test_a_port_that_is_gone_is_marked() -> None:
    view = replace(VIEW, ports=(("in", "Keys", True), ("out", "Synth", False)))
    assert drawn(view)[1].rstrip() == "in Keys  out Synth (gone)"


def test_what_was_heard_lies_left_of_now_and_what_is_planned_right_of_it() -> None:
    axis = line_with(VIEW, "-6")
    now = axis.index(" 0") + 1
    assert all(line[now] == "│" for line in roll_of(VIEW))
    past = replace(VIEW, notes=(RollNote(1072.5, 1073.5, 60, HEARD),))
    columns = [column for _, column in blocks(roll_of(past))]
    assert columns
    assert axis.index("-3") - 1 <= min(columns) <= max(columns) < axis.index("-1")
    ahead = replace(VIEW, notes=(RollNote(1076.5, 1077.5, 60, PLANNED),))
    columns = [column for _, column in blocks(roll_of(ahead))]
    assert min(columns) > now


def test_a_note_that_sounds_reaches_now() -> None:
    view = replace(VIEW, notes=(RollNote(1074.0, math.inf, 60, SENT),))
    columns = [column for _, column in blocks(roll_of(view))]
    assert max(columns) == line_with(VIEW, "-6").index(" 0")


def test_higher_notes_lie_higher() -> None:
    rows = [
        blocks(roll_of(replace(VIEW, notes=(RollNote(1072.0, 1073.0, pitch, SENT),))))[0][0]
        for pitch in (0, LOWEST_PITCH, 60, 72, HIGHEST_PITCH, 127)
    ]
    assert rows == sorted(rows, reverse=True)
    assert rows[0] == rows[1]
    assert rows[-1] == rows[-2] == 0


def test_the_colours_have_a_legend_and_the_octaves_their_names() -> None:
    assert line_with(VIEW, "planned ").split() == ["■", "you", "■", "the", "model", "■", "planned"]
    names = [line[:2] for line in roll_of(VIEW) if line[:1] == "C"]
    assert names == ["C7", "C6", "C5", "C4", "C3", "C2"]


@pytest.mark.parametrize("pitch", [36, 60, 84])
def test_an_octave_is_named_beside_its_notes(pitch: int) -> None:
    with_a_note = replace(VIEW, notes=(RollNote(1072.0, 1073.0, pitch, SENT),))
    ((row, _), *_) = blocks(roll_of(with_a_note))
    assert roll_of(with_a_note)[row].startswith(f"C{pitch // 12 - 1}")


def test_knobs_that_do_not_fit_in_a_line_get_another() -> None:
    knobs = tuple((f"knob-{number}", "0.50") for number in range(16))
    text = " ".join(drawn(replace(VIEW, knobs=knobs), width=80))
    assert all(f"{name} {value}" in text for name, value in knobs)


def test_surprise_is_a_bar_for_each_note() -> None:
    line = line_with(replace(VIEW, surprises=(0.0, 3.0, 12.0)), "surprise")
    assert re.fullmatch(r"surprise ▁▅█ 12\.0 nats *", line)
    assert "nothing heard yet" in line_with(VIEW, "surprise")


def test_lateness_knobs_plan_and_last_lines_are_shown() -> None:
    view = replace(
        VIEW,
        planned_until=1076.25,
        lateness=Lateness(100, 0.05, 0.2, 12.5),
        knobs=(("temperature", "0.90"), ("key", "F# minor")),
        lines=("output 'Synth' has vanished",),
    )
    text = "\n".join(drawn(view))
    for part in (
        "planned ahead 0.75 s",
        "late 0.05 ms, 99% under 0.20, at most 12.5",
        "temperature 0.90  key F# minor",
        "output 'Synth' has vanished",
    ):
        assert part in text


ROLL_NOTES = st.builds(
    RollNote,
    st.floats(900.0, 1200.0),
    st.one_of(st.floats(900.0, 1200.0), st.just(math.inf)),
    st.integers(0, 127),
    st.sampled_from([HEARD, SENT, PLANNED]),
)


@given(
    st.lists(ROLL_NOTES, max_size=10),
    st.lists(st.floats(0.0, 50.0), max_size=200),
    st.integers(30, 200),
    st.integers(14, 80),
    st.text(max_size=300).filter(str.isprintable),
)
def test_it_fits_whatever_happens(
    notes: list[RollNote], surprises: list[float], width: int, height: int, text: str
) -> None:
    view = replace(
        VIEW,
        notes=tuple(notes),
        surprises=tuple(surprises),
        ports=(("in", text, True),),
        lines=(text,),
        knobs=((text, text),),
    )
    lines = drawn(view, width, height)
    assert len(lines) <= height
    assert all(Console().measure(line).maximum <= width for line in lines)


# What is known.


def session(mode: str = "duet", **state: Any) -> SessionView:
    """The view of a session that listens."""
    about: dict[str, Any] = {
        "stance": Stance.LISTENS,
        "knobs": {},
        "presets": frozenset(),
        "frozen": False,
        "bpm": None,
        "clock_runs": False,
        "sounding": (),
        "planned_until": 0.0,
        "has_model": True,
        "has_output": True,
        "remedies": {},
    }
    return SessionView(mode, **about | state)


def a_monitor() -> Monitor:
    return Monitor(1000.0, SamplingConfig(), lambda: (("in", "Keys", True),))


def test_notes_that_were_heard_and_sent_are_on_the_roll() -> None:
    monitor = a_monitor()
    monitor.performed((0x90, 60, 64), 1001.0)
    monitor.performed((0x90, 60, 0), 1002.0)
    monitor.sent((0x90, 72, 64), 1002.0, 1001.999, MODEL)
    monitor.sent((0x90, 50, 64), 1002.0, 1002.0, PERFORMER)
    view = monitor.view(1003.0, session())
    assert set(view.notes) == {
        RollNote(1001.0, 1002.0, 60, HEARD),
        RollNote(1002.0, math.inf, 72, SENT),
    }
    assert view.lateness.count == 2
    assert view.lateness.worst_ms == pytest.approx(1.0)


def test_a_plan_is_on_the_roll_at_the_tempo_and_balance_it_is_played_with() -> None:
    time_map = TimeMap(1000.0, 2.0)
    monitor = Monitor(1000.0, SamplingConfig(), time_map=time_map)
    monitor.tuned(Delivery(2.0, 0.5), 1000.0)
    monitor.asked(Knobs(SamplingConfig(), lowest=40), 1000.0)
    events = (PlannedEvent(0, 1004.0, (0x90, 60, 64)), PlannedEvent(1, 1005.0, (0x80, 60, 0)))
    monitor.answered(Planned(1, events, 1006.0, 5, False), 1000.5)
    view = monitor.view(1001.0, session())
    assert view.notes == (RollNote(1002.0, 1002.5, 60, PLANNED),)
    assert view.planned_until == 1003.0
    assert ("balance", "0.50") in view.knobs
    assert ("pitches", "E2 to G9") in view.knobs


def test_a_plan_is_on_the_roll_until_it_is_taken_back() -> None:
    monitor = a_monitor()
    events = (
        PlannedEvent(0, 1001.0, (0x90, 60, 64)),
        PlannedEvent(1, 1001.5, (0x80, 60, 0)),
        PlannedEvent(2, 1001.5, (0x90, 62, 64)),
    )
    monitor.answered(Planned(1, events, 1001.75, 5, False), 1000.5)
    view = monitor.view(1000.5, session())
    assert view.planned_until == 1001.75
    assert view.notes[0] == RollNote(1001.0, 1001.5, 60, PLANNED)
    assert view.notes[1].pitch == 62
    monitor.asked(Rewind(2, -1), 1000.6)
    assert monitor.view(1000.7, session()).notes == ()


def test_a_plan_shows_the_end_of_a_note_that_sounds() -> None:
    plan = [PlannedEvent(1, 1001.5, (0x80, 60, 0))]
    assert planned_notes(plan, 1001.0) == [RollNote(1001.0, 1001.5, 60, PLANNED)]
    assert planned_notes(plan, 1002.0) == []


def test_the_clock_is_shown_with_its_beat() -> None:
    view = a_monitor().view
    assert view(1001.0, session("duet")).tempo == ""
    running = session("duet", bpm=119.7, clock_runs=True, beat=6.5)
    assert view(1001.0, running).tempo == "120 bpm, beat 3"
    assert view(1001.0, replace(running, clock_runs=False)).tempo == "120 bpm, stopped"
    line = drawn(replace(VIEW, tempo="120 bpm, beat 3"))[0]
    assert line.split() == ["duet", "playing", "1:15", "120", "bpm,", "beat", "3"]


@pytest.mark.parametrize("mode", MODES)
def test_the_present_mode_is_described_in_whole_words(mode: str) -> None:
    view = a_monitor().view(1001.0, session(mode))
    text = " ".join(line.rstrip() for line in drawn(view, width=60, height=40))
    assert MODES[mode].summary in text


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"stance": Stance.PLAYS}, "playing"),
        ({"frozen": True}, "frozen"),
        ({"has_model": False}, "recovering"),
        ({"has_output": False}, "output gone"),
    ],
)
def test_what_the_model_does_is_told_in_a_word(state: dict[str, Any], words: str) -> None:
    view = a_monitor().view(1001.0, session("duet", **state))
    assert view.doing == words
    assert words in drawn(view)[0]


def test_what_the_guard_did_is_shown() -> None:
    shown = dict(a_monitor().view(1001.0, session(remedies={"endless loop": 2})).knobs)
    assert shown["guard"] == "endless loop (2)"


def test_what_a_performer_presses_is_shown() -> None:
    knobs = {"store": True, "crossfade": 0.25, "key": "A minor"}
    shown = dict(a_monitor().view(1001.0, session("duet", knobs=knobs)).knobs)
    assert shown["store"] == "pressed"
    assert shown["crossfade"] == "0.25"
    assert shown["key"] == "A minor"


def test_the_style_that_is_followed_is_shown() -> None:
    monitor = a_monitor()
    style = Style({"density": float(np.log2(9.0))})
    monitor.asked(Knobs(SamplingConfig(), Controls(style=style, follow=0.5)), 1001.0)
    assert dict(monitor.view(1001.0, session("duet")).knobs)["follow"] == "0.5 (8.0 notes/s)"


def test_surprises_knobs_and_lines_are_known() -> None:
    monitor = a_monitor()
    monitor.answered(Heard((), (Surprise(3, 60, 2.5), Surprise(4, 62, 0.5))), 1001.0)
    controls = Controls(notes_per_second=4.0, pitch_classes=(1.0, *[0.0] * 10, 0.5))
    monitor.asked(Knobs(SamplingConfig(temperature=0.8, min_p=0.05), controls), 1001.0)
    monitor.tell("the output is gone")
    view = monitor.view(1001.0, session("echo", frozen=True, presets=frozenset({2, 1})))
    assert view.surprises == (2.5, 0.5)
    assert dict(view.knobs)["temperature"] == "0.80"
    assert dict(view.knobs)["notes per second"] == "4.0"
    assert dict(view.knobs)["pitch classes"] == "C B"
    assert view.knobs[:2] == (("freeze", "on"), ("presets", "1 2"))
    assert view.lines == ("the output is gone",)
    assert (view.mode, view.doing) == ("echo", "frozen")


@given(st.lists(st.floats(-5.0, 100.0), min_size=1))
def test_figures_of_lateness_are_in_order(late_ms: list[float]) -> None:
    figures = lateness(late_ms)
    assert 0.0 <= figures.median_ms <= figures.p99_ms <= figures.worst_ms
    assert figures.worst_ms == max(0.0, *late_ms)


def test_a_view_costs_little_to_make_and_to_send() -> None:
    monitor = a_monitor()
    for number in range(400):
        monitor.performed((0x90 if number % 2 else 0x80, 60, 64), 1000.0 + number / 100)
        monitor.sent((0x90, 30 + number % 60, 64), 1000.0 + number / 100, 1000.0, MODEL)
    begun = time.thread_time()  # of the processor: it does not depend on what else is running
    for _ in range(20):
        data = pickle.dumps(monitor.view(1004.0, session()), pickle.HIGHEST_PROTOCOL)
    assert (time.thread_time() - begun) / 20 < 0.02
    assert len(data) < 100_000


# Its process.


def drawn_on_a_terminal(
    look: Callable[[float], StageView], then: Callable[[], None] = lambda: None
) -> str:
    """What is drawn on a terminal: what there is to see at first, and after ``then``."""
    leader, follower = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            while data := os.read(leader, 65536):
                shown.append(data)

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    with Terminal(look, MonotonicClock(), stdout=follower):
        deadline = time.monotonic() + 30.0
        while b"duet" not in b"".join(shown) and time.monotonic() < deadline:
            time.sleep(0.05)
        then()
    os.close(follower)
    reading.join(20.0)
    os.close(leader)
    return b"".join(shown).decode(errors="replace")


def test_a_terminal_is_drawn_on_in_place_until_the_end() -> None:
    monitor = a_monitor()
    state = [session("duet")]
    text = drawn_on_a_terminal(
        lambda now: monitor.view(now, state[0]), lambda: state.__setitem__(0, session("shadow"))
    )
    assert "duet" in text
    assert "shadow" in text
    assert "\x1b[1A" in text  # it goes back up to draw over what it drew


@pytest.mark.parametrize(("encoding", "now"), [("cp1252", "|"), ("ascii", "|"), ("utf-8", "│")])
def test_a_terminal_without_block_characters_is_drawn_on_with_others(
    encoding: str, now: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    monitor = a_monitor()
    text = drawn_on_a_terminal(lambda seconds: monitor.view(seconds, session("duet")))
    assert now in text
    assert "?" not in text.replace("\x1b[?", "")


def test_a_terminal_that_stands_still_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(terminal_room, "END_SECONDS", 0.3)
    monitor = a_monitor()
    for number in range(2000):  # pictures that fill the pipe soon
        monitor.performed((0x90 if number % 2 else 0x80, number // 2 % 128, 64), 1e9 + number)
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    terminal = Terminal(lambda now: monitor.view(now, session()), MonotonicClock(), command=command)
    begun = time.monotonic()
    with terminal:
        os.set_blocking(terminal._child.stdin.fileno(), True)  # type: ignore[union-attr]
        time.sleep(1.5)
    assert time.monotonic() - begun < 10.0
    assert not terminal._thread.is_alive()


def test_a_process_that_draws_nothing_any_more_is_nobody_elses_trouble() -> None:
    command = (sys.executable, "-c", "raise SystemExit")
    with Terminal(
        lambda now: a_monitor().view(now, session()), MonotonicClock(), command=command
    ) as terminal:
        terminal._child.wait(20.0)
        time.sleep(0.3)
    assert not terminal._thread.is_alive()
