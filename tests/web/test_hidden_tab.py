"""Nothing jumps when the tab was hidden: the music goes on, and the roll shows it in its place."""

from __future__ import annotations

import time
from typing import Any

from tests.web.jams import change_mode, needs_chromium, wait

pytestmark = needs_chromium

HIDDEN_SECONDS = 3.0
WATCH = """
(() => {
    const m = midirnn;
    const seen = (window.seen = {frames: [], late: [], cut: 0});
    const draw = m.roll.draw.bind(m.roll);
    m.roll.draw = (now) => {
        const page = performance.now() / 1000;
        draw(now);
        seen.frames.push({ page, now, clock: m.clock.now(page) });
    };
    const begin = m.machine.begin.bind(m.machine);
    m.machine.begin = (pitch, velocity, at, number) => {
        begin(pitch, velocity, at, number);
        seen.late.push(m.clock.now() - at);
    };
})()
"""

CLOCK = """
(() => {
    const { clock } = midirnn;
    const at = performance.now() / 1000;
    return [clock.at(at), Math.max(...clock.windows.map((window) => window.delay))];
})()
"""
"""The session's time less the page's, and how exactly that is known: the time of a ping."""


def hide(page: Any, seconds: float) -> int:
    """Show another tab for so long; return how many frames this one drew meanwhile."""
    page.context.new_cdp_session(page).send(
        "Emulation.setFocusEmulationEnabled", {"enabled": False}
    )
    other = page.context.new_page()
    other.bring_to_front()
    before: int = page.evaluate("midirnn.roll.frames")
    time.sleep(seconds)
    drawn: int = page.evaluate("midirnn.roll.frames") - before
    page.bring_to_front()
    other.close()
    return drawn


def test_nothing_jumps_when_the_tab_was_hidden(page: Any) -> None:
    page.keyboard.press("KeyQ")
    change_mode(page, "autopilot")
    wait(page, "midirnn.machine.busy && midirnn.machine.late.length > 5")
    page.evaluate(WATCH)
    wait(page, "seen.frames.length > 5")
    offset, delay = page.evaluate(CLOCK)
    plays = page.evaluate("midirnn.machine.late.length")
    assert hide(page, HIDDEN_SECONDS) < 20 * HIDDEN_SECONDS  # a hidden tab draws almost nothing
    frames = page.evaluate("seen.frames.length")
    wait(page, f"seen.frames.length > {frames} + 5")
    # The music went on, planned ahead, and is known with all its notes.
    assert page.evaluate("midirnn.machine.late.length") > plays
    assert page.evaluate("seen.late.filter((late) => late < 0).length") > 0
    drawn = page.evaluate(
        "midirnn.notes.all.filter((note) => note.who === 'machine' && !note.droppedAt)"
        ".filter((note) => note.start < midirnn.clock.now())"
        ".filter((note) => note.start > midirnn.clock.now() - 6).length"
    )
    assert drawn > 3
    # The session's time is the page's as before: what is drawn is where it would have been.
    offset_after, delay_after = page.evaluate(CLOCK)
    assert abs(offset_after - offset) < 0.02 + delay + delay_after
    times = page.evaluate("seen.frames.map(({ now, clock }) => [now, clock])")
    assert all(now <= clock + 0.001 for now, clock in times)
    drawn_at = [now for now, _ in times]
    assert drawn_at == sorted(drawn_at)
    # No voice sounds longer than its note because nobody was there to end it.
    wait(page, "[...midirnn.machine.voices.keys()].every(n => n.end > midirnn.clock.now() - 8)")
    change_mode(page, "call_and_response")


def test_no_old_note_sounds_all_at_once_on_a_page_that_stood_still(page: Any) -> None:
    page.keyboard.press("KeyQ")
    change_mode(page, "autopilot")
    wait(page, "midirnn.machine.busy && midirnn.machine.late.length > 5")
    late = page.evaluate(
        """() => {
            const begun = midirnn.machine.late.length;
            window.begun = begun;
            const until = performance.now() + 2500;
            while (performance.now() < until);
            return begun;
        }"""
    )
    wait(page, f"midirnn.machine.late.length > {late} + 3")
    assert max(page.evaluate(f"midirnn.machine.late.slice({late})")) < 0.5
    change_mode(page, "call_and_response")
