"""Training runs: they learn, they repeat, and they go on exactly where they stopped."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from midirnn.cli.main import main
from midirnn.codecs import PerformanceCodec
from midirnn.datasets import encode_files
from midirnn.errors import CheckpointError, DatasetError, OptionError
from midirnn.midifile import write_midi
from midirnn.models.checkpoint import read_checkpoint
from midirnn.models.config import ModelConfig
from midirnn.training import run
from midirnn.training.config import TrainingConfig
from midirnn.training.evaluate import evaluate
from midirnn.training.run import BEST, LAST, METRICS_FILE, TRAINING_STATE_FILE, Report, Trainer
from tests.training.tiny import (
    CODEC,
    MODEL,
    TRAIN,
    VALIDATION,
    metrics,
    ostinato,
    recipe,
    task_of,
    trainer,
)


def same_weights(folder: Path, other: Path) -> bool:
    one, two = read_checkpoint(folder).weights, read_checkpoint(other).weights
    return all(np.array_equal(one[name], two[name]) for name in one.keys() | two.keys())


def stop_after(made: Trainer, steps: int) -> Trainer:
    """The trainer, that has made so many steps and stopped."""
    made.run(lambda: made.progress.step >= steps)
    assert made.progress.step == steps
    return made


def message_of(action: Callable[[], object]) -> str:
    with pytest.raises(CheckpointError) as caught:
        action()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


class TestLearning:
    @pytest.mark.parametrize(
        "changes",
        [
            {"learning_rate": 1e-2},
            {"optimizer": "muon", "learning_rate": 1e-2},
            {"learning_rate": 1e-2, "bf16": True},
        ],
    )
    def test_a_tiny_model_learns_a_tiny_data_set(
        self, tmp_path: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run, "is_fast_in_bf16", lambda device: True)
        config = recipe(tokens=80 * 64, batch_size=4, transpose=0, stretch=0.0, **changes)
        made = trainer(tmp_path / "run", config)
        before = evaluate(made.model, CODEC, VALIDATION).nats_per_token
        made.run()
        losses = [line["loss"] for line in metrics(tmp_path / "run") if "loss" in line]
        assert before > 4
        assert losses[-1] < 0.6 * losses[0]
        assert made.progress.best_nats < 0.6 * before

    def test_the_same_seed_gives_the_same_weights_and_another_gives_others(
        self, tmp_path: Path
    ) -> None:
        for name, seed in (("one", 0), ("again", 0), ("other", 1)):
            trainer(tmp_path / name, recipe(seed=seed)).run()
        assert metrics(tmp_path / "one") == metrics(tmp_path / "again")
        assert same_weights(tmp_path / "one" / LAST, tmp_path / "again" / LAST)
        assert metrics(tmp_path / "one") != metrics(tmp_path / "other")

    @pytest.mark.parametrize("has_bf16", [False, True])
    def test_bf16_is_for_processors_that_have_it(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        has_bf16: bool,
    ) -> None:
        monkeypatch.setattr(run, "is_fast_in_bf16", lambda device: has_bf16)
        trainer(tmp_path / "asked", recipe(bf16=True)).run()
        trainer(tmp_path / "exact", recipe(bf16=False)).run()
        is_exact = same_weights(tmp_path / "asked" / LAST, tmp_path / "exact" / LAST)
        assert is_exact is not has_bf16
        assert read_checkpoint(tmp_path / "asked" / LAST).info["bf16_used"] is has_bf16

    @pytest.mark.parametrize("has_bf16", [False, True])
    def test_a_run_goes_on_as_it_began_on_another_processor(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_bf16: bool
    ) -> None:
        monkeypatch.setattr(run, "is_fast_in_bf16", lambda device: has_bf16)
        trainer(tmp_path / "whole", recipe(bf16=True)).run()
        stop_after(trainer(tmp_path / "parts", recipe(bf16=True)), 9)
        monkeypatch.setattr(run, "is_fast_in_bf16", lambda device: not has_bf16)
        resumed = trainer(tmp_path / "parts", recipe(bf16=True))
        resumed.resume()
        resumed.run()
        assert same_weights(tmp_path / "whole" / LAST, tmp_path / "parts" / LAST)

    def test_muon_takes_the_matrices_of_the_layers_and_adamw_the_rest(self, tmp_path: Path) -> None:
        adamw, muon = trainer(tmp_path, recipe(optimizer="muon")).optimizers
        shapes = {tuple(p.shape) for p in muon.param_groups[0]["params"]}
        assert isinstance(muon, torch.optim.Muon)
        assert shapes == {(64, 8), (64, 16)}
        assert len(muon.param_groups[0]["params"]) == 4
        assert len(adamw.param_groups[0]["params"]) == 2 + 4

    def test_the_learning_rates_follow_the_recipe(self, tmp_path: Path) -> None:
        config = recipe(20, optimizer="muon", decay_start=0.5, final_learning_rate_share=0.0)
        made = trainer(tmp_path / "run", config)
        for steps in (1, 8, 15):
            stop_after(made, steps)
            share = config.learning_rate_share(steps - 1)
            rates = [optimizer.param_groups[0]["lr"] for optimizer in made.optimizers]
            full = [config.learning_rate, config.muon_learning_rate]
            assert rates == pytest.approx([rate * share for rate in full])

    def test_pieces_are_drawn_by_their_length_and_empty_ones_never(self, tmp_path: Path) -> None:
        empty = np.empty(0, np.uint16)
        short, long = TRAIN[0][:10], TRAIN[1][:90]
        made = trainer(
            tmp_path, recipe(transpose=0, stretch=0.0), train=[empty, short, empty, long, empty]
        )
        rng = np.random.default_rng(0)
        lengths = [len(task_of(made).draw(rng)) for _ in range(500)]
        assert set(lengths) == {10, 90}
        assert 25 <= lengths.count(10) <= 80

    @pytest.mark.parametrize("train", [[], [np.empty(0, np.uint16)]])
    def test_without_pieces_there_is_no_run(self, tmp_path: Path, train: list[Any]) -> None:
        with pytest.raises(DatasetError, match="no pieces in its train split"):
            trainer(tmp_path, train=train)

    def test_augmentation_out_of_range_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(OptionError, match="transpose is 99; allowed are 0 to 24"):
            trainer(tmp_path, recipe(transpose=99))

    def test_a_run_that_diverges_says_so_and_keeps_its_last_checkpoint(
        self, tmp_path: Path
    ) -> None:
        made = stop_after(trainer(tmp_path / "run"), 3)
        with torch.no_grad():
            made.model.output.bias[0] = torch.inf
        message = message_of(made.run)
        assert message.startswith("the run diverged at step 3: its loss is nan")
        assert message.endswith("Start again with a lower learning rate")
        assert read_checkpoint(tmp_path / "run" / LAST).info["step"] == 3

    def test_a_gradient_that_is_no_number_never_gets_into_the_weights(self, tmp_path: Path) -> None:
        made = stop_after(trainer(tmp_path / "run"), 3)
        made.model.output.bias.register_hook(lambda gradient: gradient * torch.inf)
        assert "its gradient " in message_of(made.run)
        assert all(p.isfinite().all() for p in made.model.parameters())


class TestFolder:
    def test_it_holds_two_checkpoints_and_metrics(self, tmp_path: Path) -> None:
        reports: list[Report] = []
        trainer(tmp_path / "run", recipe(45), report=reports.append).run()
        assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [BEST, LAST, METRICS_FILE]
        assert sorted(p.name for p in (tmp_path / "run" / LAST).iterdir()) == [
            "config.json",
            "model.safetensors",
            TRAINING_STATE_FILE,
        ]
        lines = metrics(tmp_path / "run")
        assert [line["step"] for line in lines if "loss" in line] == [20, 40, 45]
        validated = [line["step"] for line in lines if "validation_nats_per_token" in line]
        assert validated == [7, 14, 21, 28, 35, 42, 45]
        assert [line["tokens"] for line in lines] == sorted(line["tokens"] for line in lines)
        assert [(r.step, r.total_steps) for r in reports] == [(line["step"], 45) for line in lines]

    def test_the_best_checkpoint_has_the_validation_loss_that_is_told_of_it(
        self, tmp_path: Path
    ) -> None:
        made = trainer(tmp_path / "run", recipe(21))
        made.run()
        best = read_checkpoint(tmp_path / "run" / BEST)
        told = [line.get("validation_nats_per_token", np.inf) for line in metrics(tmp_path / "run")]
        assert best.info["best_validation_nats_per_token"] == min(told) == made.progress.best_nats
        made.model.load_state_dict({n: torch.from_numpy(w) for n, w in best.weights.items()})
        assert evaluate(made.model, CODEC, VALIDATION).nats_per_token == pytest.approx(min(told))

    def test_a_checkpoint_knows_its_codec_its_recipe_and_how_far_it_came(
        self, tmp_path: Path
    ) -> None:
        config = recipe(9)
        progress = trainer(tmp_path / "run", config).run()
        checkpoint = read_checkpoint(tmp_path / "run" / LAST)
        assert (checkpoint.config, checkpoint.codec) == (MODEL, CODEC)
        assert checkpoint.info["training"] == config.to_dict()
        assert checkpoint.info["step"] == 9
        assert checkpoint.info["tokens_seen"] == progress.tokens > 200

    def test_a_run_without_validation_has_no_best_and_valid_json(self, tmp_path: Path) -> None:
        trainer(tmp_path / "run", recipe(8), validation=[]).run()
        assert not (tmp_path / "run" / BEST).exists()
        text = (tmp_path / "run" / LAST / "config.json").read_text()
        content = json.loads(text, parse_constant=lambda name: pytest.fail(name))
        assert content["info"]["best_validation_nats_per_token"] is None

    def test_validation_reads_the_beginnings_of_all_pieces(self, tmp_path: Path) -> None:
        made = trainer(tmp_path, recipe(validation_tokens=256), validation=TRAIN[:2])
        assert [piece.tolist() for piece in task_of(made).validation["songs"]] == [
            piece[:128].tolist() for piece in TRAIN[:2]
        ]
        assert all(len(piece) > 128 for piece in TRAIN[:2])

    def test_a_run_begun_anew_begins_its_metrics_anew(self, tmp_path: Path) -> None:
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / METRICS_FILE).write_text('{"step": 20, "tokens": 1, "loss": 1.0}\n{"st')
        trainer(folder, recipe(7)).run()
        assert [line["step"] for line in metrics(folder)] == [7, 7]

    def test_a_full_disk_is_told_in_one_line_and_keeps_the_last_checkpoint(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "run"
        made = stop_after(trainer(folder, recipe(20)), 5)
        write = Path.write_bytes

        def no_space(path: Path, data: bytes) -> int:
            if path.name == TRAINING_STATE_FILE:
                write(path, data[:100])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(path, data)

        monkeypatch.setattr(Path, "write_bytes", no_space)
        message = message_of(made.run)
        assert message == f"{folder / LAST} cannot be written (No space left on device)"
        assert {path.name for path in folder.iterdir()} == {BEST, LAST, METRICS_FILE}
        resumed = trainer(folder, recipe(20))
        resumed.resume()
        assert resumed.progress.step == 5

    def test_a_place_where_no_run_can_be_is_told_in_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        message = message_of(trainer(tmp_path / "file" / "run").run)
        assert message.endswith("run cannot be written (Not a directory)")

    def test_metrics_that_cannot_be_written_are_told_in_one_line(self, tmp_path: Path) -> None:
        made = trainer(tmp_path / "run", recipe(7))
        stop_after(made, 3)
        (tmp_path / "run" / METRICS_FILE).mkdir()
        message = message_of(made.run)
        assert message.endswith("metrics.jsonl cannot be written (Is a directory)")


class TestEarlyStop:
    def test_a_run_stops_after_so_many_validations_without_a_better_one(
        self, tmp_path: Path
    ) -> None:
        config = recipe(200, patience=3, validation_steps=2, learning_rate=0.0)
        progress = trainer(tmp_path / "run", config).run()
        assert progress.step == 2 + 3 * 2
        assert progress.validations_since_best == 3

    def test_patience_without_a_validation_split_is_refused_at_once(self, tmp_path: Path) -> None:
        task = task_of(trainer(tmp_path / "other"))
        task.has_validation = False
        with pytest.raises(OptionError, match=r"no validation split.* encode --overwrite"):
            Trainer(tmp_path / "run", task, recipe(200, patience=3))
        Trainer(tmp_path / "run", task, recipe(200))

    def test_more_patience_lets_it_go_on(self, tmp_path: Path) -> None:
        config = recipe(200, patience=1, validation_steps=2, learning_rate=0.0)
        trainer(tmp_path / "run", config).run()
        resumed = trainer(tmp_path / "run", dataclasses.replace(config, patience=2))
        resumed.resume()
        assert resumed.run().step == 6


def test_a_short_run_logs_its_last_step(tmp_path: Path) -> None:
    trainer(tmp_path / "run", recipe(7)).run()
    assert [line["step"] for line in metrics(tmp_path / "run") if "loss" in line] == [7]


class TestResume:
    @pytest.mark.parametrize(
        ("stops", "changes", "model"),
        [
            ([10], {}, MODEL),
            ([7, 13], {"optimizer": "muon"}, MODEL),
            ([10], {"bf16": True, "segment": 0}, dataclasses.replace(MODEL, dropout=0.2)),
            ([9], {"steered": 0.9}, dataclasses.replace(MODEL, control_inputs=True)),
            ([9], {"segment": 40}, dataclasses.replace(MODEL, recall_notes=32)),
            ([9], {}, dataclasses.replace(MODEL, cell="gru")),
            ([9], {"bf16": True}, dataclasses.replace(MODEL, cell="rnn")),
        ],
    )
    def test_it_is_exact(
        self, tmp_path: Path, stops: list[int], changes: dict[str, Any], model: ModelConfig
    ) -> None:
        config = recipe(20, **changes)
        trainer(tmp_path / "whole", config, model=model).run()
        for steps in stops:
            made = trainer(tmp_path / "parts", config, model=model)
            if steps != stops[0]:
                made.resume()
            stop_after(made, steps)
        last = trainer(tmp_path / "parts", config, model=model)
        last.resume()
        torch.rand(5)  # whatever else is drawn does not matter before the run goes on
        last.resume()
        last.run()
        for name in (LAST, BEST):
            assert same_weights(tmp_path / "whole" / name, tmp_path / "parts" / name)
        assert metrics(tmp_path / "whole") == metrics(tmp_path / "parts")
        assert (
            last.progress.tokens == read_checkpoint(tmp_path / "whole" / LAST).info["tokens_seen"]
        )

    def test_metrics_behind_the_checkpoint_are_written_again_and_a_torn_line_goes(
        self, tmp_path: Path
    ) -> None:
        trainer(tmp_path / "whole").run()
        folder = tmp_path / "killed"
        stop_after(trainer(folder), 10)
        with (folder / METRICS_FILE).open("a") as file:
            file.write('{"step": 14, "tokens": 1, "validation_nats_per_token": 1.0}\n{"step": 2')
        resumed = trainer(folder)
        resumed.resume()
        resumed.run()
        assert metrics(folder) == metrics(tmp_path / "whole")

    def test_a_finished_run_stays_as_it_is(self, tmp_path: Path) -> None:
        trainer(tmp_path / "run").run()
        shutil.copytree(tmp_path / "run", tmp_path / "before")
        resumed = trainer(tmp_path / "run")
        resumed.resume()
        assert resumed.run().step == 20
        assert same_weights(tmp_path / "run" / LAST, tmp_path / "before" / LAST)
        assert metrics(tmp_path / "run") == metrics(tmp_path / "before")

    def test_a_checkpoint_that_was_being_replaced_when_the_run_was_killed_is_found(
        self, tmp_path: Path
    ) -> None:
        folder = tmp_path / "run"
        stop_after(trainer(folder), 8)
        (folder / LAST).rename(folder / ".last.old")
        (folder / BEST).rename(folder / ".best.old")
        shutil.copytree(folder / ".last.old", folder / ".last.new")
        resumed = trainer(folder)
        resumed.resume()
        assert resumed.progress.step == 8
        resumed.run()
        assert sorted(p.name for p in folder.iterdir()) == [BEST, LAST, METRICS_FILE]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"seed": 3}, "was made with seed = 0, not 3: resume with the same settings"),
            ({"learning_rate": 0.5}, "was made with learning_rate = 0.003, not 0.5"),
            ({"tokens": 64}, "was made with tokens = 640, not 64"),
            ({"optimizer": "muon"}, "was made with optimizer = 'adamw', not 'muon'"),
        ],
    )
    def test_another_recipe_is_refused_naming_both_values(
        self, tmp_path: Path, changes: dict[str, Any], message: str
    ) -> None:
        stop_after(trainer(tmp_path / "run"), 2)
        other = trainer(tmp_path / "run", dataclasses.replace(recipe(), **changes))
        assert message in message_of(other.resume)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"model": dataclasses.replace(MODEL, hidden_size=20)},
                "hidden_size = 16, not 20",
            ),
            ({"codec": PerformanceCodec(steps_per_second=50)}, "steps_per_second = 100, not 50"),
            ({"train": TRAIN[:3]}, "train_pieces = 4, not 3"),
            ({"validation": VALIDATION[:1]}, "validation_excerpt_tokens = "),
        ],
    )
    def test_another_model_codec_or_data_set_is_refused_naming_both_values(
        self, tmp_path: Path, options: dict[str, Any], message: str
    ) -> None:
        stop_after(trainer(tmp_path / "run"), 2)
        assert message in message_of(trainer(tmp_path / "run", **options).resume)

    def test_threads_and_how_often_to_save_may_change(self, tmp_path: Path) -> None:
        stop_after(trainer(tmp_path / "run"), 2)
        config = recipe(threads=2, checkpoint_minutes=9.0, patience=50)
        resumed = trainer(tmp_path / "run", config)
        resumed.resume()
        assert resumed.progress.step == 2
        assert torch.get_num_threads() == 2

    def test_a_run_older_than_a_setting_goes_on_as_if_it_had_its_default(
        self, tmp_path: Path
    ) -> None:
        stop_after(trainer(tmp_path / "run"), 2)
        path = tmp_path / "run" / LAST / TRAINING_STATE_FILE
        state = torch.load(path, weights_only=False)
        del state["config"]["ema_decay"], state["average"]
        torch.save(state, path)
        assert "made with ema_decay = 0.0, not 0.5" in message_of(
            trainer(tmp_path / "run", recipe(ema_decay=0.5)).resume
        )
        resumed = trainer(tmp_path / "run")
        resumed.resume()
        assert resumed.run().step == 20

    def test_without_a_run_there_is_nothing_to_resume(self, tmp_path: Path) -> None:
        assert "holds no model" in message_of(trainer(tmp_path / "run").resume)

    def test_a_checkpoint_without_the_state_of_training_cannot_be_resumed(
        self, tmp_path: Path
    ) -> None:
        stop_after(trainer(tmp_path / "run"), 2)
        (tmp_path / "run" / LAST / TRAINING_STATE_FILE).unlink()
        message = message_of(trainer(tmp_path / "run").resume)
        assert message.endswith("last cannot be resumed: training.pt is missing")

    @pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
    def test_a_state_that_is_cut_off_is_told_in_one_line(
        self, tmp_path: Path, share: float
    ) -> None:
        stop_after(trainer(tmp_path / "run"), 2)
        path = tmp_path / "run" / LAST / TRAINING_STATE_FILE
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])
        assert f"{path} cannot be read (" in message_of(trainer(tmp_path / "run").resume)

    @pytest.mark.parametrize("state", [{}, [1], {"config": {}, "rng": 3}])
    def test_a_state_of_something_else_is_told_in_one_line(
        self, tmp_path: Path, state: object
    ) -> None:
        stop_after(trainer(tmp_path / "run"), 2)
        path = tmp_path / "run" / LAST / TRAINING_STATE_FILE
        torch.save(state, path)
        message = message_of(trainer(tmp_path / "run").resume)
        assert message.startswith(f"{path} cannot be read (")
        assert message.endswith(" missing)")

    def test_code_in_a_state_is_not_run(self, tmp_path: Path) -> None:
        class Trap:
            def __reduce__(self) -> tuple[Any, ...]:
                return Path.touch, (tmp_path / "sprung",)

        stop_after(trainer(tmp_path / "run"), 2)
        path = tmp_path / "run" / LAST / TRAINING_STATE_FILE
        for write in (torch.save, lambda trap, to: to.write_bytes(pickle.dumps(trap))):
            write({"config": Trap()}, path)
            assert "cannot be read (" in message_of(trainer(tmp_path / "run").resume)
            assert not (tmp_path / "sprung").exists()


def test_a_run_that_is_killed_goes_on_exactly(tmp_path: Path) -> None:
    (tmp_path / "midi").mkdir()
    for seed in range(3):
        write_midi(ostinato(seed), tmp_path / "midi" / f"{seed}.mid")
    encode_files([tmp_path / "midi"], tmp_path / "data", workers=1)
    steps = 60
    command = [
        "train", str(tmp_path / "data"), "--hidden-size", "16", "--embedding-size", "8",
        "--num-layers", "1", "--tokens", str(steps * 32), "--batch-size", "2", "--window", "16",
        "--validation-steps", "1000", "--warmup-steps", "5",
    ]  # fmt: skip
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "midirnn", *command, "-o", str(killed), "--checkpoint-minutes=0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 600
        while not (killed / LAST / TRAINING_STATE_FILE).exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert main([*command, "-o", str(killed), "--resume"]) == 0
    assert main([*command, "-o", str(tmp_path / "whole")]) == 0
    assert same_weights(killed / LAST, tmp_path / "whole" / LAST)
    assert metrics(killed) == metrics(tmp_path / "whole")


def test_the_default_recipe_is_one_that_can_be_used() -> None:
    assert TrainingConfig().total_steps > 1000
