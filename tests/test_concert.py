"""scripts/concert.py: a short concert over JACK, recorded as sound, as MIDI and as a log."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from midirnn import read_midi
from midirnn.live.output.ledger import MODEL
from midirnn.live.recording.midi import notes_of
from tests.jack import TURN_LIMIT_SECONDS

SCRIPT = Path(__file__).parents[1] / "scripts" / "concert.py"
PROGRAMS = ("jackd", "jack_rec", "jack_lsp", "jack_connect", "fluidsynth")
SECONDS = 15
ATTEMPTS = 4
LIMIT = TURN_LIMIT_SECONDS + 120


def play(folder: Path) -> dict[str, Any]:
    folder.mkdir()
    command = [sys.executable, str(SCRIPT), "--seconds", str(SECONDS), "-o", str(folder)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.skipif(
    any(shutil.which(program) is None for program in PROGRAMS),
    reason="jackd and fluidsynth are not installed: scripts/install-system-packages --tests",
)
def test_a_concert_sounds_is_recorded_and_replays_the_same(tmp_path: Path) -> None:
    for attempt in range(ATTEMPTS):
        report = play(tmp_path / str(attempt))
        if report["model_notes"] > 3:
            break  # on a busy machine an answer may come after the end of the concert
    assert abs(report["wav_seconds"] - SECONDS) < 0.5
    assert -70.0 < report["level_db"] < report["peak_db"] < 0.0
    assert report["performer_notes"] > 20
    assert report["model_notes"] > 3
    assert report["knob_turns"] > 10
    assert report["replay"].startswith("identical")
    assert notes_of(read_midi(report["midi"]), MODEL) == report["model_notes"]
