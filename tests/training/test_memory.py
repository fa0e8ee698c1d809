"""Training on more data than fits into memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from midirnn.datasets import Dataset
from tests.datasets.made import write_pieces
from tests.training.tiny import CODEC, TRAIN, VALIDATION, metrics, ostinato, trainer

PIECES, NOTES = 8000, 4000  # of some 4 tokens: 133 million tokens, 266 MB
HEADROOM = 150_000_000
"""What the process may take beyond what it has when torch is loaded and a step was made.

It takes 100 MB, of which a third are the stacks of threads that read.
"""

PROGRAM = """
import resource, sys
from pathlib import Path
from midirnn.datasets import Dataset
from tests.training.tiny import CODEC, MODEL, TRAIN, recipe, trainer

folder = Path(sys.argv[1])
trainer(folder / "warm").run()  # loads all that training needs
data = Dataset.open(folder / "data")
lines = Path("/proc/self/status").read_text().splitlines()
(used,) = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData")]
resource.setrlimit(resource.RLIMIT_DATA, (used + int(sys.argv[2]),) * 2)
try:
    data.pieces("train")
    print("all of it fits")
except MemoryError:
    print("all of it does not fit")
pieces = data.stored_pieces("train", cached_tokens=2_000_000)
made = trainer(folder / "run", recipe(30, transpose=0, stretch=0.0), train=pieces)
print("trained", made.run().step)
print("groups", len(pieces._groups), "of", len(pieces._places))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and RLIMIT_DATA")
def test_a_process_trains_on_data_that_it_could_not_load(tmp_path: Path) -> None:
    piece = CODEC.encode(ostinato(0, NOTES))
    write_pieces(tmp_path / "data", (piece for _ in range(PIECES)))
    tokens = Dataset.open(tmp_path / "data").counts["train"].tokens
    assert 2 * tokens > 1.5 * HEADROOM
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(HEADROOM)],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    fits, trained, groups = done.stdout.splitlines()
    assert fits == "all of it does not fit"
    assert trained == "trained 30"
    _, kept, _, of = groups.split()
    assert int(kept) <= 3 < 50 < int(of)


@pytest.mark.parametrize("cached_tokens", [0, 10**9])
def test_a_run_is_the_same_whether_its_data_is_in_memory_or_not(
    tmp_path: Path, cached_tokens: int
) -> None:
    data = Dataset.open(write_pieces(tmp_path / "data", TRAIN, VALIDATION))
    trainer(tmp_path / "memory").run()
    trainer(
        tmp_path / "disk",
        train=data.stored_pieces("train", cached_tokens),
        validation=data.stored_pieces("validation", cached_tokens),
    ).run()
    assert metrics(tmp_path / "memory") == metrics(tmp_path / "disk")
