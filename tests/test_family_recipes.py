"""The recipes of the weights `humanize` and `ensemble` run from their beginning to their end."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from midirnn import write_midi
from midirnn.codecs import EnsembleCodec
from midirnn.engines.humanizer import load_humanizer
from midirnn.engines.load import load
from midirnn.performance import Performance, Tempo, TimeSignature
from tests.recipes import run_recipe

pytest.importorskip("torch", reason="they train")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="the recipes are shell scripts")

SPLITS = ("train", "validation", "test")
BEATS = 300


def write_table(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


def write_title(folder: Path, seed: int) -> None:
    """A score of a note a beat, a performance of it, and the beats of both."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    pitch = rng.integers(50, 80, BEATS).astype(np.uint8)
    for name, beats in (
        ("midi_score", np.arange(BEATS) * 0.5),
        ("played", np.cumsum(rng.uniform(0.4, 0.6, BEATS))),
    ):
        written = name == "midi_score"
        piece = Performance(
            start=beats,
            end=beats + (0.5 if written else 0.3),
            pitch=pitch,
            velocity=(np.full(BEATS, 80) if written else pitch).astype(np.uint8),
            part=np.zeros(BEATS, np.int32),
            tempos=(Tempo(0.0, 120.0),),
            signatures=(TimeSignature(0.0, 4, 4),),
        )
        write_midi(piece, folder / f"{name}.mid")
        lines = "".join(f"{beat:.3f}\t{beat:.3f}\tb\n" for beat in beats)
        (folder / f"{name}_annotations.txt").write_text(lines, encoding="utf-8")


def test_the_recipe_of_humanize_matches_trains_and_measures(tmp_path: Path) -> None:
    asap, rows, splits = tmp_path / "asap", [], []
    for seed, split in enumerate(SPLITS):
        write_title(asap / split, seed)
        rows.append(
            {
                "folder": split,
                "midi_score": f"{split}/midi_score.mid",
                "midi_performance": f"{split}/played.mid",
                "midi_score_annotations": f"{split}/midi_score_annotations.txt",
                "performance_annotations": f"{split}/played_annotations.txt",
            }
        )
        splits.append({"path": f"scores/asap/{split}/played.mid", "split": split})
    write_table(asap / "metadata.csv", rows)
    write_table(tmp_path / "splits.csv", splits)
    printed = run_recipe("humanize", asap, tmp_path / "splits.csv", tmp_path / "run", 1000)
    assert "3 of 3 performances, 900 notes" in printed
    assert "test: 1 performances of 1 titles" in printed
    assert load_humanizer(tmp_path / "run" / "humanize").config.aligned
    assert not load_humanizer(tmp_path / "run" / "context").config.aligned


def test_the_recipe_of_ensemble_encodes_trains_and_measures(tmp_path: Path) -> None:
    codec, rng, rows = EnsembleCodec(), np.random.default_rng(0), []
    (tmp_path / "quartets").mkdir()
    for number in range(6):
        gestures = np.repeat(rng.integers(0, 9, (40, 4)), 4, axis=0)
        name = f"quartets/{number}.mid"
        codec.write(codec.decode(codec.from_gestures(gestures)), tmp_path / name)
        rows.append({"path": name, "dataset": "openscore-sq", "split": SPLITS[number % 3]})
    write_table(tmp_path / "splits.csv", rows)
    printed = run_recipe(
        "ensemble", tmp_path / "quartets", tmp_path / "splits.csv", tmp_path / "run", 1000
    )
    assert "chain of each player" in printed
    made = load(tmp_path / "run" / "ensemble")
    assert made.codec == EnsembleCodec(joint=False)
    assert made.info["evaluation"].keys() == {"validation", "test"}
