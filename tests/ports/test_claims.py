"""Two processes of midirnn that play on one output are noticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from midirnn.ports.claims import claimed

pytest.importorskip("fcntl")

HOLD = """
from midirnn.ports.claims import claimed
with claimed("Synth") as free:
    print(free, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_an_output_that_another_process_plays_on_is_not_free_until_that_ends() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "True"
        with claimed("Synth") as free, claimed("Another") as other_is_free:
            assert not free
            assert other_is_free
        other.kill()  # a lock goes with its process
        other.wait()
    with claimed("Synth") as free:
        assert free


def test_where_no_file_can_be_written_every_output_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "not there"))
    with claimed("Synth") as free:
        assert free
