"""Parts of the page that need no browser, run by Node: the clocks, and the values of sliders."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from midirnn.live.controls.knobs import KNOBS, Scale

PAGE = Path(__file__).parents[2] / "midirnn" / "web" / "page"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(
    NODE is None and not os.environ.get("CI"), reason="no node: it comes with npm"
)


def run(script: str) -> Any:
    """Run a module in Node, in which ``done`` prints the result; return that."""
    assert NODE is not None
    text = f"const done = (value) => console.log(JSON.stringify(value));\n{script}"
    command = [NODE, "--input-type=module", "--eval", text.replace("PAGE/", f"{PAGE.as_uri()}/")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(found.stdout)


def test_the_browser_is_told_of_every_module_before_it_has_read_one() -> None:
    index = (PAGE / "index.html").read_text(encoding="utf-8")
    told = re.findall(r'rel="modulepreload" href="page/(\w+\.js)"', index)
    imported: set[str] = set()
    for path in PAGE.glob("*.js"):
        imported.update(re.findall(r'from "\./(\w+\.js)"', path.read_text(encoding="utf-8")))
    assert told == sorted(imported)


CLOCK = """
import { SessionClock } from "PAGE/clocks.js";
const clock = new SessionClock();
let seed = 1;
const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
const session = (page) => 5000 + page * (1 + DRIFT);
const errors = [];
for (let page = 10; page < 70; page += 0.1) {
    const there = 0.0003 + 0.004 * random() ** 4 + (random() < 0.05 ? 0.2 : 0);
    const back = 0.0003 + 0.004 * random() ** 4;
    clock.hear(page, session(page + there), page + there + back);
    if (page > 30) {
        errors.push(Math.abs(clock.now(page + 1) - session(page + 1)));
        errors.push(Math.abs(clock.pageTime(session(page + 1)) - (page + 1)));
    }
}
done(Math.max(...errors));
"""


@pytest.mark.parametrize("drift", ["0", "5e-5", "-2e-4"])
def test_the_clock_of_the_session_is_known_within_two_milliseconds(drift: str) -> None:
    assert run(CLOCK.replace("DRIFT", drift)) < 0.002


JUMP = """
import { SessionClock } from "PAGE/clocks.js";
const clock = new SessionClock();
for (let page = 0; page < 20; page += 0.1) {
    const offset = page < 10 ? 100 : 160;
    clock.hear(page, page + offset + 0.001, page + 0.002);
}
done(Math.abs(clock.now(20) - 180));
"""


def test_a_clock_that_jumps_is_followed_at_once() -> None:
    assert run(JUMP) < 0.002


LINK = """
import { Link } from "PAGE/link.js";
let now = 1;
performance.now = () => 1000 * now;
globalThis.location = { href: "http://127.0.0.1:1/" };
globalThis.WebSocket = class { static OPEN = 1; readyState = 1; send() {} };
const silent = [];
const nothing = () => {};
const silence = () => silent.push(now);
const link = new Link("", { hear: nothing, change: nothing, silent: silence, pong: nothing });
link.connect();
link.socket.onopen();
const tick = (seconds) => { now += seconds; link.tick(true); };
const answer = () => link.receive("[]");
"""
"""A connection of which the time is told, and which keeps when it took the server for gone."""


def test_a_server_that_no_longer_answers_is_gone_within_half_a_second() -> None:
    script = "for (let count = 0; count < 20; count += 1) tick(0.05); done(silent);"
    (at,) = run(LINK + script)
    assert 1.4 <= at <= 1.5


def test_a_machine_that_stood_still_has_lost_no_server() -> None:
    standstill = """
    for (let count = 0; count < 20; count += 1) {
        tick(2);
        for (let missed = 0; missed < 40; missed += 1) tick(0.0001);
        answer();
    }
    done(silent);
    """
    assert run(LINK + standstill) == []


AUDIO = """
import { AudioClock } from "PAGE/clocks.js";
let now = 0;
performance.now = () => 1000 * now;
// The context's time moves in blocks of 10 ms, and is 3 s behind the page's.
const context = { get currentTime() { return Math.floor((now - 3) * 100) / 100; } };
const clock = new AudioClock(context);
for (now = 5; now < 15; now += 0.0173) clock.look();
done(Math.abs(clock.at(20) - 17));
"""


def test_the_audio_clock_is_known_better_than_its_blocks() -> None:
    assert run(AUDIO) < 0.001


SLIDERS = """
import { positionOf, valueAt } from "PAGE/panel.js";
const knobs = KNOBS;
const found = {};
for (const knob of knobs) {
    const values = [];
    for (let position = 0; position <= 254; position += 2) values.push(valueAt(knob, position));
    const back = values.map((value) => positionOf(knob, value));
    found[knob.name] = { values, back };
}
done(found);
"""


def test_sliders_have_the_values_of_controllers() -> None:
    numbers = [k for k in KNOBS.values() if k.scale in (Scale.LINEAR, Scale.LOG)]
    fields = ("name", "low", "high", "unit", "free")
    plain = [
        {field: getattr(knob, field) for field in fields} | {"scale": str(knob.scale)}
        for knob in numbers
    ]
    found = run(SLIDERS.replace("KNOBS", json.dumps(plain)))
    for knob in numbers:
        values = found[knob.name]["values"]
        assert values[-1] == pytest.approx(knob.value(127))
        assert values[0] == (None if knob.free else pytest.approx(knob.value(0)))
        for value in values:
            knob.check(value)
        if knob.unit not in ("pitch", "velocity"):
            assert found[knob.name]["back"] == list(range(0, 255, 2))


RANGE = """
import { Range } from "PAGE/range.js";
const range = new Range();
const seen = [];
const show = (pitches, seconds) => {
    let frames = 0;
    for (let at = 0; at < 60 * seconds; at += 1) {
        range.fit(pitches.map((pitch) => ({ pitch })), (now += 1 / 60));
        frames += range.moved;
    }
    seen.push([range.low, range.high, frames]);
};
let now = 0;
show([60], 1);
show([60, 90], 2);
show([60, 91], 2);
show([60], 2);
show([60], 4);
done(seen);
"""


def test_the_pitches_in_view_widen_in_steps_and_narrow_late() -> None:
    still, wider, enough, waits, narrow = run(RANGE)
    assert still == [45, 80, 0]
    assert wider[:2] == [45, 98]
    assert 10 < wider[2] < 90  # frames of gliding
    assert enough == [45, 98, 0]
    assert waits == [45, 98, 0]
    assert narrow[:2] == [45, 80]


UNITS = """
import { Units } from "PAGE/units.js";
const canvas = { setAttribute: () => {}, clientWidth: 0 };
const units = new Units({ querySelector: () => canvas, hidden: true });
units.build([["loudness", "c1[3]"]]);
units.hear(10, [0.1], false);
units.hear(12, [0.9], true);
units.hear(11, [0.5], true);
units.hear(14, [0.2], true);
const before = [9, 10.5, 11.5, 13, 15].map((at) => units.at(at)?.[0] ?? null);
units.drop(12.5);
const after = [13, 15].map((at) => units.at(at)[0]);
units.draw(60);
done([before, after, units.moments.length, units.element.hidden]);
"""


def test_values_of_units_count_from_their_moment_and_are_dropped_with_the_plan() -> None:
    before, after, left, hidden = run(UNITS)
    assert before == [None, 0.1, 0.5, 0.9, 0.2]
    assert after == [0.9, 0.9]
    assert left == 1
    assert hidden is False


MACHINE = """
import { Machine } from "PAGE/machine.js";
import { Notes } from "PAGE/notes.js";
const machine = new Machine(new Notes(), { now: () => 10, pageTime: (at) => at });
class Voice {
    constructor(start) { this.start = start; this.damped = null; }
    keep() { this.damped = null; }
    release(at) { this.damped = Math.round(100 * (at - 0.015)) / 100; }
    cut() { this.damped = "cut"; }
}
machine.sound = {
    running: true,
    clock: { at: (at) => at },
    context: { currentTime: 10 },
    play: (who, pitch, velocity, at) => new Voice(at),
};
const ends = () => [...machine.voices.values()].map((voice) => voice.damped);
const [ON, OFF, DOWN, UP] = [[144, 60, 80], [128, 60, 0], [176, 64, 127], [176, 64, 0]];
"""


@pytest.mark.parametrize(
    ("plan", "heard_until"),
    [
        ("[[0, 10.1, ON], [1, 10.3, OFF]]", 10.3),
        ("[[0, 10.1, DOWN], [1, 10.1, ON], [2, 10.3, OFF], [3, 11.5, UP]]", 11.5),
        ("[[0, 10.1, DOWN], [1, 10.1, ON], [2, 10.3, OFF]]", None),
        ("[[0, 10.1, DOWN], [1, 10.1, ON], [2, 10.3, UP], [3, 10.5, OFF]]", 10.5),
        ("[[0, 10.1, ON], [1, 10.3, OFF], [2, 10.4, DOWN]]", 10.3),
        ("[[0, 9.9, DOWN], [1, 10.1, ON], [2, 10.3, UP], [3, 10.3, DOWN], [4, 10.3, OFF]]", None),
    ],
)
def test_what_the_model_plays_sounds_until_its_key_and_its_pedal_are_up(
    plan: str, heard_until: float | None
) -> None:
    assert run(f"{MACHINE} machine.plan({plan}); done(ends());") == [heard_until]


def test_where_a_plan_is_dropped_the_pedal_holds_on_until_it_is_sent_up() -> None:
    script = """
        machine.plan([[0, 9.95, DOWN], [1, 9.97, ON], [2, 10.3, OFF], [3, 11.5, UP]]);
        const found = [ends()];
        machine.drop(2, 10.35);
        found.push(ends());
        machine.sent({ m: UP, at: 10.4, due: 10.4 });
        found.push(ends());
        done(found);
    """
    assert run(MACHINE + script) == [[11.5], [None], [10.4]]


def test_a_note_that_was_ended_early_stays_ended_when_its_plan_is_dropped() -> None:
    script = """
        machine.plan([[0, 9.95, DOWN], [1, 9.97, ON], [2, 10.3, OFF], [3, 10.5, [144, 62, 80]]]);
        machine.sent({ m: OFF, at: 10.1, due: 10.1 });
        machine.sent({ m: UP, at: 10.1, due: 10.1 });
        machine.drop(1, 10.2);
        done([ends(), machine.notes.all.map((note) => [note.end, note.droppedAt ?? null])]);
    """
    assert run(MACHINE + script) == [[10.1], [[10.1, None], [None, 10.2]]]
