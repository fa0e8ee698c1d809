"""``midirnn jam`` with ports of the machine: a controller, a keyboard and a page at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from midirnn.live.controls.knobs import KNOBS
from midirnn.ports import Message, RtMidiOutput, open_input, open_output
from tests.jack import JackServer
from tests.jack_fixture import need_jack
from tests.live.stage import is_note_on, sounding, write_tiny_model
from tests.web.jams import JamProcess, jam, needs_chromium, open_page, phrase, until, wait

pytestmark = needs_chromium

KEYBOARD, SYNTH = "Stage keys", "Stage synth"
DENSITY = KNOBS["density"]


class Stage:
    """A keyboard with knobs and a synthesizer, over JACK, and a jam between them."""

    def __init__(self, keyboard: RtMidiOutput, heard: list[Message], playing: JamProcess) -> None:
        self.keyboard = keyboard
        self.heard = heard
        self.playing = playing


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    need_jack()
    model = str(write_tiny_model(tmp_path_factory.mktemp("model")))
    heard: list[Message] = []
    flags = ["--api", "jack", "--input", KEYBOARD, "--output", SYNTH, "--model", model]
    with (
        JackServer(period=1024),
        open_output(KEYBOARD, virtual=True, api="jack") as keyboard,
        open_input(SYNTH, lambda m, _: heard.append(m), virtual=True, api="jack"),
        jam(*flags, "--seed", "1", "--silence-seconds", "0.4") as playing,
    ):
        yield Stage(keyboard, heard, playing)


@pytest.fixture
def page(stage: Stage, chromium: Any) -> Iterator[Any]:
    opened = open_page(chromium, stage.playing.url)
    yield opened
    opened.context.close()
    assert opened.errors == []


def test_a_controller_moves_a_knob_on_all_pages(stage: Stage, page: Any, chromium: Any) -> None:
    other = open_page(chromium, stage.playing.url)
    for position in (100, 20):
        stage.keyboard.send((0xB0, DENSITY.cc or 0, position))
        value = DENSITY.value(position)
        assert isinstance(value, float)
        for each in (page, other):
            wait(each, f"Math.abs(midirnn.state.knobs.density - {value}) < 0.01")
            words = f"{value:.1f} notes/s"
            shown = each.locator(".field:has(#knob-density) output")
            until(lambda shown=shown, words=words: shown.inner_text() == words)
    assert int(page.locator("#knob-density").input_value()) == pytest.approx(40, abs=4)
    other.context.close()


def test_a_keyboard_and_a_page_play_at_once(stage: Stage, page: Any) -> None:
    stage.keyboard.send((0x90, 48, 90))
    stage.keyboard.send((0xB0, 64, 127))
    phrase(page, "QE")
    stage.keyboard.send((0x80, 48, 0))
    stage.keyboard.send((0xB0, 64, 0))
    mine = "midirnn.notes.all.filter((note) => note.who === 'you' && note.nats !== undefined)"
    wait(page, f"[48, 60, 64].every((pitch) => {mine}.some((note) => note.pitch === pitch))")
    assert page.evaluate("midirnn.notes.pedals.some((each) => each.who === 'you')")
    wait(page, "midirnn.notes.all.every((note) => note.who !== 'you' || note.end < Infinity)")


def test_the_answer_is_sent_to_the_port_and_shown_on_the_page(stage: Stage, page: Any) -> None:
    phrase(page)
    until(lambda: len([message for message in list(stage.heard) if is_note_on(message)]) > 2)
    wait(page, "midirnn.notes.all.some((note) => note.who === 'machine')")
    assert page.locator("#volume-machine").input_value() == "0"
    ports = page.locator("#facts").inner_text()
    assert KEYBOARD in ports
    assert SYNTH in ports
    page.get_by_role("button", name="Panic").click()
    until(lambda: not sounding(list(stage.heard)))


def test_the_jam_goes_on_when_all_pages_are_closed(stage: Stage, chromium: Any) -> None:
    opened = open_page(chromium, stage.playing.url)
    opened.keyboard.down("KeyQ")
    opened.context.close()
    before = len(stage.heard)
    for pitch in (60, 62, 64):
        stage.keyboard.send((0x90, pitch, 90))
        stage.keyboard.send((0x80, pitch, 0))
    until(lambda: len(stage.heard) > before)
