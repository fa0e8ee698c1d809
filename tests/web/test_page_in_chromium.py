"""The page in a real browser: keys are heard, the model's answer is seen and sounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.web.jams import (
    JamProcess,
    change_mode,
    close_pages,
    happens,
    needs_chromium,
    open_page,
    phrase,
    until,
    wait,
)

pytestmark = needs_chromium

HZ_OF_C4 = 261.63
PEAK = """
() => {
    const {analyser, context} = midirnn.sound;
    const bins = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(bins);
    let best = 0;
    bins.forEach((level, bin) => { if (level > bins[best]) best = bin; });
    return [best * context.sampleRate / analyser.fftSize, bins[best]];
}
"""


@pytest.fixture(autouse=True)
def no_page_is_left(chromium: Any) -> Iterator[None]:
    yield
    close_pages(chromium)


def peak(page: Any) -> tuple[float, float]:
    """The loudest frequency in hertz, and its level in decibels."""
    hertz, level = page.evaluate(PEAK)
    return hertz, level or -999.0


def test_a_key_of_the_computer_is_heard_at_its_pitch(page: Any) -> None:
    page.keyboard.down("KeyQ")
    wait(page, "midirnn.sound.running && midirnn.sound.samples.loaded.size > 80")
    page.keyboard.up("KeyQ")
    overtones = [HZ_OF_C4 * n for n in (1, 2, 3, 4)]

    def is_heard() -> bool:
        page.wait_for_timeout(500)
        page.keyboard.down("KeyQ")
        page.wait_for_timeout(300)
        hertz, level = peak(page)
        page.keyboard.up("KeyQ")
        return level > -60.0 and min(abs(hertz - hz) / hz for hz in overtones) < 0.03

    until(is_heard)


def test_the_answer_of_the_model_is_seen_and_sounds(page: Any) -> None:
    ahead = "midirnn.notes.all.some(n => n.who === 'machine' && n.start > midirnn.clock.now())"

    def is_answered() -> bool:  # not always: on a busy machine the model may be lost meanwhile
        phrase(page)
        return happens(page, f"{ahead} && midirnn.machine.late.length >= 2", seconds=10.0)

    until(is_answered)
    assert page.evaluate("midirnn.notes.all.filter(n => n.who === 'you').length") >= 4
    assert page.evaluate("midirnn.notes.all.some(n => n.nats > 0)")


def test_while_the_model_plays_the_page_shows_its_keys_and_sounds(page: Any) -> None:
    page.keyboard.press("KeyQ")
    wait(page, "midirnn.sound.running")
    change_mode(page, "autopilot")
    wait(page, "document.getElementById('doing').textContent === 'playing'")
    wait(page, "[...midirnn.keyboard.looks.values()].some(key => key.lit === 'machine')")
    until(lambda: peak(page)[1] > -60.0)
    change_mode(page, "call_and_response")
    wait(page, "!midirnn.state.plays")


def test_panic_ends_every_note_on_both_sides(page: Any) -> None:
    change_mode(page, "autopilot")
    wait(page, "midirnn.machine.voices.size >= 2")
    page.keyboard.down("KeyQ")
    page.get_by_role("button", name="Panic").click()
    wait(page, "!midirnn.machine.busy && midirnn.performer.held.size === 0")
    wait(page, "!midirnn.state.plays")
    page.keyboard.up("KeyQ")
    change_mode(page, "call_and_response")


LIT = """
() => {
    const { keyboard } = midirnn;
    const light = keyboard.light.bind(keyboard);
    keyboard.light = () => {};
    const colour = (pitch, down) => {
        const key = keyboard.keys.get(pitch).getBoundingClientRect();
        const { canvas } = keyboard.octaves.get(Math.floor(pitch / 12));
        const place = canvas.getBoundingClientRect();
        const context = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
        context.drawImage(canvas, 0, 0);
        const scale = canvas.width / place.width;
        const x = scale * (key.left + 0.25 * key.width - place.left);
        const [red, green, blue] = context.getImageData(x, scale * down, 1, 1).data;
        return "#" + [red, green, blue].map((v) => v.toString(16).padStart(2, "0")).join("");
    };
    const colours = () => [colour(60, 125), colour(64, 125), colour(66, 50), colour(65, 2)];
    light(new Set([60, 66]), new Set([64]), new Map([[65, 0.05]]));
    const lit = colours();
    light(new Set(), new Set(), new Map());
    const style = getComputedStyle(document.documentElement);
    const named = (name) => style.getPropertyValue(`--${name}`).trim();
    return [lit, colours(), ["you", "machine", "white-key", "black-key"].map(named)];
}
"""


def test_keys_are_lit_by_who_plays_them_and_marked_before_the_model_does(page: Any) -> None:
    lit, unlit, (you, machine, white, black) = page.evaluate(LIT)
    assert unlit == [white, white, black, white]
    assert (lit[0], lit[1], lit[3]) == (you, machine, machine)
    dimmed = [round(0.78 * int(you[at : at + 2], 16)) for at in (1, 3, 5)]
    seen = [int(lit[2][at : at + 2], 16) for at in (1, 3, 5)]
    assert max(abs(a - b) for a, b in zip(dimmed, seen, strict=True)) <= 1


def test_a_key_on_the_screen_plays_under_the_mouse(page: Any) -> None:
    page.locator(".key[data-pitch='77']").hover(position={"x": 9, "y": 130})
    mine = "midirnn.notes.all.filter(n => n.who === 'you')"
    for _ in range(3):  # the page lets keys go when a busy machine stops its server for a moment
        before = page.evaluate(f"{mine}.length")
        page.mouse.down()
        wait(page, f"{mine}.length > {before}")
        page.wait_for_timeout(120)
        page.mouse.up()
        wait(page, "midirnn.performer.held.size === 0")
        played = page.evaluate(f"{mine}.at(-1)")
        assert played["pitch"] == 77
        if played["end"] - played["start"] > 0.1:
            return
    pytest.fail("no key was held for as long as the mouse button")


def test_the_session_hears_what_the_page_plays(page: Any) -> None:
    page.keyboard.down("Space")
    page.keyboard.press("KeyX")
    page.keyboard.up("Space")
    assert page.evaluate("midirnn.notes.pedals.at(-1).end - midirnn.notes.pedals.at(-1).start > 0")
    wait(page, "midirnn.notes.all.some(n => n.pitch === 50 && n.nats !== undefined)")


FAKE_MIDI = """
(() => {
    const port = (id, name) => ({ id, name, state: "connected", onmidimessage: null });
    const inputs = new Map([["1", port("1", "Keys")]]);
    const access = { inputs, onstatechange: null };
    navigator.requestMIDIAccess = async () => access;
    window.fakeMidi = {
        send: (id, data) => inputs.get(id).onmidimessage?.({ data: new Uint8Array(data) }),
        plug: (id, name) => { inputs.set(id, port(id, name)); access.onstatechange(); },
        pull: (id) => { inputs.get(id).state = "disconnected"; access.onstatechange(); },
    };
})()
"""


def open_midi_page(chromium: Any, playing: JamProcess) -> Any:
    """Open a page that plays and listens to a MIDI keyboard."""
    page = open_page(chromium, playing.url, script=FAKE_MIDI)
    wait(page, "midirnn.performer.mayPlay")
    page.get_by_role("button", name="MIDI keyboard").click()
    page.get_by_role("combobox", name="MIDI input").wait_for()
    return page


def test_midi_keyboards_of_the_browser_come_and_go(playing: JamProcess, chromium: Any) -> None:
    page = open_midi_page(chromium, playing)
    held = page.evaluate("""() => {
        fakeMidi.send('1', [0x90, 70, 90]);
        fakeMidi.send('1', [0xb0, 64, 127]);
        return [[...midirnn.performer.held.keys()], midirnn.performer.pedalDown];
    }""")
    assert held == [[70], True]
    wait(page, "midirnn.notes.all.some(n => n.pitch === 70 && n.nats !== undefined)")
    page.evaluate("fakeMidi.pull('1')")
    assert page.evaluate("midirnn.performer.holding") is False
    page.evaluate("fakeMidi.plug('2', 'Stage piano')")
    page.get_by_role("combobox", name="MIDI input").select_option("Stage piano")
    page.evaluate("fakeMidi.send('2', [0x90, 71, 90])")
    page.evaluate("fakeMidi.send('2', [0x90, 71, 0])")
    assert page.evaluate("midirnn.notes.all.filter(n => n.who === 'you').at(-1).pitch") == 71
    page.context.close()


SENT_MIDI = """
() => {
    const { link, performer } = midirnn;
    window.sent = [];
    const send = link.send.bind(link);
    link.send = (message) => {
        if (message.t === "midi") sent.push(message.m);
        return send(message);
    };
}
"""


def test_pads_and_controllers_of_the_browser_act_and_are_no_music(
    playing: JamProcess, chromium: Any
) -> None:
    page = open_midi_page(chromium, playing)
    page.evaluate(SENT_MIDI)
    notes = page.evaluate("midirnn.notes.all.length")

    def send(*messages: list[int]) -> None:
        for message in messages:
            page.evaluate(f"fakeMidi.send('1', {message})")

    send([0xB4, 106, 127], [0x99, 38, 100], [0x89, 38, 0], [0xB4, 106, 0])
    wait(page, "midirnn.state.presets.includes(3)")
    send([0xB0, 102, 127])
    wait(page, "midirnn.state.knobs.freeze")
    send([0xB0, 102, 0], [0xC2, 5], [0xE0, 0, 64], [0xF8], [0xB9, 64, 127])
    wait(page, "!midirnn.state.knobs.freeze")
    expected = [[180, 106, 127], [153, 38, 100], [137, 38, 0], [180, 106, 0]]
    assert page.evaluate("sent") == [*expected, [176, 102, 127], [176, 102, 0], [194, 5]]
    assert page.evaluate("midirnn.notes.all.length") == notes
    page.context.close()


def test_mode_messages_and_an_input_that_goes_release_what_is_held(
    playing: JamProcess, chromium: Any
) -> None:
    page = open_midi_page(chromium, playing)
    page.evaluate(SENT_MIDI)
    held = page.evaluate("""() => {
        const send = (...messages) => messages.forEach((message) => fakeMidi.send("1", message));
        const held = () => [[...midirnn.performer.held.keys()], midirnn.performer.pedalDown];
        send([0x90, 60, 80], [0x91, 62, 80], [0xb0, 64, 127], [0xb0, 123, 0]);
        const afterAllNotesOff = held();
        send([0xb1, 121, 0]);
        const afterReset = held();
        send([0xb2, 66, 127], [0x99, 45, 100]);
        sent.length = 0;
        fakeMidi.pull("1");
        return [afterAllNotesOff, afterReset, sent, midirnn.performer.holding];
    }""")
    released = [[0x80, 62, 0], [0xB2, 66, 0], [0x89, 45, 0]]
    assert held == [[[62], True], [[62], False], released, False]
    page.context.close()


def test_faders_that_move_fast_do_not_flood_the_session(playing: JamProcess, chromium: Any) -> None:
    page = open_midi_page(chromium, playing)
    page.evaluate(SENT_MIDI)
    page.evaluate("""() => {
        for (let value = 0; value < 2000; value++) {
            fakeMidi.send("1", [0xb0, 21, value % 128]);
            fakeMidi.send("1", [0xb0, 27, value % 128]);
        }
        fakeMidi.send("1", [0xb0, 21, 127]);
        fakeMidi.send("1", [0xb0, 27, 127]);
    }""")
    wait(page, "midirnn.state.knobs.balance === 4 && midirnn.state.knobs.top_p === 1")
    assert page.evaluate("sent.length") < 100
    assert page.evaluate("midirnn.link.open")
    page.context.close()


def test_while_faders_move_no_press_of_a_switch_is_lost_and_none_outlives_its_input(
    playing: JamProcess, chromium: Any
) -> None:
    page = open_midi_page(chromium, playing)
    page.evaluate(SENT_MIDI)
    pressed, late = page.evaluate("""() => {
        for (let value = 0; value < 20; value++) fakeMidi.send("1", [0xb0, 21, value]);
        fakeMidi.send("1", [0xb0, 106, 127]);
        fakeMidi.send("1", [0xb0, 106, 0]);
        const pressed = sent.filter((message) => message[1] === 106);
        fakeMidi.send("1", [0xb0, 66, 127]);
        fakeMidi.pull("1");
        midirnn.midi.tick();
        return [pressed, sent.filter((message) => message[1] === 66)];
    }""")
    assert pressed == [[0xB0, 106, 127]]
    assert late == []
    page.context.close()


TOUCH = """
() => {
    const touch = (name, pointer, pitch) => {
        const box = document.querySelector(`.key[data-pitch="${pitch}"]`).getBoundingClientRect();
        const place = { clientX: box.left + box.width / 2, clientY: box.bottom - 10 };
        const about = { pointerId: pointer, pointerType: "touch", bubbles: true, ...place };
        document.elementFromPoint(place.clientX, place.clientY)
            .dispatchEvent(new PointerEvent(name, about));
    };
    const held = () => [...midirnn.performer.held.keys()];
    touch("pointerdown", 11, 60);
    touch("pointerdown", 12, 64);
    touch("pointerdown", 13, 67);
    const chord = held();
    touch("pointermove", 13, 69);
    const slid = held();
    for (const pointer of [11, 12, 13]) touch("pointerup", pointer, 60);
    return [chord, slid, held()];
}
"""


def test_several_fingers_play_at_once_and_slide(page: Any) -> None:
    assert page.evaluate(TOUCH) == [[60, 64, 67], [60, 64, 69], []]


def test_keys_are_let_go_when_the_tab_loses_the_keyboard(page: Any) -> None:
    held = page.evaluate("""() => {
        const key = (name) => dispatchEvent(new KeyboardEvent(name, { code: "KeyQ" }));
        const held = () => midirnn.performer.held.size;
        key("keydown");
        const before = held();
        dispatchEvent(new Event("blur"));
        return [before, held()];
    }""")
    assert held == [1, 0]


def test_letters_play_by_their_place_and_shift_by_an_octave(page: Any) -> None:
    page.get_by_role("button", name="Octave up").click()
    page.keyboard.press("KeyZ")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("KeyZ")
    played = "midirnn.notes.all.filter(n => n.who === 'you').slice(-2).map(n => n.pitch)"
    assert page.evaluate(played) == [60, 48]


def test_shift_and_the_slider_play_louder(page: Any) -> None:
    page.locator("#velocity").fill("40")
    page.keyboard.press("KeyZ")
    page.keyboard.down("ShiftLeft")
    page.keyboard.press("KeyZ")
    page.keyboard.up("ShiftLeft")
    page.locator("#velocity").fill("80")
    page.keyboard.press("KeyZ")
    played = "midirnn.notes.all.filter(n => n.who === 'you').slice(-3).map(n => n.velocity)"
    soft, accent, plain = page.evaluate(played)
    assert soft == 40 < accent
    assert plain == 80


def test_each_player_has_a_volume(page: Any) -> None:
    page.keyboard.press("KeyQ")
    wait(page, "midirnn.sound.running")
    page.locator("#volume-machine").fill("0")
    wait(page, "midirnn.sound.volumes.machine.gain.value < 0.01")
    assert page.evaluate("midirnn.sound.volumes.you.gain.value") > 0.3
    page.locator("#volume-you").fill("0")
    wait(page, "midirnn.sound.volumes.you.gain.value < 0.01")
