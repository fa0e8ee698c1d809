"""scripts/average_weights.py: a model between two others."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np

from midirnn.codecs import PerformanceCodec
from midirnn.models.checkpoint import Weights, read_checkpoint, write_checkpoint
from midirnn.models.config import ModelConfig
from tests.models.reference import random_weights

SCRIPT = Path(__file__).parents[1] / "scripts" / "average_weights.py"
CONFIG = ModelConfig(embedding_size=4, hidden_size=8, num_layers=1)


def write_run(folder: Path, config: ModelConfig, seed: int) -> Weights:
    folder.mkdir()
    weights = random_weights(config, seed)
    write_checkpoint(folder, config, PerformanceCodec(), weights, {"tokens_seen": 7})
    return weights


def average(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    runs = [str(folder / name) for name in ("earlier", "later", "between")]
    command = [sys.executable, str(SCRIPT), *runs, *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_later_run_has_its_share_in_every_weight(tmp_path: Path) -> None:
    earlier = write_run(tmp_path / "earlier", CONFIG, seed=1)
    later = write_run(tmp_path / "later", CONFIG, seed=2)
    done = average(tmp_path, "--share", "0.25")
    assert done.returncode == 0, done.stderr
    found = read_checkpoint(tmp_path / "between")
    assert found.info["tokens_seen"] == 7
    for name, weight in found.weights.items():
        expected = 0.75 * earlier[name] + 0.25 * later[name]
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)


def test_models_of_two_kinds_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "earlier", CONFIG, seed=1)
    write_run(tmp_path / "later", dataclasses.replace(CONFIG, hidden_size=9), seed=1)
    done = average(tmp_path)
    assert done.returncode == 2
    assert "the two are not models of the same kind" in done.stderr
    assert not (tmp_path / "between").exists()
