"""The roll in a real browser: pictures that are moved look like notes painted anew."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from tests.web.jams import needs_chromium, wait

pytestmark = needs_chromium

FILL = """
    const roll = midirnn.roll;
    let painted = 0;
    const paint = roll.paint;
    roll.paint = function (...of) { painted += 1; paint.apply(this, of); };
    const frame = (now) => { painted = 0; roll.draw(now); return painted; };
    const contextOf = ({ canvas }) => {
        const copy = new OffscreenCanvas(canvas.width, canvas.height);
        const context = copy.getContext("2d");
        context.drawImage(canvas, 0, 0);
        return context;
    };
    const pixels = (strip) => strip.pictures.map((picture) =>
        contextOf(picture).getImageData(0, 0, picture.canvas.width, picture.canvas.height).data);
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
        const before = [...pixels(roll.past), ...pixels(roll.planned)];
        roll.begin();
        frame(now);
        const after = [...pixels(roll.past), ...pixels(roll.planned)];
        let unlike = 0;
        after.forEach((data, picture) => data.forEach((value, at) => {
            unlike += value !== before[picture][at];
        }));
        return unlike;
    };
    const dot = (seconds, pitch) => {
        const pixel = seconds / roll.secondsPerPixel;
        const picture = roll.past.pictures.find(({ index, canvas }) =>
            index * roll.past.pixels <= pixel && pixel < index * roll.past.pixels + canvas.width);
        const x = pixel - picture.index * roll.past.pixels;
        const y = (roll.y(pitch) + roll.row / 2) * roll.scale;
        return [...contextOf(picture).getImageData(x, y, 1, 1).data];
    };
"""

END = "roll.paint = paint; midirnn.notes.clear();"


def run(page: Any, script: str) -> Any:
    """Run a script with 200 notes in view; ``found`` is returned."""
    whole = f"{FILL} {DIFFERENCE} let found; {script} {END} return found;"
    return page.evaluate(f"(() => {{ {whole} }})()")


def test_pictures_that_are_moved_look_like_notes_painted_anew(page: Any) -> None:
    assert run(page, "found = unlike();") == 0


def test_most_frames_paint_nothing(page: Any) -> None:
    frames = "found = []; for (let at = 0; at < 60; at += 1) found.push(frame((now += 1 / 60)));"
    shown, painted = run(page, f"{frames} found = [roll.shown.length, found];")
    assert shown > 150
    assert painted.count(0) > 50
    assert sum(painted) < 10


GLIDE = """
    const drawn = () => {
        const { scale, translate } = roll.past.film.style;
        const times = parseFloat(scale.split(" ").at(-1));
        const down = parseFloat(translate.split(" ")[1] ?? "0");
        return down + times * roll.y(60, roll.painted);
    };
    const glide = () => {
        const painted = [];
        const off = [];
        for (let at = 0; at < 90; at += 1) {
            painted.push(frame((now += 1 / 60)));
            off.push(Math.abs(drawn() - roll.y(60)));
        }
        return [roll.range.high, painted.filter((count) => count > 0).length, Math.max(...off)];
    };
    const high = midirnn.notes.add({who: "you", pitch: 97, velocity: 80, start: now, end: now + 1});
    const wider = glide();
    const unlikeWhenWide = unlike();
    midirnn.notes.all = midirnn.notes.all.filter((note) => note !== high);
    for (let at = 0; at < 420; at += 1) frame((now += 1 / 60));
    found = [wider, unlikeWhenWide, roll.range.high, unlike()];
"""


def test_while_the_pitches_in_view_glide_the_pictures_are_stretched_and_not_painted(
    page: Any,
) -> None:
    (high, painted, off), unlike_when_wide, high_again, unlike = run(page, GLIDE)
    assert high > 97
    assert painted < 8  # one for the wider view; others show what comes into view
    assert off < 0.01
    assert high_again < 97
    assert (unlike_when_wide, unlike) == (0, 0)


def test_what_is_dropped_dissolves_and_leaves_nothing_behind(page: Any) -> None:
    drop = """
        const red = (data) => {
            let sum = 0;
            for (let at = 0; at < data.length; at += 4) sum += data[at] > data[at + 2] + 60;
            return sum;
        };
        const ahead = () => roll.planned.pictures.reduce((sum, picture) => {
            const { index, canvas } = picture;
            const left = Math.max(0, now / roll.secondsPerPixel + 20 - index * roll.planned.pixels);
            const width = canvas.width - left;
            if (width < 1) return sum;
            return sum + red(contextOf(picture).getImageData(left, 0, width, canvas.height).data);
        }, 0);
        const { canvas, context } = roll.dissolving;
        const floating = () =>
            red(context.getImageData(0, 0, canvas.width, canvas.height).data);
        const before = ahead();
        for (const note of midirnn.notes.all) if (note.start > now) note.droppedAt = now;
        frame((now += 0.1));
        found = [before, ahead(), floating(), canvas.hidden];
        for (let at = 0; at < 40; at += 1) frame((now += 1 / 60));
        found.push(canvas.hidden);
    """
    before, after, floating, hidden, hidden_after = run(page, drop)
    assert before > 1000  # the model's notes are redder than the ground
    assert floating > 100
    assert after == 0
    assert (hidden, hidden_after) == (False, True)


def test_a_surprise_that_comes_late_is_painted(page: Any) -> None:
    late = """
        const note = midirnn.notes.all.find((n) => n.who === "you" && n.nats === undefined
            && n.end < now - 1 && n.end > now - 3);
        const before = dot(note.start, note.pitch);
        note.nats = 6;
        frame(now);
        found = [before, dot(note.start, note.pitch), unlike()];
    """
    before, after, unlike = run(page, late)
    assert before != after
    assert unlike == 0


@pytest.mark.parametrize("change", ["note.end = note.start + 0.05", "note.end = Infinity"])
def test_a_note_that_turns_out_shorter_or_longer_is_painted_anew(page: Any, change: str) -> None:
    changed = f"""
        const note = midirnn.notes.all.find((n) => n.end < now - 1 && n.end > now - 2);
        {change};
        found = [frame(now), unlike()];
    """
    painted, unlike = run(page, changed)
    assert painted > 0
    assert unlike == 0


def test_a_planned_note_is_painted_to_its_end_when_that_is_known_later(page: Any) -> None:
    planned = """
        found = 0;
        for (let pitch = 60; pitch < 66; pitch += 1) {
            const note = midirnn.notes.add({who: "machine", pitch, velocity: 90,
                start: now + 0.2, end: Infinity, number: 1000 + pitch});
            frame((now += 1 / 60));
            note.end = now + 1.9;
            frame((now += 1 / 60));
            found += unlike();
            for (let at = 0; at < 28; at += 1) frame((now += 1 / 60));
        }
    """
    assert run(page, planned) == 0


def test_the_beats_of_a_clock_that_is_followed_are_lines(page: Any) -> None:
    beats = """
        const colour = (seconds, right) => {
            const pixel = seconds / roll.secondsPerPixel;
            const picture = roll.past.pictures.find(({ index }) =>
                index * roll.past.pixels <= pixel && pixel < (index + 1) * roll.past.pixels);
            const x = Math.round(pixel - picture.index * roll.past.pixels) + right;
            return [...contextOf(picture).getImageData(x, 1, 1, 1).data];
        };
        const lines = () => [0.25, 0.5, 0.75].map((after) =>
            colour(begin + after, 0).join() !== colour(begin + after, 4).join());
        const before = lines();
        roll.clock = { bpm: 120, beat: begin };
        frame((now += 1 / 60));
        found = [before, lines()];
        roll.clock = null;
    """
    assert run(page, beats) == [[False, False, False], [False, True, False]]


def test_the_past_is_left_of_the_now_line_and_the_plan_to_its_right(page: Any) -> None:
    """A picture of the page, with a bright note that is half over: its rest is dimmer."""
    image = pytest.importorskip("PIL.Image", reason="it looks at a picture")
    page.emulate_media(color_scheme="dark")
    wait(page, "midirnn.roll.brush.colours.machine === '#ffa44f'")
    place = page.evaluate(
        """() => {
            const roll = midirnn.roll;
            midirnn.notes.clear();
            midirnn.notes.add({who: "machine", pitch: 50, velocity: 110, start: 999, end: 1001,
                number: 0});
            roll.draw(1000);
            const draw = roll.draw;
            roll.draw = () => {};
            for (const strip of [roll.past, roll.planned]) strip.motion.pause();
            window.restore = () => {
                for (const strip of [roll.past, roll.planned]) strip.motion.play();
                roll.draw = draw;
                midirnn.notes.clear();
            };
            const box = roll.element.getBoundingClientRect();
            return [box.left + roll.line / roll.scale, box.top + roll.y(50) + roll.row / 2,
                1 / roll.secondsPerPixel / roll.scale];
        }"""
    )
    line, y, second = place
    shot = np.asarray(image.open(io.BytesIO(page.screenshot())).convert("RGB"), np.int64)
    page.evaluate("restore()")
    red = shot[round(y), :, 0]
    assert red[round(line - second / 2)] > 200
    assert 80 < red[round(line + second / 2)] < 180
    assert red[round(line - 1.2 * second)] < 60
    assert red[round(line + 1.2 * second)] < 60
