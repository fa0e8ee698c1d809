"""scripts/recipes/piano-pedal: the whole way at toy size."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import pytest

from midirnn.engines.load import load
from tests.recipes import ROOT, run_recipe

SONG = ROOT / "data" / "examples" / "bach_prelude_bwv846.mid"


@pytest.mark.skipif(os.name != "posix", reason="the recipe is a shell script")
def test_the_recipe_of_pedals_runs_to_its_end_and_compares_both_codecs(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="it trains")
    data = tmp_path / "data"
    data.mkdir()
    rows = [("path", "split", "dataset")]
    for split in ("train", "validation", "test"):
        shutil.copy(SONG, data / f"{split}.mid")
        rows.append((f"{split}.mid", split, "maestro"))
    with (data / "splits.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    run_recipe("piano-pedal", data, tmp_path / "run", 1000)
    made = load(tmp_path / "run" / "package")
    assert made.codec.name == "pedal"
    assert made.info["evaluation"]["test"]["nats_per_second"] > 0
    for codec in ("pedal", "performance"):
        found = json.loads((tmp_path / "run" / f"{codec}.json").read_text(encoding="utf-8"))
        assert found["seconds"] > 30
