"""A training run: its loop, what it saves, and how it goes on after a stop."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from midirnn.codecs import PerformanceCodec, Tokens
from midirnn.datasets.augment import Augmentation
from midirnn.datasets.draws import PieceDraw, excerpts, lengths_of
from midirnn.datasets.windows import Inputs, TrainingWindows
from midirnn.errors import CheckpointError, DatasetError
from midirnn.files import replacing_folder
from midirnn.models.checkpoint import (
    Checkpoint,
    Weights,
    read_checkpoint,
    write_checkpoint,
)
from midirnn.models.config import ModelConfig
from midirnn.models.language_model import LanguageModel, State
from midirnn.models.lstm import is_fast_in_bf16
from midirnn.training.averaging import MovingAverage
from midirnn.training.config import TrainingConfig
from midirnn.training.distributed import ALONE, Team
from midirnn.training.evaluate import combined, evaluate, token_losses
from midirnn.training.folder import (
    BEST,
    LAST,
    METRICS_FILE,
    TRAINING_STATE_FILE,
    Report,
    RunLock,
    clear_run,
    read_training_state,
    recover_run,
    refuse_difference,
    trim_metrics,
    writing,
)
from midirnn.training.memory import keep_freed_memory
from midirnn.training.optimizers import make_optimizers
from midirnn.training.randomness import random_state, restore_random_state, seed_dropout

_LOG_STEPS = 20


@dataclass
class Progress:
    """How far a run has come."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best_nats: float = math.inf
    validations_since_best: int = 0
    recent: list[float] = field(default_factory=list)
    """Losses of the steps since the last line of metrics."""


_STATE_KEYS = {"optimizers", "windows", "state", "progress", "rng", "config"}
_STATE_TYPES: list[Any] = [
    Progress,
    np.ndarray,
    np.dtype,
    type(np.dtype(np.uint16)),
    type(np.dtype(np.bool_)),
    np.ndarray.__reduce__(np.empty(0))[0],  # what an array is unpickled by
]
"""All that a run's state is made of, besides tensors and Python's own types."""

_FREE_SETTINGS = ("threads", "checkpoint_minutes", "patience")
"""What may change when a run is resumed."""

_SAME_PARTS = ("cell", "held_input", "layer_norm", "residual", "tied_embedding")
"""What must be the same where a run begins from other weights, and shapes need not tell."""


class Trainer:
    """Trains a model. Owns the model, the optimisers, the stream of windows and the run's folder.

    A run's folder holds ``last`` (the checkpoint to resume from), ``best`` (the one with the best
    validation) and ``metrics.jsonl``. Each appears whole or not at all. In a ``team`` of several
    processes each has a trainer of its own, all call the same methods, and the first one writes.
    """

    def __init__(
        self,
        folder: Path,
        model_config: ModelConfig,
        config: TrainingConfig,
        codec: PerformanceCodec,
        train: Sequence[Tokens],
        validation: Sequence[Tokens],
        *,
        report: Callable[[Report], None] = lambda report: None,
        team: Team = ALONE,
    ) -> None:
        lengths = lengths_of(train)
        if not lengths.any():
            raise DatasetError("the data set has no pieces in its train split")
        torch.set_num_threads(config.threads)
        keep_freed_memory()
        torch.manual_seed(config.seed)
        self.folder = folder
        self.config = config
        self.codec = codec
        self.report = report
        self.team = team
        self.rows = team.rows(config.batch_size)
        self.device = team.device
        self.has_bf16 = all(team.gather(is_fast_in_bf16(team.device)))
        """Whether the devices of all processes have instructions for bfloat16."""
        self.bf16 = config.bf16 and self.has_bf16
        """Whether matrices are multiplied in bfloat16: in all processes, and to a run's end."""
        self.model = LanguageModel(model_config).to(self.device)
        self.parameters = list(self.model.parameters())
        self.optimizers = make_optimizers(self.model, config)
        self.average = MovingAverage(self.parameters, config.ema_decay)
        self.validation = excerpts(validation, config.validation_tokens)
        self.data = {
            "train_pieces": int(np.count_nonzero(lengths)),
            "train_tokens": int(lengths.sum()),
            "validation_excerpt_tokens": sum(map(len, self.validation)),
        }
        self.windows = TrainingWindows(
            PieceDraw(train, Augmentation(config.transpose, config.stretch), codec),
            codec.grammar(),
            rows=self.rows,
            window=config.window,
            segment=config.segment or None,
            inputs=Inputs(model_config.start_token, model_config.recall_notes),
            seed=config.seed,
            steered=config.steered if model_config.control_inputs else 0.0,
        )
        self.state: State = self.model.initial_state(len(self.rows), self.device)
        self.progress = Progress()
        self._lock = RunLock(folder)
        seed_dropout(config.seed, team.rank, 0)
        self.origin: dict[str, Any] = {}

    def start_from(self, name: str, checkpoint: Checkpoint) -> None:
        """Begin from the weights of another model; parts that it has not begin as they are.

        Raises :class:`CheckpointError` where its sizes, its codec or what is made of its weights
        are not the same.
        """
        refuse_difference(checkpoint.codec.settings(), self.codec.settings(), Path(name))
        for part in _SAME_PARTS:
            its, here = getattr(checkpoint.config, part), getattr(self.model.config, part)
            if its != here:
                raise CheckpointError(
                    f"{name} cannot be started from: its {part} is {its}, and {here} here"
                )
        own = self.model.state_dict()
        for weight, array in checkpoint.weights.items():
            shape = tuple(own[weight].shape) if weight in own else None
            if shape != array.shape:
                raise CheckpointError(
                    f"{name} cannot be started from: its {weight} is {array.shape}, and "
                    f"{'there is none' if shape is None else f'it is {shape}'} here"
                )
            own[weight] = torch.from_numpy(array)
        self.model.load_state_dict(own)
        self.origin = {"model": name, "tokens_seen": checkpoint.info.get("tokens_seen", 0)}

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> Progress:
        """Train to the end, to the early stop, or until ``should_stop`` says so; then save.

        Raises :class:`CheckpointError` where another process trains into the folder.
        """
        if self.team.is_first:
            self._open_folder()
        try:
            self._begin_alike()
            return self._run(should_stop)
        finally:
            self._lock.release()

    def _open_folder(self) -> None:
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            if self.progress.step == 0:
                clear_run(self.folder)

    def _begin_alike(self) -> None:
        """See that all processes have the same data and the same weights, to the last bit."""
        for rank, data in enumerate(self.team.gather(self.data)):
            if data != self.data:
                raise DatasetError(
                    f"process {rank} trains on {data}, process {self.team.rank} on {self.data}: "
                    "all need the same data set"
                )
        self.team.share_weights(self.parameters)
        self.average.begin()

    def _run(self, should_stop: Callable[[], bool]) -> Progress:
        begun = time.monotonic() - self.progress.seconds
        saved = time.monotonic()
        while self.progress.step < self.config.total_steps and not self._gave_up():
            self._step()
            self.progress.seconds = time.monotonic() - begun
            step = self.progress.step
            if step % _LOG_STEPS == 0:
                self._log_training()
            if step % self.config.validation_steps == 0 or step == self.config.total_steps:
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

    def _gave_up(self) -> bool:
        patience = self.config.patience
        return bool(patience) and self.progress.validations_since_best >= patience

    def _step(self) -> None:
        """One update of the weights."""
        share = self.config.learning_rate_share(self.progress.step)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * share
        batch = next(self.windows)
        tokens = int(batch.valid.sum())
        losses, valid, state = token_losses(self.model, batch, self.state, bf16=self.bf16)
        loss = (losses * valid).sum() / tokens
        loss.backward()  # type: ignore[no-untyped-call]
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
        self.state = tuple(part.detach() for part in state)
        self.progress.step += 1
        self.progress.tokens += tokens
        self.progress.recent.append(value)
        self.average.follow(self.progress.step)

    def _log_training(self) -> None:
        progress = self.progress
        loss = float(np.mean(progress.recent))
        progress.recent.clear()
        self._log(
            {
                "loss": loss,
                "lr": self.config.learning_rate * self.config.learning_rate_share(progress.step),
                "tokens_per_second": progress.tokens / max(progress.seconds, 1e-9),
            }
        )

    def _validate(self) -> None:
        if not self.validation:
            return
        share = self.validation[self.team.rank :: self.team.size]
        with self.average.in_place():
            mine = evaluate(self.model, self.codec, share, bf16=self.bf16)
            result = combined(self.team.gather(mine))
            nats = result.nats_per_token
            self.progress.validations_since_best += 1
            if nats < self.progress.best_nats:
                self.progress.best_nats = nats
                self.progress.validations_since_best = 0
                self.save(BEST)
        by_type = result.to_dict()["nats_per_token_by_type"]
        self._log({"validation_nats_per_token": nats, **{f"nats_{k}": by_type[k] for k in by_type}})

    def _log(self, values: dict[str, float]) -> None:
        if not self.team.is_first:
            return
        line = {"step": self.progress.step, "tokens": self.progress.tokens, **values}
        path = self.folder / METRICS_FILE
        with writing(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.report(Report(self.progress.step, self.config.total_steps, line))

    def save(self, name: str) -> None:
        """Write a checkpoint beside the old one and put it in its place."""
        training_state = self._training_state() if name == LAST else {}
        if not self.team.is_first:
            return
        weights = {
            key: value.detach().cpu().numpy() for key, value in self.model.state_dict().items()
        }
        best = self.progress.best_nats
        info = {
            "training": self.config.to_dict(),
            "bf16_used": self.bf16,
            "step": self.progress.step,
            "tokens_seen": self.progress.tokens + self.origin.get("tokens_seen", 0),
            "best_validation_nats_per_token": best if math.isfinite(best) else None,
        }
        if self.origin:
            info["started_from"] = self.origin
        with replacing_folder(self.folder / name, CheckpointError) as fresh:
            write_checkpoint(fresh, self.model.config, self.codec, weights, info)
            if name == LAST:
                # By way of memory: of a full disk torch makes errors that do not say so.
                state = io.BytesIO()
                torch.save(training_state, state)
                (fresh / TRAINING_STATE_FILE).write_bytes(state.getbuffer())

    def _training_state(self) -> dict[str, Any]:
        """All that the rest of the run depends on; of the rows of every process."""
        state, random = tuple(part.cpu() for part in self.state), random_state(self.device)
        of_each = self.team.gather((self.windows.state(), state, random))
        windows, states, rngs = zip(*of_each, strict=True)
        return {
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "average": self.average.weights,
            "windows": [row for rows in windows for row in rows],
            "state": tuple(torch.cat(parts, dim=1) for parts in zip(*states, strict=True)),
            "progress": self.progress,
            "bf16": self.bf16,
            "rng": list(rngs),
            "config": self.config.to_dict(),
            "data": self.data,
            "origin": self.origin,
        }

    def resume(self) -> None:
        """Go on exactly where the run's last checkpoint was.

        Raises :class:`CheckpointError` where there is none, or where it was made with other
        settings or other data, naming both values.
        """
        try:
            weights, state = self.team.from_first(self._read_last)
        except BaseException:
            self._lock.release()
            raise
        self.model.load_state_dict(
            {name: torch.from_numpy(array) for name, array in weights.items()}
        )
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.average.restore(state.get("average", []), self.device)
        rows = slice(self.rows.start, self.rows.stop)
        self.windows.restore(state["windows"][rows])
        self.state = tuple(part[:, rows].to(self.device) for part in state["state"])
        self.progress = state["progress"]
        self.bf16 = state.get("bf16", self.config.bf16)
        self.origin = state.get("origin", {})
        rank, random_states = self.team.rank, state["rng"]
        if rank < len(random_states):
            restore_random_state(random_states[rank], self.device)
        else:  # there was no such process then
            seed_dropout(self.config.seed, rank, self.progress.step)

    def _read_last(self) -> tuple[Weights, dict[str, Any]]:
        """The weights and the state of the last checkpoint, which fits; nothing else is there."""
        last = self.folder / LAST
        if self.folder.is_dir():
            self._lock.acquire()
            recover_run(self.folder)
        checkpoint = read_checkpoint(last)
        refuse_difference(checkpoint.config.to_dict(), self.model.config.to_dict(), last)
        refuse_difference(checkpoint.codec.settings(), self.codec.settings(), last)
        state = read_training_state(last / TRAINING_STATE_FILE, _STATE_KEYS, _STATE_TYPES)
        refuse_difference(state.get("data", self.data), self.data, last)
        asked = self.config.to_dict()
        kept = TrainingConfig().to_dict() | state["config"]  # of a run older than a setting
        for free in _FREE_SETTINGS:
            kept.pop(free), asked.pop(free)
        refuse_difference(kept, asked, last)
        trim_metrics(self.folder / METRICS_FILE, state["progress"].step)
        return checkpoint.weights, state
