"""The pads of the page and a set list: what is stored is in the file, names are on the pads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.controls.test_set_lists import a_list
from tests.live.stage import write_tiny_model
from tests.web.jams import JamProcess, jam, needs_chromium, until, wait

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("list") / "concert.json"


@pytest.fixture(scope="module")
def playing(tmp_path_factory: pytest.TempPathFactory, path: Path) -> Iterator[JamProcess]:
    folder = write_tiny_model(tmp_path_factory.mktemp("model"))
    whole = a_list(path.parent, folder)
    whole["presets"]["1"]["name"] = "Ballad"  # as somebody writes it into the file
    path.write_text(json.dumps(whole), encoding="utf-8")
    with jam("--model", str(folder), "--set-list", str(path)) as running:
        yield running


def _presets(path: Path) -> dict[str, Any]:
    presets: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["presets"]
    return presets


def test_a_pad_stores_into_the_file_and_loads_all_of_it(page: Any, path: Path) -> None:
    page.evaluate("midirnn.panel.turnTo('balance', 2)")
    wait(page, "midirnn.state.knobs.balance === 2")
    page.get_by_role("button", name="Store", exact=True).click()
    page.get_by_role("button", name="Store preset 3, empty").click()
    page.get_by_role("button", name="Load preset 3, stored").wait_for()
    presets = until(lambda: _presets(path) if "3" in _presets(path) else None)
    assert presets["3"]["knobs"]["balance"] == 2
    assert presets["1"]["name"] == "Ballad"
    page.evaluate("midirnn.panel.turnTo('balance', 0.5)")
    wait(page, "midirnn.state.knobs.balance === 0.5")
    page.get_by_role("button", name="Load preset 3, stored").click()
    wait(page, "midirnn.state.knobs.balance === 2")


def test_a_pad_shows_the_name_of_its_preset(page: Any) -> None:
    pad = page.get_by_role("button", name="Load Ballad, stored")
    pad.wait_for()
    assert pad.inner_text() == "Ballad"
