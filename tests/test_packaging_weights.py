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

CONTINUATIONS = {
    "model": "run",
    "dataset": "jazz",
    "split": "validation",
    "continuations": 2,
    "headline": "0-30",
    "scale": {
        "performances": 9,
        "mean_between_pieces": {"0-30": {"density": 0.5}, "30-60": {"density": 0.6}},
    },
    "distances": {"pianist": {"0-30": {"all": 0.4}, "30-60": {"all": 0.5}}},
    "standard_errors": {"pianist": {"0-30": {"all": 0.03}, "30-60": {"all": 0.04}}},
    "recurrence": {"pianist": {"longest_copy_notes": {"max": 30.0}}},
    "each": [{}, {}],
}
ENDINGS = {
    "model": "run",
    "dataset": "jazz",
    "split": "test",
    "endings": 2,
    "features": {
        "velocity": {
            "real": {"mean": 60.0, "deviation": 9.0, "overlapping_area": 1.0, "kl_divergence": 0.0}
        }
    },
}


def of(dataset: str, split: str = "validation") -> dict[str, Any]:
    """Return a likelihood report of a data set."""
    return {"model": "run", "dataset": dataset, "split": split, "mask": True, "nats_per_token": 2.0}


def package(
    folder: Path, *evaluations: dict[str, Any], labels: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Package a model with what was found about it; the first reports may be labelled."""
    (folder / "run").mkdir()
    weights = random_weights(CONFIG)
    info = {"tokens_seen": 7, "started_from": {"model": "/home/me/runs/first", "tokens_seen": 3}}
    write_checkpoint(folder / "run", CONFIG, PerformanceCodec(), weights, info)
    files = [folder / f"{number}.json" for number in range(len(evaluations))]
    for file, evaluation in zip(files, evaluations, strict=True):
        file.write_text(json.dumps(evaluation))
    command = [sys.executable, str(SCRIPT), str(folder / "run"), str(folder / "package")]
    given = list(map(str, files))
    given[: len(labels)] = [f"{label}={file}" for label, file in zip(labels, given, strict=False)]
    command += ["--evaluations", *given]
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


def evaluation(folder: Path) -> dict[str, Any]:
    """Return what the package says about how the model was measured."""
    found: dict[str, Any] = read_checkpoint(folder / "package").info["evaluation"]
    return found


def test_a_split_that_several_data_sets_have_is_named_with_them(tmp_path: Path) -> None:
    no_mask = of("jazz") | {"mask": False}
    done = package(tmp_path, of("piano", "test"), of("piano"), of("jazz"), no_mask)
    assert done.returncode == 0, done.stderr
    found = evaluation(tmp_path)
    assert {name: kept["dataset"] for name, kept in found.items()} == {
        "test": "piano",
        "validation of piano": "piano",
        "validation of jazz": "jazz",
        "validation without mask": "jazz",
    }


def test_a_report_can_be_labelled_with_its_data_set(tmp_path: Path) -> None:
    done = package(tmp_path, TEST, of("jazz", "test"), labels=("piano",))
    assert done.returncode == 0, done.stderr
    assert evaluation(tmp_path).keys() == {"test of piano", "test of jazz"}


def test_a_report_without_a_data_set_beside_another_is_refused(tmp_path: Path) -> None:
    done = package(tmp_path, of("jazz", "test"), TEST)
    assert done.returncode == 2
    assert "1.json does not say of which data set it is: write DATASET=" in done.stderr


def test_continuations_and_endings_are_kept_in_short(tmp_path: Path) -> None:
    done = package(tmp_path, CONTINUATIONS, CONTINUATIONS | {"dataset": "piano"}, ENDINGS)
    assert done.returncode == 0, done.stderr
    found = evaluation(tmp_path)
    assert found.keys() == {"continuations of jazz", "continuations of piano", "endings"}
    kept = found["continuations of jazz"]
    assert kept["scale"] == {"performances": 9, "mean_between_pieces": {"density": 0.5}}
    assert kept["standard_errors"] == {"pianist": {"all": 0.03}}
    assert kept["distances"] == CONTINUATIONS["distances"]
    assert kept.keys() == CONTINUATIONS.keys() - {"model", "each"}
    velocity = {"mean": 60.0, "deviation": 9.0, "overlapping_area": 1.0}
    assert found["endings"]["features"] == {"velocity": {"real": velocity}}


@pytest.mark.parametrize("report", [{"files": {}, "all": {}}, {}])
def test_what_is_no_evaluation_is_refused(tmp_path: Path, report: dict[str, Any]) -> None:
    done = package(tmp_path, report)
    assert done.returncode == 2
    assert "0.json is no report of midirnn evaluate --json" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    package(tmp_path)
    command = [sys.executable, str(SCRIPT), str(tmp_path / "run"), str(tmp_path / "package")]
    command += ["--evaluations", "piano=elsewhere.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "elsewhere.json cannot be read" in done.stderr and "Traceback" not in done.stderr
