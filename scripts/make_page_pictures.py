"""Take the pictures of the page for the documentation. Needs Chromium and playwright.

    python scripts/make_page_pictures.py [--folder docs/pictures] [--model piano]

A script plays on the computer's keys; the model answers as it would to a person.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from jam_page import chromium, jam, open_page, wait

PHRASE = "ZQ E T Y VT E Q - NR Y I Y XR - BE T U T"
"""Groups of computer keys that are pressed together; - is a rest."""

TOUCHED = (65, 69, 72, 76, 74, 72, 69, 67, 65, 69, 72)
"""Pitches that a finger plays on the phone."""

SIZES: dict[str, tuple[int, int, float]] = {
    "desktop": (1440, 810, 2.0),
    "phone": (390, 800, 2.0),
    "4k": (3840, 2160, 1.0),
}


def open_sized(browser: Any, address: str, size: str) -> Any:
    width, height, scale = SIZES[size]
    return open_page(
        browser,
        address,
        viewport={"width": width, "height": height},
        device_scale_factor=scale,
        color_scheme="dark",
        has_touch=size == "phone",
        is_mobile=size == "phone",
    )


def play(page: Any, keys: str = PHRASE) -> None:
    page.keyboard.down("Space")
    for group in keys.split():
        together = [f"Key{key}" for key in group if key != "-"]
        for key in together:
            page.keyboard.down(key)
        page.wait_for_timeout(170)
        for key in together:
            page.keyboard.up(key)
    page.keyboard.up("Space")


def touch(page: Any, pitches: Sequence[int]) -> None:
    """Play on the on-screen keyboard with one finger, which stays on the last key."""
    finger = page.context.new_cdp_session(page)
    for number, pitch in enumerate(pitches):
        if number:
            finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
            page.wait_for_timeout(60)
        box = page.locator(f".key[data-pitch='{pitch}']").bounding_box()
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 0.9 * box["height"]}
        finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [place]})
        page.wait_for_timeout(220)


ANSWERS = """midirnn.state.plays && midirnn.notes.all.filter(
    (note) => note.who === "machine" && note.start < midirnn.clock.now()).length > 11"""
TOGETHER = """midirnn.state.mode === "ensemble" && midirnn.units.moments.length > 60
    && midirnn.roll.shown.filter((note) => note.who === "machine").length > 18"""


def take(browser: Any, address: str, folder: Path) -> None:
    page = open_sized(browser, address, "desktop")
    page.screenshot(path=folder / "jam-start.png")
    wait(page, "midirnn.sound.samples.loaded.size > 80")
    play(page)
    wait(page, ANSWERS)
    page.screenshot(path=folder / "jam.png")
    page.get_by_role("button", name="Store").click()
    page.get_by_role("button", name="Store preset 1").click()
    page.get_by_role("button", name="Record").click()
    page.get_by_role("radio", name="duet").click()
    page.emulate_media(color_scheme="light")
    play(page)
    page.get_by_role("button", name="Stop", exact=False).first.click()
    page.screenshot(path=folder / "jam-light.png")
    page.emulate_media(color_scheme="dark")
    page.get_by_role("radio", name="ensemble").click()
    page.get_by_text("Inside the model").click()
    play(page)
    wait(page, TOGETHER)
    page.evaluate("document.getElementById('panel').scrollTop = 1e6")
    page.keyboard.down("KeyE")
    page.keyboard.down("KeyU")
    page.wait_for_timeout(400)
    page.screenshot(path=folder / "jam-ensemble.png")
    page.context.close()
    page = open_sized(browser, address, "phone")
    wait(page, "midirnn.performer.mayPlay")
    page.get_by_role("radio", name="duet").click()
    wait(page, "midirnn.state.mode === 'duet'")
    touch(page, TOUCHED)
    page.screenshot(path=folder / "jam-phone.png")
    page.context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--folder", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--model", default="piano")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser, jam(options.model, seed=7) as running:
        take(browser, running.address, options.folder)


if __name__ == "__main__":
    main()
