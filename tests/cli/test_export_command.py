"""``midirnn export``: a file that runs, and errors in one line that leave none behind."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from midirnn.cli.main import main
from midirnn.codecs import PerformanceCodec
from midirnn.datasets import encode_files
from midirnn.engines.export import export_onnx
from midirnn.engines.load import load
from midirnn.engines.onnx_engine import OnnxEngine
from midirnn.models.checkpoint import write_checkpoint
from tests.datasets.songs import write_songs
from tests.engines.stepping import CODEC, CONFIGS, step_through, trained_weights


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a model."""
    folder = tmp_path / "model"
    folder.mkdir()
    write_checkpoint(folder, CONFIGS[1], CODEC, trained_weights(CONFIGS[1]), {})
    return folder


def dataset_of(folder: Path, codec: PerformanceCodec = CODEC) -> Path:
    """A data set of which about half is for validation."""
    from midirnn.datasets import SplitShares

    songs = write_songs(folder / "songs", 8)
    shares = SplitShares(validation=0.5, test=0.0)
    encode_files([songs], folder / "dataset", codec=codec, splits=shares, workers=1)
    return folder / "dataset"


def refusal(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    """The one line that says why a command is refused."""
    assert main(["export", *map(str, argv)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_it_writes_a_file_and_prints_its_size(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "model.onnx"
    assert main(["export", str(model), "-o", str(path)]) == 0
    loaded = load(model)
    weights = sum(array.size for array in loaded.weights.values())
    megabytes = path.stat().st_size / 1e6
    assert capsys.readouterr().out == f"{path}: {megabytes:.1f} MB, {weights:,} weights\n"
    settings = CODEC.settings()
    content = export_onnx(loaded.config, loaded.weights, codec_settings=settings)
    assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]


def test_it_needs_no_onnxruntime(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["export", str(model), "-o", str(tmp_path / "model.onnx")]) == 0


def test_the_file_steps_as_the_model_does(tmp_path: Path, model: Path) -> None:
    pytest.importorskip("onnxruntime", reason="runs the file")
    path = tmp_path / "model.onnx"
    assert main(["export", str(model), "-o", str(path)]) == 0
    engine = load(model).engine("onnxruntime")
    of_the_file = OnnxEngine(load(model).config, path.read_bytes())
    assert np.array_equal(step_through(of_the_file), step_through(engine))


def test_check_prints_how_likely_both_find_the_same_music(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime", reason="runs the file")
    dataset, path = dataset_of(tmp_path), tmp_path / "model.onnx"
    assert main(["export", str(model), "-o", str(path), "--check", str(dataset)]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    form = r"[\d,]+ tokens: (\d+\.\d{4}) nats per token, (\d+\.\d{4}) with exact weights"
    found = re.fullmatch(form, line)
    assert found is not None
    assert float(found[1]) == pytest.approx(float(found[2]), abs=0.05)


def test_check_needs_onnxruntime(
    tmp_path: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset, path = dataset_of(tmp_path), tmp_path / "model.onnx"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    line = refusal(capsys, model, "-o", path, "--check", dataset)
    assert line.endswith("Install it with: pip install 'midirnn[fast]'")


def test_a_data_set_of_another_codec_is_refused_and_nothing_written(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = dataset_of(tmp_path, PerformanceCodec(velocity_bins=8))
    path = tmp_path / "model.onnx"
    assert "have different codecs" in refusal(capsys, model, "-o", path, "--check", dataset)
    assert not path.exists()


def test_a_data_set_that_is_not_there_is_refused_and_nothing_written(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    argv = (model, "-o", path, "--check", tmp_path / "nothing")
    assert "does not exist" in refusal(capsys, *argv)
    assert not path.exists()


def test_a_model_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(capsys, tmp_path / "nothing", "-o", tmp_path / "model.onnx")
    assert "there is no model" in line


def test_a_file_that_cannot_be_written_is_told_with_the_reason(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    assert f"{folder} cannot be written (it is a folder)" in refusal(capsys, model, "-o", folder)
    assert ". cannot be written (it is a folder)" in refusal(capsys, model, "-o", ".")
    other = refusal(capsys, "no model", "-o", tmp_path / "model.bin")
    assert other.endswith("model.bin cannot be written (its name must end in .onnx)")
    below = model / "config.json" / "model.onnx"
    assert f"{below} cannot be written (" in refusal(capsys, model, "-o", below)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder", "model"]
