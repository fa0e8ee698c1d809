"""The script that measures playing live runs, and says what it measured where."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from midirnn.live import LiveConfig
from tests.live.stage import write_tiny_model

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark_live.py"


def test_reaction_lateness_and_recovery_are_measured(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path)
    argv = ["--model", str(model), "--engine", "numpy", "--reactions", "3", "--events", "40"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *argv, "--json", "--anyway"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    spreads = {(spread["what"], spread["ports"]): spread for spread in report["spreads"]}
    assert set(spreads) == {("reaction", "memory"), ("lateness", "memory")}
    assert spreads["reaction", "memory"]["count"] == 3
    assert spreads["lateness", "memory"]["count"] == 40
    for spread in spreads.values():
        assert 0 < spread["median_ms"] <= spread["p99_ms"] <= spread["most_ms"]
    # Below 0 where a busy machine falls behind, and never far over what is planned ahead.
    assert report["ahead_ms"] < 2e3 * LiveConfig().lookahead_seconds
    assert report["release_ms"] < report["recovery_ms"]
    assert {"machine", "cores", "versions", "realtime", "other_processes_cores"} <= set(report)
