"""A training run: its loop, its checkpoints, and how it is resumed."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from midirnn.errors import CheckpointError, DatasetError, OptionError
from midirnn.files import replacing_folder
from midirnn.models import lstm_choice
from midirnn.models.checkpoint import Checkpoint, Weights, write_checkpoint
from midirnn.models.lstm import is_fast_in_bf16
from midirnn.training.averaging import MovingAverage
from midirnn.training.config import TrainingConfig
from midirnn.training.distributed import ALONE, Team
from midirnn.training.folder import (
    BEST,
    LAST,
    METRICS_FILE,
    TRAINING_STATE_FILE,
    Report,
    clear_run,
    lock_of,
    recover_run,
    trim_metrics,
    writing,
)
from midirnn.training.optimizers import make_optimizers
from midirnn.training.randomness import random_state, restore_random_state, seed_dropout
from midirnn.training.state import (
    Progress,
    load_weights,
    read_constant,
    read_last,
    start_from,
)
from midirnn.training.task import Task

_LOG_STEPS = 20


class Trainer:
    """Trains the model of a :class:`Task`. Owns the optimisers, the progress and the run's folder.

    A run's folder holds ``last`` (the checkpoint to resume from), ``best`` (the one with the best
    validation) and ``metrics.jsonl``. Checkpoints appear whole or not at all. In a ``team`` of
    several processes each has its own trainer, all call the same methods, and the first one writes.
    """

    def __init__(
        self,
        folder: Path,
        task: Task,
        config: TrainingConfig,
        *,
        report: Callable[[Report], None] = lambda report: None,
        team: Team = ALONE,
    ) -> None:
        if config.patience and not task.has_validation:
            raise OptionError(
                f"patience is {config.patience}, but the data set has no validation split; make it "
                "again with midirnn encode --overwrite --validation-share 0.1, or set patience to 0"
            )
        self.folder = folder
        self.task = task
        self.config = config
        self.report = report
        self.team = team
        self.device = team.device
        self.has_bf16 = all(team.gather(is_fast_in_bf16(team.device)))
        """Whether the devices of all processes have instructions for bfloat16."""
        self.bf16 = config.bf16 and self.has_bf16
        """Whether matrices are multiplied in bfloat16: the same in all processes and all steps."""
        self.model = task.model
        self.parameters = list(self.model.parameters())
        self.optimizers = make_optimizers(self.model, config)
        self.average = MovingAverage(self.parameters, config.ema_decay)
        self.progress = Progress()
        self._lock = lock_of(folder)
        seed_dropout(config.seed, team.rank, 0)
        self.origin: dict[str, Any] = {}

    def start_from(self, name: str, checkpoint: Checkpoint) -> None:
        """Start from another model's weights; see :func:`midirnn.training.state.start_from`."""
        start_from(self.task, name, checkpoint)
        self.origin = {"model": name, "tokens_seen": checkpoint.info.get("tokens_seen", 0)}

    def decay_from(self, run: Path) -> None:
        """Start from the last checkpoint of a run that is in the constant part of its schedule.

        Weights, optimisers and random generators are that run's; the pieces are drawn anew. The run
        is only read: it can continue, and be decayed again later. Raises :class:`CheckpointError`
        if its learning rate is not constant, or if it was made with other settings.
        """
        weights, state = self.team.from_first(lambda: read_constant(run, self.task, self.config))
        self._continue(weights, state)
        self.task.read_on(state)
        seen = state["progress"].tokens + state.get("origin", {}).get("tokens_seen", 0)
        self.origin = {"model": str(run), "tokens_seen": seen}

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> Progress:
        """Train to the end, to an early stop, or until ``should_stop`` returns true; then save.

        Raises :class:`CheckpointError` if another process trains into the folder.
        """
        if self.team.is_first:
            self._open_folder()
        try:
            self._check_team()
            return self._run(should_stop)
        finally:
            self._lock.release()

    def _open_folder(self) -> None:
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            if self.progress.step == 0:
                clear_run(self.folder)

    def _check_team(self) -> None:
        """Check that all processes have the same data; give them exactly the same weights."""
        own = self.task.data
        for rank, data in enumerate(self.team.gather(own)):
            if data != own:
                raise DatasetError(
                    f"process {rank} trains on {data}, process {self.team.rank} on {own}: all need "
                    "the same data set"
                )
        self.team.share_weights(self.parameters)
        self.average.begin()

    def _run(self, should_stop: Callable[[], bool]) -> Progress:
        begun = time.monotonic() - self.progress.seconds
        saved = time.monotonic()
        while not self.is_done and not self._gave_up():
            self._step()
            self.progress.seconds = self._agreed(time.monotonic() - begun)
            step = self.progress.step
            if step % _LOG_STEPS == 0 or self.is_done:
                self._log_training()
            if step % self.config.validation_steps == 0 or self.is_done:
                self._validate()
            late = time.monotonic() - saved > 60 * self.config.checkpoint_minutes
            stop, save = self.team.any_of(should_stop(), late)
            if stop:
                break
            if save:
                self.save(LAST)
                saved = time.monotonic()
        self.save(LAST)
        return self.progress

    @property
    def is_done(self) -> bool:
        """Whether the run has made all its steps or used all its minutes."""
        return self.config.done(self.progress.step, self.progress.seconds) >= 1.0

    def _agreed(self, seconds: float) -> float:
        """Return the time to go by: the same in all processes if it decides when the run ends."""
        return self.team.longest(seconds) if self.config.minutes else seconds

    def _gave_up(self) -> bool:
        patience = self.config.patience
        return bool(patience) and self.progress.validations_since_best >= patience

    def _step(self) -> None:
        """Update the weights once."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * self._learning_rate_share
        loss, tokens = self._gradients()
        value, tokens = self.team.average(self.parameters, loss, tokens)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm)
        if not math.isfinite(value + float(norm)):  # before it gets into the weights
            raise CheckpointError(
                f"the run diverged at step {self.progress.step}: its loss is {value:g}, its "
                f"gradient {float(norm):g}. Start again with a lower learning rate"
            )
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        self.progress.tokens += tokens
        self.progress.recent.append(value)
        self.average.follow(self.progress.step)

    @property
    def _learning_rate_share(self) -> float:
        return self.config.learning_rate_share(self.progress.step, self.progress.seconds)

    def _gradients(self) -> tuple[torch.Tensor, int]:
        """Compute the gradients of the next batch; return its mean loss and number of tokens."""
        losses, tokens = [], 0
        for part, share in self.task.parts(self.task.next_batch(), self.config.accumulate):
            loss, of_part = self.task.loss(part, bf16=self.bf16)
            loss = loss * share
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            tokens += of_part
        return torch.stack(losses).sum(), tokens

    def _log_training(self) -> None:
        progress = self.progress
        loss = float(np.mean(progress.recent))
        progress.recent.clear()
        self._log(
            {
                "loss": loss,
                "lr": self.config.learning_rate * self._learning_rate_share,
                "tokens_per_second": progress.tokens / max(progress.seconds, 1e-9),
            }
        )

    def _validate(self) -> None:
        if not self.task.has_validation:
            return
        team = self.team
        with self.average.in_place():
            mine = self.task.validate(team.rank, team.size, bf16=self.bf16)
            metrics = self.task.metrics(team.gather(mine))
            value = metrics[self.task.objective]
            self.progress.validations_since_best += 1
            if value < self.progress.best_nats:
                self.progress.best_nats = value
                self.progress.validations_since_best = 0
                self.save(BEST)
        self._log(metrics)

    def _log(self, values: dict[str, float]) -> None:
        if not self.team.is_first:
            return
        line = {"step": self.progress.step, "tokens": self.progress.tokens, **values}
        path = self.folder / METRICS_FILE
        with writing(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        done = self.config.done(self.progress.step, self.progress.seconds)
        self.report(Report(self.progress.step, round(self.progress.step / done), line))

    def save(self, name: str) -> None:
        """Write a checkpoint, which replaces the old one once it is whole."""
        training_state = self._training_state() if name == LAST else {}
        if not self.team.is_first:
            return
        weights = {
            key: value.detach().cpu().numpy() for key, value in self.model.state_dict().items()
        }
        best = self.progress.best_nats
        info = {
            "training": self.config.to_dict(),
            "data": self.task.data,
            "bf16_used": self.bf16,
            "step": self.progress.step,
            "tokens_seen": self.progress.tokens + self.origin.get("tokens_seen", 0),
            f"best_{self.task.objective}": best if math.isfinite(best) else None,
        }
        if self.origin:
            info["started_from"] = self.origin
        with replacing_folder(self.folder / name, CheckpointError) as fresh:
            write_checkpoint(fresh, self.task.config, self.task.codec, weights, info)
            if name == LAST:
                # Through memory, because torch's own errors do not say that a disk is full.
                state = io.BytesIO()
                torch.save(training_state, state)
                (fresh / TRAINING_STATE_FILE).write_bytes(state.getbuffer())

    def _training_state(self) -> dict[str, Any]:
        """Return all that the rest of the run depends on, in every process."""
        of_each = self.team.gather((self.task.state(), random_state(self.device)))
        states, rngs = zip(*of_each, strict=True)
        return self.task.join(states) | {
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "average": self.average.weights,
            "progress": self.progress,
            "bf16": self.bf16,
            "lstm_choices": lstm_choice.choices(),
            "rng": list(rngs),
            "config": self.config.to_dict(),
            "data": self.task.data,
            "origin": self.origin,
        }

    def resume(self) -> None:
        """Continue exactly where the run's last checkpoint was made.

        Raises :class:`CheckpointError` if there is none, or if it was made with other settings or
        other data, naming both values.
        """
        try:
            weights, state = self.team.from_first(self._read_last)
        except BaseException:
            self._lock.release()
            raise
        self._continue(weights, state)
        self.average.restore(state.get("average", []), self.device)
        self.task.restore(state)
        self.progress = state["progress"]
        self.origin = state.get("origin", {})

    def _continue(self, weights: Weights, state: dict[str, Any]) -> None:
        """Load a checkpoint's weights, optimisers, precision and random generators."""
        load_weights(self.task, weights)
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.bf16 = state.get("bf16", self.config.bf16)
        lstm_choice.restore(state.get("lstm_choices", {}))
        rank, random_states = self.team.rank, state["rng"]
        if rank < len(random_states):
            restore_random_state(random_states[rank], self.device)
        else:  # the saved run had no such process
            seed_dropout(self.config.seed, rank, state["progress"].step)

    def _read_last(self) -> tuple[Weights, dict[str, Any]]:
        """Read the last checkpoint, and drop the metrics of the steps after it."""
        if self.folder.is_dir():
            self._lock.acquire()
            recover_run(self.folder)
        weights, state = read_last(self.folder / LAST, self.task, self.config, self.task.data)
        trim_metrics(self.folder / METRICS_FILE, state["progress"].step)
        return weights, state
