"""Running ``midirnn jam`` and its page in a headless Chromium, for other scripts."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

PATIENCE_SECONDS = 60.0
PLAYABLE = "window.midirnn?.state && !midirnn.state.loading && midirnn.clock.known"
EVERY_SAMPLE = "midirnn.sound.running && midirnn.sound.samples.loaded.size > 80"


@dataclass(frozen=True)
class RunningJam:
    """A running ``midirnn jam``: its process, the address of its page, and its start time."""

    process: subprocess.Popen[str]
    address: str
    began: float

    def server_id(self) -> int:
        """Return the process id of the page's server."""
        command = ["pgrep", "-P", str(self.process.pid), "-f", "midirnn.web.child"]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(found.stdout.split()[0])


@contextmanager
def jam(model: str, *flags: str, seed: int = 1) -> Iterator[RunningJam]:
    """Run ``midirnn jam`` during the ``with`` block, once it has printed its address."""
    began = time.monotonic()
    command = [sys.executable, "-m", "midirnn", "jam", "--no-open", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--model", model, "--seed", str(seed), *flags],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        address = next((li.split()[1] for li in process.stdout if li.startswith("page: ")), None)
        if address is None:
            raise SystemExit("midirnn jam did not start")
        yield RunningJam(process, address, began)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


@contextmanager
def chromium() -> Iterator[Any]:
    """Run a headless Chromium during the ``with`` block."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        try:
            yield browser
        finally:
            browser.close()


def open_page(browser: Any, address: str, **about: Any) -> Any:
    """Open the page, and wait until it can be played."""
    about.setdefault("viewport", {"width": 1440, "height": 900})
    page = browser.new_context(**about).new_page()
    page.goto(address)
    wait(page, PLAYABLE)
    return page


def wait(page: Any, condition: str) -> None:
    """Wait until a JavaScript condition holds. (Playwright's own function for this needs eval.)"""
    end = time.monotonic() + PATIENCE_SECONDS
    while not page.evaluate(f"Boolean({condition})"):
        if time.monotonic() > end:
            raise SystemExit(f"it did not happen: {condition}")
        page.wait_for_timeout(20)
