"""A model of each cell goes through all commands: train, resume, evaluate, generate, export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from midirnn.cli.main import main
from midirnn.engines.load import load
from midirnn.midifile import read_midi
from tests.datasets.songs import write_songs

FLAGS = ["--no-bf16", "--hidden-size=16", "--embedding-size=8", "--batch-size=2", "--window=16"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("cells")
    songs = write_songs(folder / "songs", 4)
    shares = ["--validation-share=0.25", "--test-share=0"]
    assert main(["encode", str(songs), "-o", str(folder / "data"), "--workers=1", *shares]) == 0
    return str(folder / "data")


@pytest.mark.parametrize(("cell", "layers"), [("rnn", 1), ("gru", 3)])
def test_another_cell_goes_the_same_way(
    data: str, tmp_path: Path, cell: str, layers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(tmp_path / "run")
    train = ["train", data, "-o", run, f"--num-layers={layers}", "--tokens=320", *FLAGS]
    assert main([*train, f"--cell={cell}"]) == 0
    assert main([*train, f"--cell={cell}", "--resume"]) == 0
    other = "lstm" if cell == "rnn" else "rnn"
    assert main([*train, f"--cell={other}", "--resume"]) == 1
    assert f"with cell = '{cell}', not '{other}'" in capsys.readouterr().err
    assert main(["export", run, "-o", str(tmp_path / "model.onnx")]) == 0
    for engine in ("numpy", "onnxruntime"):
        piece = tmp_path / f"{engine}.mid"
        flags = ["--model", run, "--engine", engine, "--seconds=2", "--seed=1"]
        assert main(["generate", "-o", str(piece), *flags]) == 0
        assert read_midi(piece) is not None
    assert load(run).config.cell == cell
    assert np.isfinite(load(run).engine("numpy").logits()).all()
