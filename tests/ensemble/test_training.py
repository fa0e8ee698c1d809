"""A network of an ensemble learns, within seconds, more than how often each state is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from midirnn.cli.main import main
from midirnn.codecs import EnsembleCodec
from midirnn.ensemble import generate_ensemble
from tests.live.stage import tiny_model

pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
PLAYERS = 2
CODEC = EnsembleCodec(players=PLAYERS)


def write_duos(folder: Path, count: int) -> None:
    """Pieces in which the first player changes now and then, and the second follows in a second."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        rows = np.ones((150, PLAYERS), np.int64)
        for second in range(1, len(rows)):
            changes = rng.random() < 0.25
            rows[second, 0] = rng.integers(9) if changes else rows[second - 1, 0]
            rows[second, 1] = rows[second - 1, 0]
        CODEC.write(CODEC.decode(CODEC.from_gestures(rows)), folder / f"{number}.mid")


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """The same duos as one token a second (True), and as one after the other (False)."""
    folder = tmp_path_factory.mktemp("duos")
    write_duos(folder / "duos", 20)
    settings = ["--codec", "ensemble", "--codec-setting", f"players={PLAYERS}", "--workers", "1"]
    shares = ["--validation-share", "0.1", "--test-share", "0.1"]
    encode = ["encode", str(folder / "duos"), *settings, *shares]
    assert main([*encode, "-o", str(folder / "joint")]) == 0
    assert main([*encode, "-o", str(folder / "turns"), "--codec-setting", "joint=false"]) == 0
    return {True: folder / "joint", False: folder / "turns"}


@pytest.fixture(scope="module")
def nats_of_frequencies(datasets: dict[bool, Path]) -> float:
    """What the recipe's baseline has, in nats per second."""
    script = ROOT / "scripts" / "recipes" / "ensemble_baselines.py"
    command = [sys.executable, str(script), str(datasets[True]), "--split", "test"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"frequencies +([\d.]+)", printed)
    assert found
    return float(found[1])


@pytest.mark.parametrize("joint", [True, False], ids=["joint", "in turn"])
def test_a_short_training_gets_below_the_frequencies_and_can_be_played(
    joint: bool,
    datasets: dict[bool, Path],
    nats_of_frequencies: float,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataset, run = datasets[joint], tmp_path / "run"
    size = ["--embedding-size", "24", "--hidden-size", "32", "--num-layers", "1"]
    recipe = ["--tokens", "12000", "--window", "32", "--batch-size", "8", "--warmup-steps", "5"]
    train = ["train", str(dataset), "-o", str(run), *size, *recipe, "--learning-rate", "0.01"]
    assert main([*train, "--validation-steps", "1000"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), str(dataset), "--split", "test", "--json"]) == 0
    nats = json.loads(capsys.readouterr().out)["nats_per_token"] * (1 if joint else PLAYERS)
    assert nats < nats_of_frequencies
    music = generate_ensemble(tiny_model(), network=run, players=PLAYERS, seconds=20, seed=1)
    assert len(music.performance) > 3
