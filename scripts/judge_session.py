"""Judge the music of a session, as ``midirnn evaluate --samples`` judges generated pieces.

    python scripts/judge_session.py session.mid my-data --play 120
    python scripts/judge_session.py session.mid my-data

With ``--play`` a script first plays for this many seconds on the page of ``midirnn jam`` in a
headless Chromium, and downloads the MIDI file from there. The file has a track for each player,
like takes and recordings. It is cut into excerpts, which are judged twice: with both players, and
with the model alone.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from jam_page import chromium, jam, open_page, wait

from midirnn import Performance, read_midi
from midirnn.codecs import NoteStream, require
from midirnn.datasets import Dataset
from midirnn.judging import judge, openings, table
from midirnn.live.output.ledger import MODEL

EXCERPT_SECONDS = 30.0
FEWEST_OPENINGS = 24
SPLIT = "test"

MELODY, BASS = "QWERTYUIOP", "ZXCVBNM"
"""White keys of the upper and of the lower row."""
NOTE_MS = (140, 140, 280, 420)
SOFTEST, LOUDEST = 40, 90
ANSWER_SECONDS = 8.0
"""How long to wait for an answer, and for its end."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("session", type=Path)
    parser.add_argument("dataset", type=Path, help="made by midirnn encode")
    parser.add_argument("--seconds", type=float, default=EXCERPT_SECONDS)
    parser.add_argument("--play", type=float, metavar="SECONDS", help="play the session first")
    parser.add_argument("--model", default="piano")
    parser.add_argument("--mode", default="call_and_response")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.play:
        played = play(options)
        print(f"{played['phrases']} phrases, {played['answers']} answered", file=sys.stderr)
    found = judged(read_midi(options.session), Dataset.open(options.dataset), options.seconds)
    if options.json:
        print(json.dumps(found))
        return
    for who, findings in found.items():
        excerpts = f"{len(findings['each'])} excerpts of {options.seconds:g} s"
        print(f"{who}: {findings['notes']} notes in {excerpts}")
        print("\n".join(f"  {line}".rstrip() for line in table(findings, SPLIT)), end="\n\n")


# Playing.


def play(options: argparse.Namespace) -> dict[str, int]:
    """Play on the page like a person trying it out, and download what both played."""
    started = jam(options.model, "--mode", options.mode, seed=options.seed)
    with chromium() as browser, started as running:
        page = open_page(browser, running.address)
        page.keyboard.press("KeyQ")
        page.get_by_role("button", name="Record").click()
        wait(page, "midirnn.state.recording !== null")
        counts = play_phrases(page, random.Random(options.seed), options.play)
        page.locator(".record").click()
        with page.expect_download() as waiting:
            page.get_by_role("link", name="MIDI").first.click()
        waiting.value.save_as(options.session)
    return counts


def play_phrases(page: Any, rng: random.Random, seconds: float) -> dict[str, int]:
    """Play phrases for ``seconds``, waiting for the model's answer after each."""
    end, phrases, answers = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end:
        phrases += 1
        play_phrase(page, rng)
        answers += happens(page, "midirnn.state.plays", ANSWER_SECONDS)
        happens(page, "!midirnn.state.plays", ANSWER_SECONDS)
    return {"phrases": phrases, "answers": answers}


def play_phrase(page: Any, rng: random.Random) -> None:
    """Play a stepwise melody over two notes of the left hand, with the pedal down."""
    page.locator("#velocity").fill(str(rng.randint(SOFTEST, LOUDEST)))
    page.locator("#velocity").blur()
    page.keyboard.down("Space")
    left = rng.randrange(len(BASS) - 4)
    place = rng.randrange(len(MELODY))
    count = rng.randrange(6, 14)
    for number in range(count):
        hand = [f"Key{MELODY[place]}"]
        if number in (0, count // 2):
            hand.append(f"Key{BASS[left + (4 if number else 0)]}")
        for key in hand:
            page.keyboard.down(key)
        page.wait_for_timeout(rng.choice(NOTE_MS))
        for key in hand:
            page.keyboard.up(key)
        place = min(max(place + rng.choice([-2, -1, 1, 2]), 0), len(MELODY) - 1)
    page.keyboard.up("Space")


def happens(page: Any, condition: str, seconds: float) -> bool:
    """Return True as soon as a JavaScript condition holds; False if that takes too long."""
    end = time.monotonic() + seconds
    while not page.evaluate(f"Boolean({condition})"):
        if time.monotonic() > end:
            return False
        page.wait_for_timeout(20)
    return True


# Judging.


def judged(session: Performance, dataset: Dataset, seconds: float) -> dict[str, dict[str, Any]]:
    """Compare excerpts of a session, of both players and the model alone, with real openings.

    A remainder at the end of the session that is shorter than an excerpt is left out.
    """
    count = int(session.end.max(initial=0.0) // seconds)
    if not count:
        raise SystemExit(f"the session is shorter than an excerpt of {seconds:g} s: see --seconds")
    codec = require(dataset.codec, NoteStream, "judge_session")
    training = dataset.pieces("train")
    real = {
        split: openings(codec, dataset.pieces(split), seconds, FEWEST_OPENINGS, of=f"{split} ")
        for split in (SPLIT, "train")
    }
    of_model = np.array([session.parts[part].name == MODEL for part in session.part], dtype=bool)
    found = {}
    for who, music in (("both", session), ("the model alone", session.select(of_model))):
        excerpts = [music.slice(n * seconds, (n + 1) * seconds) for n in range(count)]
        findings = judge(codec, excerpts, real, SPLIT, training, seconds)
        found[who] = {"notes": len(music), **findings}
    return found


if __name__ == "__main__":
    main()
