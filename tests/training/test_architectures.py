"""A second architecture: an encoder and a decoder of a few lines, trained, saved and loaded."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from midirnn.datasets.mixture import Source
from midirnn.engines.export import EXPORTS, export_onnx
from midirnn.engines.load import load
from midirnn.errors import CheckpointError, OptionError
from midirnn.models.architectures import ARCHITECTURES, Architecture
from midirnn.models.checkpoint import CONFIG_FILE, read_checkpoint
from midirnn.training.config import TrainingConfig
from midirnn.training.distributed import Team
from midirnn.training.run import BEST, LAST, Trainer
from midirnn.training.task import Task
from midirnn.training.tasks import TASKS, make_task
from tests.training.tiny import CODEC, TRAIN, VALIDATION, metrics, recipe

SOURCES = [Source("songs", TRAIN, VALIDATION)]


@dataclass(frozen=True)
class ToyConfig:
    """The sizes of an encoder and a decoder."""

    architecture: ClassVar[str] = "toy"
    must_match: ClassVar[tuple[str, ...]] = ()
    obsolete_weights: ClassVar[tuple[str, ...]] = ()
    vocab_size: int = 388
    size: int = 8

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ToyConfig:
        return cls(**values)

    def check_codec(self, codec: Any) -> None:
        if codec.vocab_size != self.vocab_size:
            raise CheckpointError("the codec is another")

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(t.shape) for name, t in Toy(self).state_dict().items()}


class Toy(nn.Module):
    """Reads a piece's first tokens, and from what it has understood predicts the next ones."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.size)
        self.encoder = nn.GRU(config.size, config.size, batch_first=True)
        self.decoder = nn.GRU(config.size, config.size, batch_first=True)
        self.output = nn.Linear(config.size, config.vocab_size)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        _, understood = self.encoder(self.embedding(source))
        y, _ = self.decoder(self.embedding(target), understood)
        logits: Tensor = self.output(y)
        return logits


class ToyTask(Task):
    """The first eight tokens of a piece are the source, the next eight the target."""

    objective = "validation_error"
    state_keys: ClassVar[frozenset[str]] = frozenset({"next"})

    def __init__(
        self,
        config: ToyConfig,
        recipe: TrainingConfig,
        codec: Any,
        sources: Sequence[Source],
        team: Team,
    ) -> None:
        self.config, self.codec = config, codec
        self.model = Toy(config)
        self.train, self.validation = sources[0].train, sources[0].validation
        self.data = {"pieces": len(self.train)}
        self.has_validation = True
        self.next = 0

    def next_batch(self) -> Tensor:
        self.next += 1
        return torch.from_numpy(self.train[self.next % len(self.train)][None, :16].astype(np.int64))

    def loss(self, batch: Tensor, *, bf16: bool) -> tuple[Tensor, int]:
        logits = self.model(batch[:, :8], batch[:, 8:15])
        return nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 9:].flatten()), 7

    @torch.no_grad()
    def validate(self, rank: int, size: int, *, bf16: bool) -> float:
        pieces = [torch.from_numpy(p[None, :16].astype(np.int64)) for p in self.validation]
        return float(sum(self.loss(piece, bf16=bf16)[0] for piece in pieces)) / len(pieces)

    def metrics(self, results: Sequence[float]) -> dict[str, float]:
        return {self.objective: float(np.mean(results))}

    def state(self) -> int:
        return self.next

    def join(self, states: Sequence[int]) -> dict[str, Any]:
        return {"next": states[0]}

    def read_on(self, state: Mapping[str, Any]) -> None:
        self.next = state["next"]

    def restore(self, state: Mapping[str, Any]) -> None:
        self.next = state["next"]


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "toy", Architecture(ToyConfig, Toy))
    monkeypatch.setitem(TASKS, "toy", ToyTask)


def toy_trainer(folder: Path, steps: int = 60) -> Trainer:
    used = recipe(steps, learning_rate=1e-2)
    return Trainer(folder, make_task(ToyConfig(), used, CODEC, SOURCES), used)


def test_it_learns_and_validates(tmp_path: Path) -> None:
    toy_trainer(tmp_path / "run").run()
    errors = [m["validation_error"] for m in metrics(tmp_path / "run") if "validation_error" in m]
    assert errors[-1] < 0.8 * errors[0]
    info = read_checkpoint(tmp_path / "run" / BEST).info
    assert info["best_validation_error"] == min(errors)


def test_it_is_saved_under_its_name_and_read_again(tmp_path: Path) -> None:
    made = toy_trainer(tmp_path / "run", 9)
    made.run()
    content = json.loads((tmp_path / "run" / LAST / CONFIG_FILE).read_text())
    assert content["architecture"] == "toy"
    checkpoint = read_checkpoint(tmp_path / "run" / LAST)
    assert checkpoint.config == ToyConfig()
    model = ARCHITECTURES[checkpoint.config.architecture].build(checkpoint.config)
    model.load_state_dict({n: torch.from_numpy(a) for n, a in checkpoint.weights.items()})
    for one, other in zip(model.parameters(), made.parameters, strict=True):
        assert torch.equal(one, other)


def test_it_is_resumed_exactly(tmp_path: Path) -> None:
    toy_trainer(tmp_path / "whole", 20).run()
    made = toy_trainer(tmp_path / "parts", 20)
    made.run(lambda: made.progress.step >= 9)
    resumed = toy_trainer(tmp_path / "parts", 20)
    resumed.resume()
    resumed.run()
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")


def test_what_is_not_there_for_it_is_told_in_one_line(tmp_path: Path) -> None:
    toy_trainer(tmp_path / "run", 3).run()
    with pytest.raises(CheckpointError, match="only models of 'language_model' can be played"):
        load(tmp_path / "run")
    config: Any = ToyConfig()
    with pytest.raises(OptionError, match="architecture 'toy' cannot be exported"):
        export_onnx(config, {})


def test_an_unknown_architecture_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy_trainer(tmp_path / "run", 3).run()
    monkeypatch.delitem(ARCHITECTURES, "toy")
    monkeypatch.delitem(TASKS, "toy")
    known = "language_model, convolution, attention, humanizer"
    message = rf"there is no architecture 'toy'; known are {known}\. .* newer midirnn"
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path / "run" / LAST)
    with pytest.raises(OptionError, match="architecture 'toy' cannot be trained"):
        toy_trainer(tmp_path / "other")


def test_a_checkpoint_without_a_name_is_a_language_model(tmp_path: Path) -> None:
    shutil.copytree(load("piano").folder, tmp_path / "old")
    content = json.loads((tmp_path / "old" / CONFIG_FILE).read_text())
    del content["architecture"]
    (tmp_path / "old" / CONFIG_FILE).write_text(json.dumps(content))
    assert load(tmp_path / "old").config.architecture == "language_model"


def test_every_table_has_the_same_architectures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert ARCHITECTURES.keys() - {"humanizer"} == TASKS.keys()  # which is trained on pairs
    assert TASKS.keys() - {"convolution", "attention"} == EXPORTS.keys()  # which stay in Python
