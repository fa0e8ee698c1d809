"""The page in a real browser: keys are heard, the model's answer is seen and sounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.live.stage import write_tiny_model
from tests.web.jams import JamProcess, browser, jam, needs_chromium, open_page, phrase, wait

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


@pytest.fixture(scope="module")
def playing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JamProcess]:
    folder = write_tiny_model(tmp_path_factory.mktemp("model"))
    with jam("--model", str(folder), "--seed", "1", "--silence-seconds", "0.4") as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as running:
        yield running


@pytest.fixture
def page(playing: JamProcess, chromium: Any) -> Iterator[Any]:
    opened = open_page(chromium, playing.url)
    yield opened
    errors = opened.errors
    opened.context.close()
    assert errors == []


def peak(page: Any) -> tuple[float, float]:
    """The loudest frequency in hertz, and its level in decibels."""
    hertz, level = page.evaluate(PEAK)
    return hertz, level or -999.0


def test_a_key_of_the_computer_is_heard_at_its_pitch(page: Any) -> None:
    page.keyboard.down("KeyQ")
    wait(page, "midirnn.sound.running && midirnn.sound.samples.loaded.size > 80")
    page.keyboard.up("KeyQ")
    page.wait_for_timeout(600)
    page.keyboard.down("KeyQ")
    page.wait_for_timeout(400)
    hertz, level = peak(page)
    page.keyboard.up("KeyQ")
    assert level > -60.0
    overtones = [HZ_OF_C4 * n for n in (1, 2, 3, 4)]
    assert min(abs(hertz - overtone) / overtone for overtone in overtones) < 0.03


def test_the_answer_of_the_model_is_seen_and_sounds(page: Any) -> None:
    phrase(page)
    wait(page, "midirnn.notes.all.some(n => n.who === 'machine' && n.start > midirnn.clock.now())")
    wait(page, "document.getElementById('doing').textContent === 'playing'")
    wait(page, "midirnn.machine.late.length >= 3")
    wait(page, "document.querySelector('.key[data-lit=machine]')")
    wait(page, "midirnn.machine.busy")
    assert page.evaluate("midirnn.notes.all.filter(n => n.who === 'you').length") >= 4
    assert page.evaluate("midirnn.notes.all.some(n => n.nats > 0)")


def test_panic_ends_every_note_on_both_sides(page: Any) -> None:
    page.get_by_role("radio", name="autopilot").click()
    wait(page, "midirnn.machine.voices.size >= 2")
    page.keyboard.down("KeyQ")
    page.get_by_role("button", name="Panic").click()
    wait(page, "!midirnn.machine.busy && midirnn.performer.held.size === 0")
    wait(page, "!midirnn.state.plays")
    page.keyboard.up("KeyQ")
    page.get_by_role("radio", name="call and response").click()
    wait(page, "midirnn.state.mode === 'call_and_response'")


def test_a_key_on_the_screen_plays_under_the_mouse(page: Any) -> None:
    page.locator(".key[data-pitch='77']").click(position={"x": 9, "y": 130}, delay=120)
    played = page.evaluate("midirnn.notes.all.filter(n => n.who === 'you').at(-1)")
    assert played["pitch"] == 77
    assert played["end"] - played["start"] > 0.1
    assert page.evaluate("midirnn.performer.held.size") == 0


def test_the_session_hears_what_the_page_plays(page: Any) -> None:
    page.keyboard.down("Space")
    page.keyboard.press("KeyX")
    page.keyboard.up("Space")
    assert page.evaluate("midirnn.notes.pedals.at(-1).end - midirnn.notes.pedals.at(-1).start > 0")
    wait(page, "midirnn.notes.all.some(n => n.pitch === 50 && n.nats !== undefined)")
