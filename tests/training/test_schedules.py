"""Schedules: by time, a decay of a run that goes on, gradients in parts."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest
import torch

from midirnn.cli.main import main
from midirnn.errors import CheckpointError
from midirnn.models.checkpoint import read_checkpoint
from midirnn.training import run
from midirnn.training.config import TrainingConfig, inherited
from midirnn.training.run import LAST
from tests.datasets.made import write_pieces
from tests.training.test_run import same_weights, stop_after
from tests.training.tiny import TRAIN, VALIDATION, metrics, recipe, trainer

CONSTANT = recipe(40, decay_start=1.0, transpose=0)


class Clock:
    """A clock that goes on by a second whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


class TestMinutes:
    def test_the_schedule_follows_the_clock_and_not_the_steps(self) -> None:
        config = TrainingConfig(minutes=2, warmup_steps=3, decay_start=0.5)
        assert config.learning_rate_share(1, 100) == pytest.approx(2 / 3)
        assert config.learning_rate_share(10**6, 59) == 1.0
        assert config.learning_rate_share(10, 90) == pytest.approx(0.51)
        assert config.learning_rate_share(10, 500) == pytest.approx(0.02)
        assert (config.done(5, 60), config.done(5, 120)) == (0.5, 1.0)

    def test_a_run_ends_when_its_time_is_over_and_validates_then(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run, "time", Clock())
        made = trainer(tmp_path / "run", recipe(10**6, minutes=3.0, decay_start=0.0))
        progress = made.run()
        assert made.is_done and 180 <= progress.seconds < 185
        lines = metrics(tmp_path / "run")
        assert lines[-1]["step"] == progress.step
        assert "validation_nats_per_token" in lines[-1]
        rates = [line["lr"] for line in lines if "lr" in line]
        assert rates == sorted(rates, reverse=True) and rates[-1] < rates[0]

    def test_a_resumed_run_uses_the_time_that_was_left(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run, "time", Clock())
        config = recipe(10**6, minutes=1.0)
        first = stop_after(trainer(tmp_path / "run", config), 10)
        again = trainer(tmp_path / "run", config)
        again.resume()
        assert 60 <= again.run().seconds < 65
        assert again.progress.step > first.progress.step

    def test_a_real_minute_is_a_minute(self, tmp_path: Path) -> None:
        begun = time.monotonic()
        made = trainer(tmp_path / "run", recipe(10**6, minutes=0.01))
        assert made.run().seconds >= 0.6
        assert time.monotonic() - begun >= 0.6


class TestDecay:
    def test_it_continues_the_weights_and_leaves_the_run_as_it_was(self, tmp_path: Path) -> None:
        stop_after(trainer(tmp_path / "long", CONSTANT), 10)
        stop_after(trainer(tmp_path / "alone", CONSTANT), 10)
        decay = trainer(tmp_path / "decay", recipe(8, transpose=0).decaying())
        decay.decay_from(tmp_path / "long")
        weights = decay.model.state_dict()
        for name, saved in read_checkpoint(tmp_path / "long" / LAST).weights.items():
            assert torch.equal(weights[name], torch.from_numpy(saved))
        momentum = decay.optimizers[0].state_dict()["state"][0]
        assert float(momentum["step"]) == 10 and momentum["exp_avg"].any()
        decay.run()
        assert decay.optimizers[0].param_groups[0]["lr"] < 0.2 * CONSTANT.learning_rate
        info = read_checkpoint(tmp_path / "decay" / LAST).info
        assert info["started_from"] == {"model": str(tmp_path / "long"), "tokens_seen": 10 * 32}
        for name in ("long", "alone"):
            going_on = trainer(tmp_path / name, CONSTANT)
            going_on.resume()
            going_on.run()
        assert same_weights(tmp_path / "long" / LAST, tmp_path / "alone" / LAST)

    def test_it_goes_on_exactly_where_it_was_stopped(self, tmp_path: Path) -> None:
        stop_after(trainer(tmp_path / "long", CONSTANT), 6)
        config = recipe(8, transpose=0).decaying()
        for name in ("whole", "parts"):
            made = trainer(tmp_path / name, config)
            made.decay_from(tmp_path / "long")
            made.run() if name == "whole" else stop_after(made, 3)
        again = trainer(tmp_path / "parts", config)
        again.resume()
        again.run()
        assert same_weights(tmp_path / "whole" / LAST, tmp_path / "parts" / LAST)

    def test_it_may_read_other_data(self, tmp_path: Path) -> None:
        stop_after(trainer(tmp_path / "long", CONSTANT), 6)
        config = recipe(8, transpose=0).decaying()
        made = trainer(tmp_path / "decay", config, train=TRAIN[:1])
        made.decay_from(tmp_path / "long")
        assert made.run().step == 8

    @pytest.mark.parametrize(
        ("steps", "part", "advice"),
        [
            (2, "warm-up", "train it beyond its warm-up of 5 steps$"),
            (30, "decay", "train one with a later --decay-start"),
        ],
    )
    def test_only_a_constant_part_can_be_decayed(
        self, tmp_path: Path, steps: int, part: str, advice: str
    ) -> None:
        stop_after(trainer(tmp_path / "run", recipe(40, decay_start=0.5, transpose=0)), steps)
        made = trainer(tmp_path / "decay", recipe(8, transpose=0).decaying())
        with pytest.raises(
            CheckpointError, match=f"in its {part} at step {steps}; only .*: {advice}"
        ):
            made.decay_from(tmp_path / "run")

    def test_other_settings_are_refused_with_both_values(self, tmp_path: Path) -> None:
        stop_after(trainer(tmp_path / "run", CONSTANT), 6)
        made = trainer(tmp_path / "decay", recipe(8, transpose=0, weight_decay=0.5).decaying())
        with pytest.raises(CheckpointError, match=r"weight_decay = 0\.01, not 0\.5"):
            made.decay_from(tmp_path / "run")


class TestAnotherLength:
    @pytest.mark.parametrize(
        ("length", "message"),
        [
            ({"tokens": 5 * 32}, r"was saved after 10 steps, more than --tokens 160 \(5 steps\)"),
            ({"minutes": 0.1}, r"was saved after 0\.3 minutes, more than --minutes 0\.1"),
        ],
    )
    def test_a_run_is_not_resumed_for_less_than_it_has_had(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        length: dict[str, float],
        message: str,
    ) -> None:
        monkeypatch.setattr(run, "time", Clock())
        stop_after(trainer(tmp_path / "run", CONSTANT), 10)
        before = metrics(tmp_path / "run")
        with pytest.raises(CheckpointError, match=message):
            trainer(tmp_path / "run", dataclasses.replace(CONSTANT, **length)).resume()
        assert metrics(tmp_path / "run") == before

    @pytest.mark.parametrize("steps", [10, 12])
    def test_a_run_ends_at_any_length_that_it_has_not_exceeded(
        self, tmp_path: Path, steps: int
    ) -> None:
        stop_after(trainer(tmp_path / "run", CONSTANT), 10)
        again = trainer(tmp_path / "run", dataclasses.replace(CONSTANT, tokens=steps * 32))
        again.resume()
        assert again.run().step == steps

    def test_a_run_that_took_a_little_longer_than_its_minutes_is_resumed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run, "time", Clock())
        config = dataclasses.replace(CONSTANT, minutes=0.25)
        made = trainer(tmp_path / "run", config)
        assert made.run().seconds > 15
        trainer(tmp_path / "run", config).resume()


class TestCommand:
    def test_a_run_is_decayed_and_resumed_with_its_own_settings(self, tmp_path: Path) -> None:
        data = str(write_pieces(tmp_path / "data", TRAIN, VALIDATION))
        long, short = str(tmp_path / "long"), str(tmp_path / "short")
        settings = [
            "--hidden-size=8", "--embedding-size=8", "--num-layers=1", "--window=16",
            "--batch-size=2", "--no-bf16", "--warmup-steps=2", "--decay-start=1",
        ]  # fmt: skip
        assert main(["train", data, "-o", long, "--tokens=128", *settings]) == 0
        decay = ["train", data, "-o", short, "--decay-from", long, "--tokens=64"]
        assert main(decay) == 0
        info = read_checkpoint(tmp_path / "short" / LAST).info
        kept = TrainingConfig.from_dict(info["training"])
        assert (kept.window, kept.warmup_steps, kept.decay_start) == (16, 0, 0.0)
        assert (info["step"], info["tokens_seen"]) == (2, 4 * 32 + 2 * 32)
        assert main(["train", data, "-o", short, "--resume"]) == 0

    def test_tokens_for_a_run_of_minutes_are_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = str(write_pieces(tmp_path / "data", TRAIN, VALIDATION))
        timed, short = str(tmp_path / "timed"), str(tmp_path / "short")
        settings = [
            "--hidden-size=8", "--embedding-size=8", "--num-layers=1", "--window=16",
            "--batch-size=2", "--no-bf16", "--warmup-steps=0", "--decay-start=1",
        ]  # fmt: skip
        assert main(["train", data, "-o", timed, "--minutes=0.001", *settings]) == 0
        both = ["--tokens=64", "--minutes=0.001"]
        for argv in (
            ["-o", short, *both, *settings],
            ["-o", short, "--decay-from", timed, *both],
            ["-o", timed, "--resume", *both],
            ["-o", timed, "--resume", "--tokens=64000"],
        ):
            assert main(["train", data, *argv]) == 1
            line = "--tokens has no effect on a run of --minutes 0.001: leave it out"
            assert line in capsys.readouterr().err
        assert not Path(short).exists()
        assert main(["train", data, "-o", timed, "--resume"]) == 0
        assert main(["train", data, "-o", short, "--tokens=64", "--minutes=0", *settings]) == 0

    def test_a_folder_without_a_run_cannot_be_decayed(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = str(write_pieces(tmp_path / "data", TRAIN, VALIDATION))
        assert main(["train", data, "-o", str(tmp_path / "new"), "--decay-from", data]) == 1
        assert capsys.readouterr().err == f"midirnn: error: {data} holds no run to decay\n"

    def test_settings_that_were_not_given_are_those_of_the_run(self) -> None:
        kept = TrainingConfig(batch_size=8, seed=4, threads=2, window=64)
        used = inherited(TrainingConfig(window=32), kept, ("threads", "window"))
        assert (used.batch_size, used.seed, used.threads, used.window) == (8, 4, 1, 32)

    def test_a_flag_at_its_default_is_not_left_out(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = str(write_pieces(tmp_path / "data", TRAIN, VALIDATION))
        command = ["train", data, "-o", str(tmp_path / "run")]
        settings = [
            "--hidden-size=8", "--embedding-size=8", "--num-layers=1", "--window=16",
            "--batch-size=2", "--no-bf16", "--no-held-input", "--tokens=64", "--seed=4",
        ]  # fmt: skip
        assert main([*command, *settings]) == 0
        assert main([*command, "--resume"]) == 0
        assert main([*command, "--resume", "--seed=0"]) == 1
        assert "seed" in capsys.readouterr().err


class TestParts:
    @pytest.mark.parametrize("parts", [2, 3, 9])
    def test_gradients_in_parts_are_those_of_the_whole(self, tmp_path: Path, parts: int) -> None:
        weights = {}
        for name, count in (("whole", 1), ("parts", parts)):
            config = recipe(6, batch_size=5, accumulate=count)
            made = trainer(tmp_path / name, config, train=[piece[:37] for piece in TRAIN])
            made.run()
            weights[name] = made.model.state_dict()
        for name, weight in weights["whole"].items():
            torch.testing.assert_close(weights["parts"][name], weight, atol=2e-5, rtol=2e-4)

    def test_a_run_in_parts_goes_on_exactly_where_it_stopped(self, tmp_path: Path) -> None:
        config = recipe(8, batch_size=4, accumulate=2)
        trainer(tmp_path / "whole", config).run()
        stop_after(trainer(tmp_path / "parts", config), 3)
        again = trainer(tmp_path / "parts", config)
        again.resume()
        again.run()
        assert same_weights(tmp_path / "whole" / LAST, tmp_path / "parts" / LAST)
