"""``midirnn train`` started by torchrun: one of the processes speaks and writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from midirnn.cli.main import main
from tests.datasets.made import write_pieces
from tests.training.tiny import TRAIN, VALIDATION, metrics

FLAGS = ["--hidden-size=8", "--embedding-size=8", "--num-layers=1", "--no-bf16", "--tokens=640"]
FLAGS += ["--batch-size=2", "--window=16", "--validation-steps=10"]


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*command, "--nproc-per-node=2", "-m", "midirnn", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_two_processes_print_and_write_what_one_does(tmp_path: Path) -> None:
    data = write_pieces(tmp_path / "data", TRAIN, VALIDATION)
    done = torchrun("train", str(data), "-o", str(tmp_path / "two"), *FLAGS)
    assert done.returncode == 0, done.stderr
    first, second, end = done.stdout.splitlines()
    assert first.startswith("step 10 ")
    assert second.startswith("step 20 ")
    assert end.startswith("finished at step 20 of 20: ")
    assert main(["train", str(data), "-o", str(tmp_path / "one"), *FLAGS]) == 0
    names = [{path.name for path in (tmp_path / run).iterdir()} for run in ("one", "two")]
    assert names[0] == names[1] == {"best", "last", "metrics.jsonl", "curves.png"}
    one, two = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    assert [(line["step"], line["tokens"]) for line in one] == [
        (line["step"], line["tokens"]) for line in two
    ]


def test_what_is_wrong_for_all_is_told_once(tmp_path: Path) -> None:
    done = torchrun("train", str(tmp_path / "none"), "-o", str(tmp_path / "run"), *FLAGS)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("midirnn: ")]
    assert line.endswith(f"{tmp_path / 'none'} does not exist; make one with: midirnn encode")
    assert line in done.stderr.splitlines()[-2]  # torchrun's report ends with it
    assert not (tmp_path / "run").exists()
