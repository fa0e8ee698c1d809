"""Runs in several processes: the same as in one, and resumed in any number of them."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from midirnn.errors import OptionError
from midirnn.models.checkpoint import read_checkpoint
from midirnn.models.language_model import LanguageModel
from midirnn.training import distributed
from midirnn.training.distributed import ALONE, Team, join
from midirnn.training.evaluate import combined, evaluate
from midirnn.training.run import BEST, LAST
from tests.training.in_team import RECIPE, STOP
from tests.training.tiny import CODEC, MODEL, VALIDATION, metrics, recipe, trainer

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Teamwork:
    """The folder in which two processes did :mod:`tests.training.in_team`, and what they said."""

    folder: Path
    said: str
    code: int


@pytest.fixture(scope="module")
def teamwork(tmp_path_factory: pytest.TempPathFactory) -> Teamwork:
    folder = tmp_path_factory.mktemp("team")
    made = trainer(folder / "one_then_two", RECIPE)
    made.run(lambda: made.progress.step >= STOP)
    trainer(folder / "one", RECIPE).run()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node=2", "-m", "tests.training.in_team", str(folder)]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return Teamwork(folder, done.stdout, done.returncode)


def assert_same_run(folder: Path, other: Path) -> None:
    """Metrics and weights are the same to within the error of float sums in another order."""
    for one, two in zip(metrics(folder), metrics(other), strict=True):
        assert one == pytest.approx(two, rel=1e-5)
    for name in (LAST, BEST):
        one, two = read_checkpoint(folder / name), read_checkpoint(other / name)
        for told in ("step", "tokens_seen", "best_validation_nats_per_token"):
            assert one.info[told] == pytest.approx(two.info[told], rel=1e-5)
        for weight in one.weights.keys() | two.weights.keys():
            np.testing.assert_allclose(one.weights[weight], two.weights[weight], atol=2e-5)


def test_two_processes_train_as_one_does(teamwork: Teamwork) -> None:
    assert_same_run(teamwork.folder / "one", teamwork.folder / "two")
    seen = read_checkpoint(teamwork.folder / "two" / LAST).info["tokens_seen"]
    assert seen < RECIPE.tokens  # the rows, and so the processes, had unequal shares of tokens


def test_a_run_of_one_process_goes_on_in_two(teamwork: Teamwork) -> None:
    assert_same_run(teamwork.folder / "one", teamwork.folder / "one_then_two")


def test_a_run_of_two_processes_goes_on_in_one(teamwork: Teamwork) -> None:
    resumed = trainer(teamwork.folder / "two_then_one", RECIPE)
    resumed.resume()
    assert resumed.progress.step == STOP
    resumed.run()
    assert_same_run(teamwork.folder / "one", teamwork.folder / "two_then_one")


def test_a_process_that_is_lost_ends_the_run_with_one_line(teamwork: Teamwork) -> None:
    assert teamwork.code != 0
    (line,) = [line for line in teamwork.said.splitlines() if line.startswith("told: ")]
    assert line.startswith("told: another process of the run has ended, or does not answer: ")


class TestTeam:
    @pytest.mark.parametrize(("size", "batch_size"), [(1, 1), (2, 3), (3, 64), (5, 5), (7, 100)])
    def test_its_rows_are_all_the_rows_once_and_shared_fairly(
        self, size: int, batch_size: int
    ) -> None:
        shares = [Team(rank, size).rows(batch_size) for rank in range(size)]
        assert [row for share in shares for row in share] == list(range(batch_size))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1

    def test_more_processes_than_rows_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(OptionError, match="batch_size is 2; 3 processes need at least one row"):
            trainer(tmp_path, recipe(batch_size=2), team=Team(1, 3))

    def test_alone_nothing_is_sent_and_no_gradient_is_touched(self) -> None:
        weight = torch.ones(3, requires_grad=True)
        (weight * 2).sum().backward()
        before = weight.grad
        assert ALONE.average([weight], torch.tensor(1.5), 7) == (1.5, 7)
        assert weight.grad is before
        assert ALONE.any_of(True, False) == (True, False)
        assert ALONE.gather("a") == ["a"]
        assert ALONE.from_first(lambda: 3) == 3
        assert not torch.distributed.is_initialized()

    def test_without_torchrun_a_process_is_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("WORLD_SIZE", raising=False)
        with join(print) as team:
            assert team == ALONE

    def test_ctrl_c_is_told_in_one_word_and_by_one_process(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, told = torch.distributed.HashStore(), list[str]()
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        for rank in (1, 0):
            monkeypatch.setattr(distributed, "_connect", lambda rank=rank: (Team(rank, 2), store))
            with pytest.raises(SystemExit), join(told.append):
                raise KeyboardInterrupt
        assert told == ["interrupted"]

    def test_processes_that_are_not_told_where_the_others_are_say_so(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.delenv("RANK", raising=False)
        with (
            pytest.raises(OptionError, match=r"do not find each other .* with torchrun"),
            join(print),
        ):
            pass

    @pytest.mark.parametrize("rank", [0, 1])
    def test_more_processes_than_gpus_are_told_by_those_that_have_none(
        self, monkeypatch: pytest.MonkeyPatch, rank: int
    ) -> None:
        told = list[str]()
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        for name, value in (
            ("WORLD_SIZE", 4), ("LOCAL_WORLD_SIZE", 2), ("LOCAL_RANK", 1), ("RANK", rank),
        ):  # fmt: skip
            monkeypatch.setenv(name, str(value))
        message = "2 processes on this machine, and only 1 GPU: start them with --nproc-per-node 1"
        with pytest.raises(SystemExit if rank else OptionError) as caught, join(told.append):
            pass
        if rank:
            assert caught.value.code == 1
            assert told == [f"process 1 of 4: {message}"]
        else:
            assert str(caught.value) == message
            assert told == []


def test_evaluations_of_shares_combine_to_that_of_the_whole() -> None:
    torch.manual_seed(0)
    model = LanguageModel(MODEL)
    whole = evaluate(model, CODEC, VALIDATION)
    shares = [evaluate(model, CODEC, VALIDATION[rank::3]) for rank in range(3)]
    assert [share.tokens > 0 for share in shares] == [True, True, False]
    together = combined(shares)
    for name, value in dataclasses.asdict(whole).items():
        assert getattr(together, name) == pytest.approx(value)
