"""A jam with a tiny model and a browser, for the tests in a module; a page for each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.live.stage import write_tiny_model
from tests.web.jams import JamProcess, browser, close_pages, jam, open_players_page


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
    opened = open_players_page(chromium, playing.url)
    yield opened
    close_pages(chromium)
    assert opened.errors == []
