"""For tests: ``midirnn jam`` in a process of its own, and a real browser that opens its page."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_SECONDS = 120.0
"""For a busy machine: nothing that works takes this long."""

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"),
    reason="no Chromium: scripts/install-system-packages --tests",
)


class JamProcess:
    """A running ``midirnn jam`` and what it has printed."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.origin, _, self.query = url.partition("/?")

    def address(self, path: str) -> str:
        """Return the address of something on its server, with the token."""
        return f"{self.origin}/{path}?{self.query}"

    def server_id(self) -> int:
        """Return the process id of the server: the child that serves pages."""
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid), "-f", "midirnn.web.child"],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(found.stdout.split()[0])

    def end(self) -> int:
        """End it as Ctrl-C does; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def jam(*flags: str) -> Iterator[JamProcess]:
    """Run ``midirnn jam`` until its session is ready, as long as the block lasts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "midirnn", "jam", "--no-open", "--port", "0", *flags],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        url, lines = "", []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("page: "):
                url = line.split()[1]
            if "(model " in line:
                break
        assert url, "".join(lines)
        running = JamProcess(process, url)
        yield running
        assert running.end() == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def browser() -> Iterator[Any]:
    """Run a headless Chromium as long as the block lasts."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM is not None, "CI needs Chromium: scripts/install-system-packages --tests"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield running
        finally:
            running.close()


def open_page(running: Any, url: str, *, script: str = "", **about: Any) -> Any:
    """Open a page of a jam, in which the script runs first. ``errors`` are those of its scripts."""
    size = about.pop("viewport", {"width": 1280, "height": 800})
    context = running.new_context(viewport=size, **about)
    context.add_init_script(script)
    page = context.new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(url)
    wait(page, "window.midirnn?.clock.known && midirnn.state && !midirnn.state.loading")
    return page


def open_players_page(running: Any, url: str) -> Any:
    """Open a page that may play. An earlier one may have been left a moment ago."""
    page = open_page(running, url)
    wait(page, "midirnn.performer.mayPlay")
    return page


def change_mode(page: Any, mode: str) -> None:
    """Choose a mode on the page, and wait until the session has it."""
    page.get_by_role("radio", name=mode.replace("_", " ")).click()
    wait(page, f"midirnn.state.mode === '{mode}'")


def close_pages(running: Any) -> None:
    """Close all pages: only one of them plays."""
    for context in running.contexts:
        context.close()


def wait(page: Any, condition: str) -> None:
    """Wait until a condition in JavaScript holds."""
    assert happens(page, condition, PATIENCE_SECONDS), f"{condition}: it did not happen in time"


def happens(page: Any, condition: str, seconds: float) -> bool:
    """Return True as soon as a condition in JavaScript holds; False if it does not in time."""
    # Not wait_for_function, which needs eval: the page's policy forbids it.
    end = time.monotonic() + seconds
    while not page.evaluate(f"Boolean({condition})"):
        if time.monotonic() > end:
            return False
        page.wait_for_timeout(25)
    return True


def until(condition: Callable[[], Any]) -> Any:
    """Return what a condition gives as soon as that is true."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def phrase(page: Any, codes: str = "QETI", milliseconds: int = 120) -> None:
    """Play a phrase on the computer's keys."""
    for letter in codes:
        page.keyboard.down(f"Key{letter}")
        page.wait_for_timeout(milliseconds)
        page.keyboard.up(f"Key{letter}")
