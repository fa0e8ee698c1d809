"""scripts/describe_midi.py counts what is in a file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from midirnn import Performance, write_midi

SCRIPT = Path(__file__).parents[1] / "scripts" / "describe_midi.py"


def run(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_notes_lengths_and_waits_are_told(tmp_path: Path) -> None:
    path = tmp_path / "two.mid"
    write_midi(Performance.from_notes([(0.5, 1.0, 60, 64), (3.5, 4.0, 62, 64)]), path)
    ended = run(path)
    figures = "notes 2.00 notes_per_second 0.50 longest_note 0.50 longest_wait 3.00"
    assert ended.stdout == f"{path} {figures}\nmean {figures}\n"


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    ended = run(tmp_path / "missing.mid")
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
