"""A training run: its folder, its loop, and how it goes on after a stop."""

from __future__ import annotations

import io
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from midirnn.codecs import PerformanceCodec, Tokens
from midirnn.datasets.augment import Augmentation
from midirnn.datasets.windows import TrainingWindows
from midirnn.errors import CheckpointError, DatasetError
from midirnn.models.checkpoint import (
    read_checkpoint,
    recover_folder,
    replacing_folder,
    write_checkpoint,
)
from midirnn.models.config import ModelConfig
from midirnn.models.language_model import LanguageModel, State
from midirnn.training.config import TrainingConfig
from midirnn.training.evaluate import evaluate, token_losses
from midirnn.training.optimizers import make_optimizers

METRICS_FILE = "metrics.jsonl"
TRAINING_STATE_FILE = "training.pt"
LAST, BEST = "last", "best"

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
    np.ndarray.__reduce__(np.empty(0))[0],  # what an array is unpickled by
]
"""All that a run's state is made of, besides tensors and Python's own types."""


@dataclass(frozen=True)
class Report:
    """A line of progress, as it goes into metrics.jsonl."""

    step: int
    total_steps: int
    values: dict[str, float]


class Trainer:
    """Trains a model. Owns the model, the optimisers, the stream of windows and the run's folder.

    A run's folder holds ``last`` (the checkpoint to resume from), ``best`` (the one with the best
    validation) and ``metrics.jsonl``. Each appears whole or not at all.
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
    ) -> None:
        train = [piece for piece in train if len(piece)]
        if not train:
            raise DatasetError("the data set has no pieces in its train split")
        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.folder = folder
        self.config = config
        self.codec = codec
        self.report = report
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = LanguageModel(model_config).to(self.device)
        self.optimizers = make_optimizers(self.model, config)
        self.validation = _excerpts(validation, config.validation_tokens)
        self.data = {
            "train_pieces": len(train),
            "train_tokens": sum(map(len, train)),
            "validation_excerpt_tokens": sum(map(len, self.validation)),
        }
        self.windows = TrainingWindows(
            _Draw(train, Augmentation(config.transpose, config.stretch), codec),
            codec.grammar(),
            batch_size=config.batch_size,
            window=config.window,
            segment=config.segment or None,
            start_token=model_config.start_token,
            rng=np.random.default_rng(config.seed),
        )
        self.state: State = self.model.initial_state(config.batch_size, self.device)
        self.progress = Progress()

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> Progress:
        """Train to the end, to the early stop, or until ``should_stop`` says so; then save."""
        with _writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.progress.step == 0:  # of a run that was killed before it had saved anything
                (self.folder / METRICS_FILE).unlink(missing_ok=True)
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
            if time.monotonic() - saved > 60 * self.config.checkpoint_minutes:
                self.save(LAST)
                saved = time.monotonic()
            if should_stop():
                break
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
        losses, valid, state = token_losses(self.model, batch, self.state, bf16=self.config.bf16)
        loss = losses[valid].mean()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        value = float(loss.detach())
        if not math.isfinite(value + float(norm)):  # before it gets into the weights
            raise CheckpointError(
                f"the run diverged at step {self.progress.step}: its loss is {value:g}, its "
                f"gradient {float(norm):g}. Start again with a lower learning rate"
            )
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.state = (state[0].detach(), state[1].detach())
        self.progress.step += 1
        self.progress.tokens += int(batch.valid.sum())
        self.progress.recent.append(value)

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
        result = evaluate(self.model, self.codec, self.validation, bf16=self.config.bf16)
        nats = result.nats_per_token
        self.progress.validations_since_best += 1
        if nats < self.progress.best_nats:
            self.progress.best_nats = nats
            self.progress.validations_since_best = 0
            self.save(BEST)
        by_type = result.to_dict()["nats_per_token_by_type"]
        self._log({"validation_nats_per_token": nats, **{f"nats_{k}": by_type[k] for k in by_type}})

    def _log(self, values: dict[str, float]) -> None:
        line = {"step": self.progress.step, "tokens": self.progress.tokens, **values}
        path = self.folder / METRICS_FILE
        with _writing(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.report(Report(self.progress.step, self.config.total_steps, line))

    def save(self, name: str) -> None:
        """Write a checkpoint beside the old one and put it in its place."""
        weights = {
            key: value.detach().cpu().numpy() for key, value in self.model.state_dict().items()
        }
        best = self.progress.best_nats
        info = {
            "training": self.config.to_dict(),
            "step": self.progress.step,
            "tokens_seen": self.progress.tokens,
            "best_validation_nats_per_token": best if math.isfinite(best) else None,
        }
        with replacing_folder(self.folder / name) as fresh:
            write_checkpoint(fresh, self.model.config, self.codec, weights, info)
            if name == LAST:
                # By way of memory: of a full disk torch makes errors that do not say so.
                state = io.BytesIO()
                torch.save(self._training_state(), state)
                (fresh / TRAINING_STATE_FILE).write_bytes(state.getbuffer())

    def _training_state(self) -> dict[str, Any]:
        return {
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "windows": self.windows.state(),
            "state": self.state,
            "progress": self.progress,
            "rng": torch.get_rng_state(),
            "config": self.config.to_dict(),
            "data": self.data,
        }

    def resume(self) -> None:
        """Go on exactly where the run's last checkpoint was.

        Raises :class:`CheckpointError` where there is none, or where it was made with other
        settings or other data, naming both values.
        """
        recover_run(self.folder)
        last = self.folder / LAST
        checkpoint = read_checkpoint(last)
        _refuse_difference(checkpoint.config.to_dict(), self.model.config.to_dict(), last)
        _refuse_difference(checkpoint.codec.settings(), self.codec.settings(), last)
        state = _read_training_state(last / TRAINING_STATE_FILE)
        _refuse_difference(state.get("data", self.data), self.data, last)
        free = {"threads", "checkpoint_minutes", "patience"}
        kept = {k: v for k, v in state["config"].items() if k not in free}
        asked = {k: v for k, v in self.config.to_dict().items() if k not in free}
        _refuse_difference(kept, asked, last)
        self.model.load_state_dict(
            {name: torch.from_numpy(array) for name, array in checkpoint.weights.items()}
        )
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.windows.restore(state["windows"])
        h, c = state["state"]
        self.state = h.to(self.device), c.to(self.device)
        self.progress = state["progress"]
        torch.set_rng_state(state["rng"])
        _trim_metrics(self.folder / METRICS_FILE, self.progress.step)


class _Draw:
    """Draws pieces with a probability that goes by their length, each augmented afresh."""

    def __init__(
        self, pieces: Sequence[Tokens], augmentation: Augmentation, codec: PerformanceCodec
    ) -> None:
        self.pieces = pieces
        self.augmentation = augmentation
        self.codec = codec
        self._cumulative = np.cumsum([float(len(piece)) for piece in pieces])

    def __call__(self, rng: np.random.Generator) -> Tokens:
        place = rng.random() * self._cumulative[-1]
        index = min(int(np.searchsorted(self._cumulative, place)), len(self.pieces) - 1)
        return self.augmentation.apply(self.pieces[index], self.codec, rng)


def recover_run(folder: Path) -> None:
    """Bring back a checkpoint that was being replaced when the run was killed."""
    for name in (LAST, BEST):
        recover_folder(folder / name)


def _read_training_state(path: Path) -> dict[str, Any]:
    """What :meth:`Trainer.save` wrote beside the weights. Runs no code that the file may hold."""
    try:
        with torch.serialization.safe_globals(_STATE_TYPES):
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} cannot be resumed: {path.name} is missing") from None
    except Exception as error:  # whatever pickle and zip make of a damaged file
        raise CheckpointError(f"{path} cannot be read ({_first_line(error)})") from None
    missing = _STATE_KEYS - set(state if isinstance(state, dict) else ())
    if missing:
        raise CheckpointError(f"{path} cannot be read ({', '.join(sorted(missing))} missing)")
    return state


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Make what the file system says into a :class:`CheckpointError`."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written ({error.strerror})") from None


def _excerpts(pieces: Sequence[Tokens], tokens: int) -> list[Tokens]:
    """The beginnings of all pieces, equally long, that together have about ``tokens`` tokens."""
    each = math.ceil(tokens / max(len(pieces), 1))
    return [piece[:each] for piece in pieces if len(piece)]


def _refuse_difference(have: dict[str, Any], want: dict[str, Any], folder: Path) -> None:
    for name in sorted(have.keys() | want.keys()):
        if have.get(name) != want.get(name):
            raise CheckpointError(
                f"{folder} was made with {name} = {have.get(name)!r}, not {want.get(name)!r}: "
                "resume with the same settings, or train into another folder"
            )


def _trim_metrics(path: Path, step: int) -> None:
    """Drop the lines behind the checkpoint, which the resumed run will write again."""
    if not path.exists():
        return
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    kept = [line for line in lines if json.loads(line)["step"] <= step]
    fresh = path.with_suffix(".tmp")
    fresh.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
    shutil.move(fresh, path)
