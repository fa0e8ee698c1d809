"""TensorBoard shows what metrics.jsonl holds: each step once, after a resumption too."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from midirnn.cli.main import main
from midirnn.training.run import METRICS_FILE
from midirnn.training.tensorboard import TENSORBOARD_FOLDER, TensorBoard
from tests.datasets.made import write_pieces
from tests.training.tiny import TRAIN, VALIDATION, recipe, trainer

Shown = dict[str, list[tuple[int, float]]]


def shown(folder: Path) -> Shown:
    """What TensorBoard shows of a run: (step, value) by name."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util.tensor_util import make_ndarray

    found: Shown = {}
    for path in sorted((folder / TENSORBOARD_FOLDER).iterdir()):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                number = float(make_ndarray(value.tensor))
                found.setdefault(value.tag, []).append((event.step, number))
    return found


def written(folder: Path) -> Shown:
    """The same, as metrics.jsonl has it."""
    found: Shown = {}
    for line in (folder / METRICS_FILE).read_text().splitlines():
        values = json.loads(line)
        step = values.pop("step")
        for name, value in values.items():
            found.setdefault(name, []).append((step, pytest.approx(value, rel=1e-6)))
    return found


def test_it_shows_all_metrics_and_nothing_twice_when_a_run_is_resumed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with TensorBoard(folder) as board:
        made = trainer(folder, recipe(60), report=board)
        made.run(lambda: made.progress.step >= 25)
        made.progress.step = 28
        made._validate()  # what a run writes behind its last checkpoint before it is killed
    assert shown(folder) == written(folder)
    with TensorBoard(folder) as board:
        resumed = trainer(folder, recipe(60), report=board)
        resumed.resume()
        resumed.run()
    assert shown(folder) == written(folder)
    assert [step for step, _ in shown(folder)["loss"]] == [20, 40, 60]


def test_train_takes_it_as_an_option(tmp_path: Path) -> None:
    data = write_pieces(tmp_path / "data", TRAIN, VALIDATION)
    command = ["train", str(data), "--hidden-size", "8", "--embedding-size", "8", "--no-bf16"]
    command += ["--tokens", "640", "--batch-size", "2", "--window", "8", "--validation-steps", "25"]
    for name, flags in (("with", ["--tensorboard"]), ("without", [])):
        assert main([*command, "-o", str(tmp_path / name), *flags]) == 0
    assert shown(tmp_path / "with") == written(tmp_path / "with")
    assert {step for step, _ in shown(tmp_path / "with")["loss"]} == {20, 40}
    assert not (tmp_path / "without" / TENSORBOARD_FOLDER).exists()


def test_where_it_is_not_installed_the_extra_is_named_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    data = write_pieces(tmp_path / "data", TRAIN)
    assert main(["train", str(data), "-o", str(tmp_path / "run"), "--tensorboard"]) == 1
    assert "pip install 'midirnn[tensorboard]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
