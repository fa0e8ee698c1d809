"""Steering, keeping and faults on the page, in a real browser."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from midirnn import read_midi
from midirnn.cli.main import main
from tests.web.jams import (
    JamProcess,
    change_mode,
    close_pages,
    needs_chromium,
    open_page,
    phrase,
    until,
    wait,
)

pytestmark = needs_chromium

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(autouse=True)
def no_page_is_left(chromium: Any) -> Iterator[None]:
    yield
    close_pages(chromium)


def shown(page: Any, knob: str) -> str:
    """What the page shows beside a knob."""
    text: str = page.locator(f".field:has(#knob-{knob}) output").inner_text()
    return text


def test_two_pages_show_the_same_knobs(page: Any, playing: JamProcess, chromium: Any) -> None:
    other = open_page(chromium, playing.url)
    page.locator("#knob-density").fill("100")
    wait(other, "midirnn.state.knobs.density > 2")
    assert shown(other, "density") == shown(page, "density") != "free"
    other.locator("#knob-density").fill("0")
    wait(page, "midirnn.state.knobs.density === null")
    until(lambda: shown(page, "density") == "free")
    page.locator("#knob-key").select_option("A minor")
    wait(other, "document.getElementById('knob-key').value === 'A minor'")
    other.context.close()


def test_what_another_turns_while_a_knob_is_turned_here_is_shown_afterwards(page: Any) -> None:
    at_once, afterwards = page.evaluate("""async () => {
        const element = () => document.createElement("div");
        const panel = new midirnn.panel.constructor(element(), element(), () => {});
        const seen = [];
        panel.shows.set("density", (value) => seen.push(value));
        panel.turnTo("density", 2);
        panel.show({ density: 4 });
        const atOnce = [...seen];
        await new Promise((done) => setTimeout(done, 1000));
        return [atOnce, seen];
    }""")
    assert at_once == [2]
    assert afterwards == [2, 4]


def test_every_knob_and_switch_of_a_controller_is_on_the_page(page: Any) -> None:
    knobs = set(page.evaluate("Object.keys(midirnn.state.knobs)"))
    on_page = set(page.evaluate("[...midirnn.panel.shows.keys()]"))
    buttons = {
        "switch",
        "your_turn",
        "my_turn",
        "freeze",
        "reset",
        "panic",
        "undo",
        "untune",
        "store",
    }
    presets = {f"preset_{number}" for number in range(1, 9)}
    assert knobs - presets == on_page | buttons


def test_a_preset_is_stored_and_loaded_and_seen(page: Any) -> None:
    phrase(page)
    page.get_by_role("button", name="Store", exact=True).click()
    page.get_by_role("button", name="Store preset 2, empty").click()
    wait(page, "midirnn.state.presets.includes(2)")
    page.get_by_role("button", name="Load preset 2, stored").click()
    page.get_by_role("button", name="Undo").click()


def test_two_presets_are_crossfaded(page: Any) -> None:
    page.get_by_role("button", name="Store", exact=True).click()
    page.get_by_role("button", name="Store preset 1").click()
    wait(page, "midirnn.state.presets.includes(1)")
    phrase(page)
    page.get_by_role("button", name="Store preset 2").or_(
        page.get_by_role("button", name="Load preset 2")
    ).click(modifiers=["Shift"])
    wait(page, "midirnn.state.presets.includes(2)")
    page.locator("#knob-crossfade").fill("127")
    wait(page, "document.getElementById('lines').textContent.includes('% of preset 2')")
    assert shown(page, "crossfade") == "0.50"
    page.locator("#knob-crossfade").fill("0")


def test_freeze_is_shown_while_it_lasts(page: Any) -> None:
    button = page.get_by_role("button", name="Freeze")
    button.click()
    wait(page, "midirnn.state.knobs.freeze && !midirnn.state.listens")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    wait(page, "!midirnn.state.knobs.freeze")


def test_a_knob_can_be_turned_with_the_arrow_keys(page: Any) -> None:
    before = page.evaluate("midirnn.state.knobs.temperature")
    page.locator("#knob-temperature").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    wait(page, f"midirnn.state.knobs.temperature > {before}")
    assert page.evaluate("midirnn.keys.octave") == 0


def test_a_take_is_downloaded_as_midi_and_as_a_log(page: Any, tmp_path: Path) -> None:
    page.get_by_role("button", name="Record").click()
    wait(page, "midirnn.state.recording !== null")
    phrase(page)
    played = "n.who === 'machine' && n.start > midirnn.state.recording && n.end < now"
    played += " && !n.droppedAt"
    wait(page, f"(now => midirnn.notes.all.filter(n => {played}).length > 3)(midirnn.clock.now())")
    page.wait_for_timeout(500)
    page.locator(".record").click()
    for link, name in (("MIDI", "take.mid"), ("log", "take.jsonl")):
        with page.expect_download() as waiting:
            page.get_by_role("link", name=link).first.click()
        waiting.value.save_as(tmp_path / name)
    music = read_midi(tmp_path / "take.mid")
    players = {music.parts[part].name for part in music.part}
    assert players == {"performer", "model"}
    mine = [i for i in range(len(music)) if music.parts[music.part[i]].name == "performer"]
    assert [int(music.pitch[i]) for i in mine] == [60, 64, 67, 72]
    assert main(["replay", str(tmp_path / "take.jsonl")]) == 0
    page.get_by_role("button", name="Play Take").first.click()
    wait(page, "midirnn.takes.voices.length > 6")
    page.get_by_role("button", name="Play Take").first.click()
    wait(page, "midirnn.takes.voices.length === 0")


def test_a_second_page_watches_and_may_take_over(
    page: Any, playing: JamProcess, chromium: Any
) -> None:
    other = open_page(chromium, playing.url)
    wait(other, "!midirnn.performer.mayPlay")
    page.keyboard.down("KeyW")
    wait(other, "midirnn.notes.all.some(n => n.who === 'you' && n.pitch === 62)")
    other.get_by_role("button", name="Play here").click()
    wait(other, "midirnn.performer.mayPlay")
    wait(page, "!midirnn.performer.mayPlay && midirnn.performer.held.size === 0")
    wait(other, "!midirnn.performer.keys.has(62)")
    page.keyboard.up("KeyW")
    other.context.close()
    wait(page, "midirnn.performer.mayPlay")


def test_the_page_comes_back_when_the_server_was_killed(page: Any, playing: JamProcess) -> None:
    change_mode(page, "autopilot")
    wait(page, "midirnn.machine.busy || midirnn.notes.all.some(n => n.who === 'machine')")
    page.keyboard.down("KeyQ")
    os.kill(playing.server_id(), signal.SIGKILL)
    silent = "!midirnn.machine.busy && midirnn.performer.held.size === 0"
    wait(page, f"!midirnn.link.open && {silent}")
    wait(page, "midirnn.link.open && midirnn.state.mode === 'autopilot'")
    wait(page, "midirnn.notes.all.some(n => n.who === 'machine' && n.end > midirnn.clock.now())")
    page.keyboard.up("KeyQ")
    change_mode(page, "call_and_response")


def test_a_page_of_an_earlier_start_says_so(page: Any) -> None:
    page.evaluate("history.replaceState(null, '', '?token=old')")
    page.evaluate("midirnn.link.token = 'old'; midirnn.link.socket.close()")
    wait(page, "document.getElementById('hint').textContent.includes('an earlier start')")


def test_a_browser_without_sound_still_shows_and_plays(playing: JamProcess, chromium: Any) -> None:
    script = "delete window.AudioContext; delete Navigator.prototype.requestMIDIAccess"
    opened = open_page(chromium, playing.url, script=script)
    wait(opened, "document.getElementById('hint').textContent.includes('cannot make sound')")
    phrase(opened, "QE")
    wait(opened, "midirnn.notes.all.some(n => n.nats !== undefined)")
    assert "no Web MIDI" in opened.locator("#midi-none").inner_text()


def test_a_browser_without_an_audio_device_is_told_in_a_line(
    playing: JamProcess, chromium: Any
) -> None:
    script = "AudioContext.prototype.resume = () => new Promise(() => {})"
    opened = open_page(chromium, playing.url, script=script)
    phrase(opened, "QE")
    wait(opened, "document.getElementById('hint').textContent.includes('no audio device')")
    wait(opened, "midirnn.notes.all.some(n => n.nats !== undefined)")


def test_an_old_browser_is_told_in_a_line(playing: JamProcess, chromium: Any) -> None:
    context = chromium.new_context()
    context.add_init_script("delete CanvasRenderingContext2D.prototype.roundRect")
    opened = context.new_page()
    opened.goto(playing.url)
    assert "too old" in opened.locator(".unsupported").inner_text()
    context.close()


def test_without_scripts_the_page_says_so(playing: JamProcess, chromium: Any) -> None:
    context = chromium.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(playing.url)
    assert "needs JavaScript" in opened.locator(".unsupported").inner_text()
    context.close()


def test_all_that_the_terminal_shows_is_on_the_page(page: Any) -> None:
    phrase(page, "QE")
    wait(page, "midirnn.state.surprise !== null")
    wait(page, "document.getElementById('facts').textContent.includes('nats')")
    facts = page.locator("#facts dt").all_inner_texts()
    assert {"Ports", "Lateness", "Planned", "Surprise", "Seed"} <= set(facts)


def test_notes_end_on_both_sides_when_the_server_hangs(page: Any, playing: JamProcess) -> None:
    page.keyboard.press("KeyQ")
    wait(page, "midirnn.sound.running")
    page.keyboard.down("KeyQ")
    server = playing.server_id()
    os.kill(server, signal.SIGSTOP)
    try:
        wait(page, "midirnn.link.isSilent")
        assert page.evaluate("midirnn.performer.held.size") == 0
        assert page.evaluate("midirnn.machine.busy") is False
    finally:
        os.kill(server, signal.SIGCONT)
    page.keyboard.up("KeyQ")
    wait(page, "!midirnn.link.isSilent")


def test_the_page_asks_no_other_server(playing: JamProcess, chromium: Any) -> None:
    context = chromium.new_context()
    opened = context.new_page()
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(playing.url)
    wait(opened, "window.midirnn?.sound.samples.loaded.size > 80")
    assert len(asked) > 90
    assert {url.split("/")[2] for url in asked} == {playing.origin.split("/")[2]}
    context.close()


CUT_OFF = """
[...document.querySelectorAll("header > *, .actions > *, #sound > *, #stage, #keyboard")]
    .filter((each) => each.offsetParent !== null)
    .filter((each) => {
        const { left, right } = each.getBoundingClientRect();
        return left < 0 || right > innerWidth;
    })
    .map((each) => each.id || each.outerHTML)
"""
"""What reaches beyond an edge of the window. (The modes may scroll in their row.)"""


@pytest.mark.skipif(not AXE.is_file(), reason="no axe-core: scripts/check-page installs it")
@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious(
    playing: JamProcess, chromium: Any, scheme: str, width: int
) -> None:
    about = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    opened = open_page(chromium, playing.url, **about)
    found = serious(opened)
    opened.context.close()
    assert found == []


@pytest.mark.skipif(not AXE.is_file(), reason="no axe-core: scripts/check-page installs it")
def test_axe_finds_nothing_serious_while_the_page_loads(playing: JamProcess, chromium: Any) -> None:
    context = chromium.new_context()
    context.route("**/page/app.js", lambda route: route.abort())
    opened = context.new_page()
    opened.goto(playing.url)
    found = serious(opened)
    context.close()
    assert found == []


def serious(opened: Any) -> list[tuple[str, str]]:
    """Return what axe objects to on a page, and where."""
    opened.evaluate(AXE.read_text(encoding="utf-8"))
    found = opened.evaluate("axe.run().then(result => result.violations)")
    return [(each["id"], each["nodes"][0]["html"][:120]) for each in found]


@pytest.mark.parametrize(
    ("width", "height", "scale"),
    [(320, 640, 2), (390, 800, 2), (640, 400, 2), (1024, 600, 1), (1280, 800, 1), (3840, 2160, 1)],
    ids=["small phone", "phone", "200 % of 1280", "tablet", "laptop", "4K"],
)
def test_nothing_is_cut_off_on_any_screen(
    playing: JamProcess, chromium: Any, width: int, height: int, scale: int
) -> None:
    size = {"width": width, "height": height}
    opened = open_page(chromium, playing.url, viewport=size, device_scale_factor=scale)
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    cut_off = opened.evaluate(CUT_OFF)
    opened.context.close()
    assert cut_off == []


def test_the_model_changes_without_a_restart(page: Any) -> None:
    page.locator("#knob-balance").fill("180")
    wait(page, "midirnn.state.knobs.balance > 1.2")
    page.locator("#model").select_option("piano-small")
    wait(page, "midirnn.state.model === 'piano-small' && !midirnn.state.loading")
    wait(page, "midirnn.state.knobs.balance > 1.2")
    phrase(page)
    wait(page, "midirnn.notes.all.some(n => n.who === 'machine')")
