"""``midirnn train`` says where it computes otherwise than was asked, or slowly."""

from __future__ import annotations

from pathlib import Path

import pytest

from midirnn.cli.main import main
from tests.datasets.made import write_pieces
from tests.training.tiny import TRAIN

FLAGS = ["--hidden-size=8", "--embedding-size=8", "--num-layers=1", "--tokens=64"]
FLAGS += ["--batch-size=2", "--window=16"]

NO_BF16 = "this processor does not support bfloat16: "


@pytest.mark.parametrize(
    ("begun_with_bf16", "has_bf16", "lines"),
    [
        (None, True, []),
        (None, False, [NO_BF16 + "training in fp32"]),
        (True, True, []),
        (True, False, [NO_BF16 + "continuing in it, slowly, as the run was started"]),
        (False, True, ["continuing in fp32, as the run was started"]),
        (False, False, [NO_BF16 + "training in fp32"]),
    ],
)
def test_it_says_where_a_run_is_not_in_the_bf16_that_was_asked_or_slow_in_it(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    begun_with_bf16: bool | None,
    has_bf16: bool,
    lines: list[str],
) -> None:
    def train(has_bf16: bool, *flags: str) -> None:
        monkeypatch.setattr("midirnn.training.run.is_fast_in_bf16", lambda device: has_bf16)
        assert main(["train", str(data), "-o", str(tmp_path / "run"), *FLAGS, *flags]) == 0

    data = write_pieces(tmp_path / "data", TRAIN)
    if begun_with_bf16 is not None:
        train(begun_with_bf16)
    capsys.readouterr()
    train(has_bf16, *(["--resume"] if begun_with_bf16 is not None else []))
    assert capsys.readouterr().err.splitlines() == lines
