"""The roll in a real browser: pictures that are moved look like notes drawn anew."""

from __future__ import annotations

from typing import Any

from tests.web.jams import needs_chromium

pytestmark = needs_chromium

FILL = """
    const roll = midirnn.roll;
    const brush = roll.brush.constructor.prototype;
    const paint = brush.note;
    let painted = 0;
    brush.note = function (...of) { painted += 1; paint.apply(this, of); };
    const frame = (now) => { painted = 0; roll.draw(now); return painted; };
    const pixels = () =>
        roll.context.getImageData(0, 0, roll.canvas.width, roll.canvas.height).data;
    midirnn.notes.clear();
    const begin = 1000;
    for (let at = 0; at < 400; at += 1) {
        const start = begin - 6 + at / 30;
        midirnn.notes.add({who: at % 2 ? "you" : "machine", pitch: 50 + (at * 7) % 25,
            velocity: 20 + (at % 100), start, end: start + 0.2, number: at,
            nats: at % 4 === 1 ? at % 7 : undefined});
    }
    let now = begin;
    for (let at = 0; at < 200; at += 1) frame((now += 1 / 60));
"""

DIFFERENCE = """
    const unlike = () => {
        const copied = pixels();
        const [first, last] = [roll.past.show, roll.planned.show];
        for (const tape of [roll.past, roll.planned]) {
            tape.forget();
            tape.show = () => {};
        }
        frame(now);
        Object.assign(roll.past, { show: first });
        Object.assign(roll.planned, { show: last });
        const drawn = pixels();
        let unlike = 0;
        for (let at = 0; at < drawn.length; at += 4) {
            unlike += Math.abs(drawn[at] - copied[at]) + Math.abs(drawn[at + 1] - copied[at + 1])
                + Math.abs(drawn[at + 2] - copied[at + 2]) > 48;
        }
        return unlike / (drawn.length / 4);
    };
"""

END = "brush.note = paint; midirnn.notes.clear();"


def run(page: Any, script: str) -> Any:
    """Run a script with 200 notes in view; ``found`` is returned."""
    whole = f"{FILL} {DIFFERENCE} let found; {script} {END} return found;"
    return page.evaluate(f"(() => {{ {whole} }})()")


def test_pictures_that_are_moved_look_like_notes_drawn_anew(page: Any) -> None:
    assert run(page, "found = unlike();") < 0.002


def test_a_frame_draws_few_of_the_notes_in_view(page: Any) -> None:
    frames = "found = []; for (let at = 0; at < 30; at += 1) found.push(frame((now += 1 / 60)));"
    shown, painted = run(page, f"{frames} found = [roll.shown.length, found];")
    assert shown > 150
    assert sorted(painted)[15] < 20


def test_what_is_dropped_dissolves_and_leaves_nothing_behind(page: Any) -> None:
    drop = """
        for (const note of midirnn.notes.all) if (note.start > now) note.droppedAt = now;
        const ahead = () => {
            const [from, width] = [roll.line + 20, roll.canvas.width - roll.line - 20];
            const data = roll.context.getImageData(from, 0, width, roll.canvas.height).data;
            let other = 0;
            for (let at = 0; at < data.length; at += 4) other += data[at] > data[at + 2] + 60;
            return other;
        };
        const before = ahead();
        for (let at = 0; at < 40; at += 1) frame((now += 1 / 60));
        found = [before, ahead()];
    """
    before, after = run(page, drop)
    assert before > 1000  # the model's notes are redder than the ground
    assert after == 0


def test_a_surprise_that_comes_late_is_drawn(page: Any) -> None:
    late = """
        const note = midirnn.notes.all.find((n) => n.who === "you" && n.nats === undefined
            && n.end < now - 1 && n.end > now - 3);
        const dot = () => {
            const [x, y] = [roll.x(note.start), roll.y(note.pitch) + roll.row / 2];
            return [...roll.context.getImageData(x * roll.scale, y * roll.scale, 1, 1).data];
        };
        const before = dot();
        note.nats = 6;
        frame(now);
        found = [before, dot(), unlike()];
    """
    before, after, unlike = run(page, late)
    assert before != after
    assert unlike < 0.002


def test_a_note_that_turns_out_shorter_is_drawn_shorter(page: Any) -> None:
    shorter = """
        const note = midirnn.notes.all.find((n) => n.end < now - 1 && n.end > now - 2);
        note.end = note.start + 0.05;
        frame(now);
        found = unlike();
    """
    assert run(page, shorter) < 0.002
