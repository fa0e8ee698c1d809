"""scripts/package_weights.py: weights for the package, with what is known about them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midirnn.codecs import PerformanceCodec
from midirnn.engines.load import PRETRAINED
from midirnn.models.checkpoint import read_checkpoint, write_checkpoint
from midirnn.models.config import ModelConfig
from tests.models.reference import random_weights

SCRIPT = Path(__file__).parents[1] / "scripts" / "package_weights.py"
CONFIG = ModelConfig(embedding_size=4, hidden_size=8, num_layers=1)

TEST = {"model": "run", "split": "test", "mask": True, "nats_per_token": 2.1}
NO_MASK = TEST | {"mask": False, "nats_per_token": 2.4}
SAMPLES = {"model": "run", "split": "test", "samples": 2, "overlap": 0.9, "each": [{}, {}]}


def package(folder: Path, *evaluations: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Package a model with what was found about it."""
    (folder / "run").mkdir()
    weights = random_weights(CONFIG)
    info = {"tokens_seen": 7, "started_from": {"model": "/home/me/runs/first", "tokens_seen": 3}}
    write_checkpoint(folder / "run", CONFIG, PerformanceCodec(), weights, info)
    files = [folder / f"{number}.json" for number in range(len(evaluations))]
    for file, evaluation in zip(files, evaluations, strict=True):
        file.write_text(json.dumps(evaluation))
    command = [sys.executable, str(SCRIPT), str(folder / "run"), str(folder / "package")]
    command += ["--evaluations", *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_weights_are_halved_in_size_and_each_evaluation_keeps_its_name(tmp_path: Path) -> None:
    done = package(tmp_path, TEST, NO_MASK, SAMPLES)
    assert done.returncode == 0, done.stderr
    made, run = read_checkpoint(tmp_path / "package"), read_checkpoint(tmp_path / "run")
    assert made.info == {
        "tokens_seen": 7,
        "started_from": {"model": "first", "tokens_seen": 3},
        "weights": "float16",
        "evaluation": {
            "test": {"mask": True, "nats_per_token": 2.1},
            "test without mask": {"mask": False, "nats_per_token": 2.4},
            "samples": {"split": "test", "samples": 2, "overlap": 0.9},
        },
    }
    for name, weight in run.weights.items():
        np.testing.assert_allclose(made.weights[name], weight, rtol=1e-3)


@pytest.mark.parametrize("folder", sorted(PRETRAINED.iterdir()), ids=lambda folder: folder.name)
def test_no_model_names_a_folder_of_the_machine_that_trained_it(folder: Path) -> None:
    assert '": "/' not in (folder / "config.json").read_text(encoding="utf-8")


def test_two_evaluations_of_one_name_are_refused(tmp_path: Path) -> None:
    done = package(tmp_path, TEST, NO_MASK, TEST | {"nats_per_token": 9.9})
    assert done.returncode == 2
    assert "2.json is a second evaluation of 'test': give one of each" in done.stderr
    assert not (tmp_path / "package").exists()
