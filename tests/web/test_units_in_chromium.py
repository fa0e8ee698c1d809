"""The heat map of hidden units on the page: folded in at first, drawn from what the model sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from midirnn.probing.watching import WatchedUnit, write_watched
from tests.live.stage import write_tiny_model
from tests.web.jams import JamProcess, change_mode, happens, jam, needs_chromium, wait

pytestmark = needs_chromium

UNITS = [
    WatchedUnit("loudness", "c", 0, 3, -0.5, 0.5, 0.6),
    WatchedUnit("since onset", "h", 0, 7, 0.2, -0.2, -0.5),
]

COLOURS = """
(() => {
    const canvas = midirnn.units.canvas;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const colours = new Set();
    for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3]) colours.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
    }
    return colours.size;
})()
"""


@pytest.fixture(scope="module")
def playing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JamProcess]:
    folder = write_tiny_model(tmp_path_factory.mktemp("model"))
    write_watched(folder, UNITS)
    with jam("--model", str(folder), "--seed", "1") as running:
        yield running


def test_what_hidden_units_do_is_drawn_when_it_is_folded_out(page: Any) -> None:
    change_mode(page, "autopilot")
    wait(page, "midirnn.units.names.length === 2 && midirnn.units.moments.length > 20")
    assert page.evaluate("midirnn.units.names") == [["loudness", "c1[3]"], ["since onset", "h1[7]"]]
    values = page.evaluate("midirnn.units.moments.map((m) => m.values)")
    assert all(len(pair) == 2 and 0 <= min(pair) <= max(pair) <= 1 for pair in values)
    assert page.evaluate("midirnn.units.element.open") is False
    page.get_by_text("Inside the model").click()
    wait(page, f"midirnn.units.element.open && {COLOURS} > 10")
    label = page.locator("#units canvas").get_attribute("aria-label")
    assert label == "Hidden units that follow something: loudness (c1[3]), since onset (h1[7])"
    change_mode(page, "call_and_response")


def test_a_performer_moves_the_units_too(page: Any) -> None:
    wait(page, "midirnn.state.mode === 'call_and_response' && !midirnn.state.plays")
    page.evaluate("midirnn.units.moments = []")
    for _ in range(10):  # the page plays no key while a busy machine stops its server for a moment
        page.keyboard.press("KeyQ")
        if happens(page, "midirnn.units.moments.some((moment) => !moment.planned)", 10.0):
            return
    pytest.fail("no key moved the units")
