"""scripts/prune_units.py: a smaller model that goes on from a larger one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from midirnn.cli.main import main
from midirnn.codecs import PerformanceCodec
from midirnn.engines.load import load
from midirnn.models.checkpoint import expected_shapes, write_checkpoint
from midirnn.models.config import ModelConfig
from tests.datasets.songs import write_songs
from tests.models.reference import random_weights

SCRIPT = Path(__file__).parents[1] / "scripts" / "prune_units.py"
UNUSED = [1, 4]


def prune(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("songs")
    assert main(["encode", str(write_songs(folder / "midi", 12)), "-o", str(folder / "set")]) == 0
    return folder / "set"


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_units_that_nothing_reads_go_and_the_predictions_stay(
    cell: str, dataset: Path, tmp_path: Path
) -> None:
    config = ModelConfig(cell=cell, embedding_size=8, hidden_size=8, num_layers=2)
    weights = random_weights(config, seed=1)
    for name in ("layers.0.weight_hh", "layers.1.weight_hh", "layers.1.weight_ih", "output.weight"):
        weights[name][:, UNUSED] = 0.0
    (tmp_path / "model").mkdir()
    write_checkpoint(tmp_path / "model", config, PerformanceCodec(), weights, {"tokens_seen": 7})
    flags = ["--hidden-size", "6", "--window", "32"]
    done = prune(tmp_path / "model", dataset, tmp_path / "less", *flags)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "kept 6 of 8 units, with 100.0% of what the loss depends on\n"
    whole, less = load(tmp_path / "model"), load(tmp_path / "less")
    assert less.config.hidden_size == 6
    assert less.info["tokens_seen"] == 7
    assert {n: a.shape for n, a in less.weights.items()} == expected_shapes(less.config)
    engines = [model.engine("numpy") for model in (whole, less)]
    for token in (60, 300, 200, 60):
        for engine in engines:
            engine.feed(token, np.zeros(128, bool))
        np.testing.assert_allclose(engines[0].logits(), engines[1].logits(), atol=1e-5)


def test_no_more_units_are_left_than_there_were(dataset: Path, tmp_path: Path) -> None:
    config = ModelConfig(embedding_size=4, hidden_size=8, num_layers=1)
    (tmp_path / "model").mkdir()
    write_checkpoint(tmp_path / "model", config, PerformanceCodec(), random_weights(config), {})
    done = prune(tmp_path / "model", dataset, tmp_path / "less", "--hidden-size", "8")
    assert done.returncode == 2
    assert "--hidden-size is 8; allowed are 1 to 7" in done.stderr
    assert not (tmp_path / "less").exists()
