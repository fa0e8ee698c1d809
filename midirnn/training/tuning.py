"""Tune a model to somebody's playing: a short training on it, against forgetting mixed with music
of the model's own, and the change kept small.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from midirnn.codecs import Tokens
from midirnn.datasets.mixture import Source
from midirnn.engines.adapters import Adapter, changes_between, hash_of
from midirnn.engines.load import PRETRAINED, Model
from midirnn.errors import DatasetError, OptionError
from midirnn.models.checkpoint import Weights, read_checkpoint
from midirnn.models.language_model import LanguageModel
from midirnn.performance import Performance
from midirnn.training.config import TrainingConfig
from midirnn.training.evaluate import evaluate
from midirnn.training.folder import BEST, Report
from midirnn.training.run import Trainer
from midirnn.training.tasks import make_task

LEAST_TOKENS = 4_000
"""About three minutes of piano playing: with less, what is learned is chance."""

YOU, BASE = "you", "base"

TOO_LITTLE = (
    "there is too little to learn from: {tokens:,} tokens, and it takes {least:,}, about three "
    "minutes of playing"
)
NO_GAIN = (
    "tuning did not help: your playing that was kept aside is at {before:.3f} nats per token "
    "before it and at {after:.3f} after it. Nothing was written; more playing helps"
)


@dataclass(frozen=True)
class TuningConfig:
    """How a model is tuned."""

    minutes: float = 5.0
    """Train for so many minutes at most; it stops by itself when it gets no better."""
    learning_rate: float = 3e-4
    """Peak learning rate."""
    rank: int = 16
    """Rank at which the change of each matrix is kept (0: all of it)."""
    validation_share: float = 0.15
    """Share of your playing, its end, that is kept aside: to stop in time, and to measure."""
    base_share: float = 0.3
    """Share of the training that is music of the model's own, against forgetting."""
    threads: int = 1
    """Number of CPU threads."""
    seed: int = 0
    """Random seed."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("minutes", 0.01, 24 * 60.0),
            ("learning_rate", 1e-6, 0.1),
            ("rank", 0, 4096),
            ("validation_share", 0.05, 0.5),
            ("base_share", 0.0, 0.9),
            ("threads", 1, 1024),
            ("seed", 0, 2**32 - 1),
        ):
            if not low <= getattr(self, name) <= high:
                raise OptionError(
                    f"{name} is {getattr(self, name)}; allowed are {low:g} to {high:g}"
                )


@dataclass(frozen=True, eq=False)
class Tuned:
    """A tuned model, and what tuning it has brought and cost, in nats per token."""

    adapter: Adapter
    yours_before: float
    yours_after: float
    base_before: float
    base_after: float


def split_by_time(
    pieces: Sequence[Performance], share: float
) -> tuple[list[Performance], list[Performance]]:
    """Return what to train on, and the last ``share`` of the time of all pieces in a row."""
    left = (1.0 - share) * sum(piece.duration for piece in pieces)
    train, validation = [], []
    for piece in pieces:
        cut = min(max(left, 0.0), piece.duration)
        left -= piece.duration
        if cut > 0.0:
            train.append(piece.slice(0.0, cut))
        if cut < piece.duration:
            validation.append(piece.slice(cut, piece.duration))
    return train, validation


def tune(
    model: Model,
    pieces: Sequence[Performance],
    own: Sequence[Performance],
    config: TuningConfig | None = None,
    *,
    report: Callable[[Report], None] = lambda report: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Tuned:
    """Tune a model to pieces in the order in which they were played.

    ``own`` are pieces of the model's own: half of them are mixed in, with the other half the price
    is measured. Raises :class:`DatasetError` where there is too little to learn from, or where the
    model is no better for it.
    """
    config = config or TuningConfig()
    train, validation = (
        _encoded(model, part) for part in split_by_time(pieces, config.validation_share)
    )
    tokens = sum(len(piece) for piece in [*train, *validation])
    if tokens < LEAST_TOKENS:
        raise DatasetError(TOO_LITTLE.format(tokens=tokens, least=LEAST_TOKENS))
    mixed, kept = _encoded(model, own[::2]), _encoded(model, own[1::2])
    before = [_nats(model, model.weights, part) for part in (validation, kept)]
    weights = _train(model, _sources(train, validation, mixed, config), config, report, should_stop)
    changes = changes_between(model.weights, weights, config.rank or weights_width(weights))
    adapter = Adapter(base_name(model), hash_of(model.folder), changes, {})
    applied = adapter.apply(model.weights)
    after = [_nats(model, applied, part) for part in (validation, kept)]
    if after[0] >= before[0]:
        raise DatasetError(NO_GAIN.format(before=before[0], after=after[0]))
    info = {
        "tokens": tokens,
        "validation_tokens": sum(len(piece) for piece in validation),
        "nats_before": before[0],
        "nats_after": after[0],
        "base_nats_before": before[1],
        "base_nats_after": after[1],
    }
    return Tuned(replace(adapter, info=info), before[0], after[0], before[1], after[1])


def base_name(model: Model) -> str:
    """Return by which name a base is found again, from wherever midirnn is started."""
    is_ours = model.folder.parent == PRETRAINED
    return model.folder.name if is_ours else str(model.folder.resolve())


def _encoded(model: Model, pieces: Sequence[Performance]) -> list[Tokens]:
    """Return pieces as tokens, without those that hold none."""
    encoded = (model.codec.encode(piece) for piece in pieces)
    return [tokens for tokens in encoded if len(tokens)]


def weights_width(weights: Weights) -> int:
    """Return a rank that no matrix exceeds."""
    return max(max(array.shape, default=1) for array in weights.values())


def _sources(
    train: Sequence[Tokens],
    validation: Sequence[Tokens],
    mixed: Sequence[Tokens],
    config: TuningConfig,
) -> list[Source]:
    """Return the player's pieces, and the model's own at their share of the training."""
    sources = [Source(YOU, train, validation)]
    own_tokens = sum(len(piece) for piece in mixed)
    if own_tokens and config.base_share:
        share = config.base_share / (1.0 - config.base_share)
        sources.append(Source(BASE, mixed, (), share * sources[0].tokens / own_tokens))
    return sources


def _train(
    model: Model,
    sources: Sequence[Source],
    config: TuningConfig,
    report: Callable[[Report], None],
    should_stop: Callable[[], bool],
) -> Weights:
    """Return the best weights of a short training."""
    longest = max(len(piece) for source in sources for piece in source.train)
    recipe = TrainingConfig(
        minutes=config.minutes,
        learning_rate=config.learning_rate,
        window=min(128, longest),
        weight_decay=0.0,
        warmup_steps=10,
        ema_decay=0.95,
        validation_steps=25,
        validation_tokens=20_000,
        patience=6,
        threads=config.threads,
        seed=config.seed,
        checkpoint_minutes=1e6,
    )
    with tempfile.TemporaryDirectory(prefix="midirnn-tune-") as folder:
        task = make_task(model.config, recipe, model.codec, sources)
        task.model.load_state_dict(_tensors(model.weights))
        trainer = Trainer(Path(folder), task, recipe, report=report)
        trainer.run(should_stop)
        best = Path(folder) / BEST
        return read_checkpoint(best).weights if best.exists() else model.weights


def _nats(model: Model, weights: Weights, pieces: Sequence[Tokens]) -> float:
    network = LanguageModel(model.config)
    network.load_state_dict(_tensors(weights))
    return evaluate(network, model.codec, pieces).nats_per_token


def _tensors(weights: Weights) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
