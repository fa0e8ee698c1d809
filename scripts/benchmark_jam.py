"""Measure latency, timing and cost of the page of ``midirnn jam`` in a headless Chromium.

python scripts/benchmark_jam.py
python scripts/benchmark_jam.py --frames
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
from jam_page import EVERY_SAMPLE, chromium, jam, open_page, wait
from machine import OtherLoad, processor_name

NOTES = 1000
KEYS = 60
RELEASES = 10
ROWS = "QWERTYUIOP"
RUNNING_SECONDS = 20.0
FRAMES_SECONDS = 10.0
LATE_FRAME_MS = 17.5
"""A frame that comes longer than this after the last one is late."""

WATCH = """
(() => {
    const m = midirnn;
    const bench = (m.bench = {own: [], shown: [], machine: [], draws: []});
    let pressed = null;
    addEventListener("keydown", (event) => (pressed = event.timeStamp), true);
    const down = m.performer.down.bind(m.performer);
    m.performer.down = (...note) => {
        const at = pressed;
        down(...note);
        if (at !== null) bench.own.push(performance.now() - at);
    };
    const plan = m.machine.plan.bind(m.machine);
    m.machine.plan = (events) => {
        plan(events);
        const at = pressed;
        if (at === null || !events.some(([, , e]) => (e[0] & 0xf0) === 0x90 && e[2] > 0)) return;
        pressed = null;
        requestAnimationFrame(() => bench.shown.push(performance.now() - at));
    };
    const begin = m.machine.begin.bind(m.machine);
    m.machine.begin = (pitch, velocity, at, number) => {
        const before = m.machine.late.length;
        begin(pitch, velocity, at, number);
        const voice = [...m.machine.voices.values()].at(-1);
        if (m.machine.late.length > before && voice) bench.machine.push([at, voice.start]);
    };
    const draw = m.roll.draw.bind(m.roll);
    m.roll.draw = (now) => {
        const from = performance.now();
        draw(now);
        bench.draws.push(performance.now() - from);
    };
})()
"""

FILL = """
(() => {
    const now = midirnn.clock.now();
    const each = midirnn.roll.span.past + midirnn.roll.span.ahead;
    for (let at = 0; at < 800; at += 1) {
        const start = now - midirnn.roll.span.past + at * each / 200;
        midirnn.notes.add({who: at % 2 ? "you" : "machine", pitch: 36 + (at * 7) % 60,
            velocity: 20 + (at % 100), start, end: start + 0.3, nats: at % 2 ? at % 7 : undefined});
    }
})()
"""
"""200 notes in view for half a minute."""

FRAMES = """
(() => {
    const times = (window.frameTimes = []);
    const look = (time) => {
        times.push(time);
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
})()
"""
"""The browser's time stamp of each frame."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="piano")
    parser.add_argument("--notes", type=int, default=NOTES)
    parser.add_argument("--frames", action="store_true", help="measure the drawing alone")
    options = parser.parse_args()
    load = OtherLoad()
    with chromium() as browser, jam(options.model) as running:
        page = open_page(browser, running.address)
        report("from command to playable page", f"{time.monotonic() - running.began:.2f} s")
        page.keyboard.press("KeyQ")
        wait(page, EVERY_SAMPLE)
        page.evaluate(WATCH)
        if not options.frames:
            measure_keys(page)
            measure_notes(page, options.notes)
            measure_cost(page, running.server_id())
        measure_frames(page)
        if not options.frames:
            measure_release(browser, page, running.address, running.server_id())
        page.context.close()
        measure_empty_page(browser)
    print(f"{processor_name()}; other processes used {load.cores():.1f} cores, Chromium's included")


def report(what: str, value: str) -> None:
    print(f"{what:<52} {value}", flush=True)


def spread(values: Sequence[float]) -> str:
    """Return the median and the 99th percentile of milliseconds."""
    if not values:
        return "none"
    p50, p99 = np.percentile(values, [50, 99])
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms ({len(values)})"


def measure_keys(page: Any) -> None:
    """Press keys in a duet: measure their own sound, and the first note planned in response."""
    page.get_by_role("radio", name="duet").click()
    for number in range(KEYS):
        key = f"Key{ROWS[number * 3 % len(ROWS)]}"
        page.keyboard.down(key)
        page.wait_for_timeout(180)
        page.keyboard.up(key)
        page.wait_for_timeout(220)
    bench = page.evaluate("midirnn.bench")
    latency = page.evaluate(
        "1000 * (midirnn.sound.context.baseLatency + midirnn.sound.context.outputLatency)"
    )
    report("key down to own sound, in the page", spread(bench["own"]))
    report("and from there to the loudspeaker, says the browser", f"{latency:.0f} ms")
    report("key down to the first planned answer shown", spread(bench["shown"]))


def measure_notes(page: Any, notes: int) -> None:
    """Let the model play alone: compare when its notes are scheduled with when they are due."""
    page.evaluate("midirnn.bench.machine.length = 0; midirnn.link.messages = 0")
    page.get_by_role("radio", name="autopilot").click()
    page.evaluate("midirnn.panel.turnTo('density', 24)")
    end = time.monotonic() + 240
    while time.monotonic() < end and page.evaluate("midirnn.bench.machine.length") < notes:
        page.wait_for_timeout(500)
    due, begun = np.array(page.evaluate("midirnn.bench.machine")).T
    apart = begun - due
    late = 1000 * np.abs(apart - np.median(apart))
    report("the model's notes beside their time on the audio clock", spread(late.tolist()))


def measure_cost(page: Any, server: int) -> None:
    """Measure processor use and messages per second while the model plays."""
    page.evaluate("midirnn.link.messages = 0")
    busy, began = cpu_seconds(server), time.monotonic()
    page.wait_for_timeout(1000 * RUNNING_SECONDS)
    seconds = time.monotonic() - began
    share = (cpu_seconds(server) - busy) / seconds
    messages = page.evaluate("midirnn.link.messages") / seconds
    report("the server's share of a processor", f"{100 * share:.1f} %")
    report("WebSocket messages to the page", f"{messages:.0f} a second")
    page.get_by_role("button", name="Panic").click()


def measure_frames(page: Any) -> None:
    """Show 200 notes: measure the browser's time stamps of its frames, and their cost."""
    page.evaluate(FILL)
    page.evaluate(FRAMES)
    page.wait_for_timeout(1000)
    page.evaluate("midirnn.bench.draws.length = 0")
    before = browser_seconds(page.context.browser)
    times = count_frames(page, "with 200 notes in view")
    after = browser_seconds(page.context.browser)
    report("drawing one of them, in the script", spread(page.evaluate("midirnn.bench.draws")))
    for what, kind in (("the page's process", "renderer"), ("the whole browser", "all")):
        each = 1000 * (after[kind] - before[kind]) / len(times)
        report(f"processor time of {what}, a frame", f"{each:.1f} ms")


def measure_empty_page(browser: Any) -> None:
    """Count the frames of an empty page, which is the most that the browser can do now."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.evaluate(FRAMES)
    page.wait_for_timeout(1000)
    count_frames(page, "of an empty page")
    page.context.close()


def count_frames(page: Any, of: str) -> NDArray[np.float64]:
    """Return the times of a page's frames for a while, in milliseconds."""
    page.evaluate("frameTimes.length = 0")
    page.wait_for_timeout(1000 * FRAMES_SECONDS)
    times = np.array(page.evaluate("frameTimes"))
    apart = np.diff(times)
    late = int((apart > LATE_FRAME_MS).sum())
    report(f"frames {of}", f"{1000 / apart.mean():.1f} a second; {late} of {len(apart)} late")
    return times


def measure_release(browser: Any, page: Any, address: str, server: int) -> None:
    """Measure when a held key ends after its page is closed, and after the server hangs."""
    closed, hung = [], []
    end = "midirnn.notes.all.findLast(n => n.who === 'you').end"
    for _ in range(RELEASES):
        player = open_page(browser, address)
        player.get_by_role("button", name="Play here").click()
        wait(player, "midirnn.performer.mayPlay")
        player.keyboard.down("KeyQ")
        wait(page, f"{end} === Infinity")
        began = time.monotonic()
        player.context.close()
        wait(page, f"{end} < Infinity")
        closed.append(1000 * (page.evaluate(end) - began))
        wait(page, "midirnn.performer.mayPlay && midirnn.link.open && !midirnn.link.isSilent")
        page.keyboard.down("KeyQ")
        wait(page, f"{end} === Infinity")
        page.wait_for_timeout(200)
        began = time.monotonic()
        os.kill(server, signal.SIGSTOP)
        wait(page, f"{end} < Infinity")
        os.kill(server, signal.SIGCONT)
        hung.append(1000 * (page.evaluate(end) - began))
        page.keyboard.up("KeyQ")
    report("a tab is closed: its key ends in the session after", spread(closed))
    report("the server hangs: the key ends on the page after", spread(hung))


# Helpers.


def browser_seconds(browser: Any) -> dict[str, float]:
    """Return the processor seconds of a browser's processes, by their kind, and all together."""
    session = browser.new_browser_cdp_session()
    seconds = {"all": 0.0}
    for process in session.send("SystemInfo.getProcessInfo")["processInfo"]:
        kind = process["type"]
        seconds[kind] = seconds.get(kind, 0.0) + process["cpuTime"]
        seconds["all"] += process["cpuTime"]
    session.detach()
    return seconds


def cpu_seconds(process_id: int) -> float:
    """Return the processor seconds that a process has used (Linux)."""
    fields = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
