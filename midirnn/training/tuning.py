"""Tune a model to somebody's playing.

A short training on the playing, mixed with the model's own music so that it forgets little. The
change is kept small.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from midirnn.codecs import Tokens
from midirnn.datasets.mixture import Source
from midirnn.datasets.windows import Inputs
from midirnn.engines.adapters import INITIAL, Adapter, changes_between, hash_of
from midirnn.engines.load import PRETRAINED, Model
from midirnn.errors import DatasetError
from midirnn.models.checkpoint import Weights, read_checkpoint
from midirnn.models.language_model import LanguageModel, State, from_weights
from midirnn.models.lstm import is_fast_in_bf16
from midirnn.performance import Performance
from midirnn.training.config import TrainingConfig
from midirnn.training.evaluate import evaluate
from midirnn.training.folder import BEST, Report
from midirnn.training.initial_state import (
    Beginnings,
    as_arrays,
    learn_initial_state,
    nats_of_beginnings,
)
from midirnn.training.run import Trainer
from midirnn.training.tasks import make_task
from midirnn.training.tuning_config import ADAPTER, MOST_STEPS, STATE, TuningConfig
from midirnn.training.tuning_parts import (
    BaseMusic,
    Parts,
    base_music,
    encoded,
    split_by_time,
)

__all__ = [
    "BaseMusic",
    "Change",
    "Parts",
    "Tuned",
    "TuningConfig",
    "base_music",
    "split",
    "split_by_time",
    "tune",
]

LEAST_TOKENS = 4_000
"""About three minutes of piano playing: with less, what is learned is mostly chance."""

YOURS, OWN, BASE_TEST, BEGINNINGS = "yours", "own", "base_test", "beginnings"
"""What is measured: the held-out part of your playing, the model's own music, the test set of the
base, and places in the held-out part as if it began there."""

SHARES = (1.0, 0.85, 0.7, 0.55, 0.4, 0.25)
"""The shares of the change that are tried after the training."""

NEARLY = 0.97
"""The smallest share with at least this fraction of the best gain is taken: it forgets less."""

MOST_PRICE = 0.03
"""By how many nats per token the model's own music may become less likely."""

SEMITONES, STRETCH = 5, 0.05
"""Pieces are transposed and stretched at random by up to this much, since the player's are few."""

VALIDATION_TOKENS = 8_000

TEST_BEGINNINGS = 64

TOO_LITTLE = (
    "there is too little to learn from: {tokens:,} tokens, and it takes {least:,}, about three "
    "minutes of playing"
)
NO_GAIN = (
    "tuning did not help: the part of your playing that says when to stop is at {before:.3f} nats "
    "per token before it and at {after:.3f} after it. Nothing was written; more playing helps"
)
NO_STATE = (
    "tuning did not help: no initial state makes beginnings in the part of your playing that says "
    "when to stop more likely. Nothing was written; more playing helps"
)


@dataclass(frozen=True)
class Change:
    """A measurement in nats per token, before and after tuning."""

    before: float
    after: float

    @property
    def difference(self) -> float:
        """The change; lower is better."""
        return self.after - self.before


@dataclass(frozen=True, eq=False)
class Tuned:
    """A tuned model, with the gain and the cost of tuning it."""

    adapter: Adapter
    changes: dict[str, Change]
    """By :data:`YOURS` and, where they were measured, :data:`OWN`, :data:`BASE_TEST` and
    :data:`BEGINNINGS`."""


def split(model: Model, pieces: Sequence[Performance], config: TuningConfig) -> Parts:
    """Split pieces, in the order in which they were played, into three parts by time.

    Raises :class:`DatasetError` if there is too little to learn from.
    """
    shares = (config.validation_share, config.test_share)
    parts = Parts(*(encoded(model, part) for part in split_by_time(pieces, shares)))
    if parts.tokens < LEAST_TOKENS or not all((parts.train, parts.validation, parts.test)):
        raise DatasetError(TOO_LITTLE.format(tokens=parts.tokens, least=LEAST_TOKENS))
    return parts


def tune(
    model: Model,
    parts: Parts,
    base: BaseMusic,
    config: TuningConfig | None = None,
    *,
    report: Callable[[Report], None] = lambda report: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Tuned:
    """Tune a model to somebody's playing.

    The gain is measured on ``parts.test`` alone, which is used neither to learn nor to choose
    anything. Raises :class:`DatasetError` if the model does not improve on ``parts.validation``.
    """
    config = config or TuningConfig()
    if config.kind == STATE:
        changes, found = _tune_state(model, parts, base, config, should_stop)
        adapter = _adapter(model, changes)
    else:
        weights = train_weights(model, sources_of(parts, base, config), config, report, should_stop)
        whole = adapter_of(model, weights, config)
        share = best_share(model, whole, parts.validation, base.own)
        adapter = replace(whole.scaled(share), info={"share_of_change": share})
        found = measure(model, adapter, parts.test, base)
    info: dict[str, Any] = {
        "kind": config.kind,
        "tokens": parts.tokens,
        "test_tokens": sum(len(piece) for piece in parts.test),
        "nats": {name: [each.before, each.after] for name, each in found.items()},
    }
    return Tuned(replace(adapter, info=adapter.info | info), found)


def measure(
    model: Model, adapter: Adapter, test: Sequence[Tokens], base: BaseMusic
) -> dict[str, Change]:
    """Measure the gain and the cost of an adapter: a :class:`Change` for each kind of music."""
    weights = adapter.apply(model.weights)
    return {
        name: Change(nats(model, model.weights, pieces), nats(model, weights, pieces))
        for name, pieces in _kinds(test, base).items()
    }


def _kinds(test: Sequence[Tokens], base: BaseMusic) -> dict[str, Sequence[Tokens]]:
    """Return the music on which the gain and the cost are measured, as far as there is any."""
    kinds = {YOURS: test, OWN: base.own, BASE_TEST: base.test}
    return {name: pieces for name, pieces in kinds.items() if pieces}


def best_share(
    model: Model, adapter: Adapter, validation: Sequence[Tokens], own: Sequence[Tokens] = ()
) -> float:
    """Return the share of a change that predicts the validation part best at an acceptable price.

    The price is how much less likely ``own``, the model's own music, becomes: at most
    :data:`MOST_PRICE`, if there is such a share. Among shares that are nearly as good the smallest
    is taken, since it forgets less of the base. After M. Wortsman et al., "Robust fine-tuning of
    zero-shot models" (2022). Raises :class:`DatasetError` if none is better than the base.
    """
    bf16 = is_fast_in_bf16(torch.device("cpu"))  # exact enough to compare
    before, own_before = (
        nats(model, model.weights, pieces, bf16=bf16) for pieces in (validation, own)
    )
    gains: dict[float, float] = {}
    for share in SHARES:
        weights = adapter.scaled(share).apply(model.weights)
        price = nats(model, weights, own, bf16=bf16) - own_before
        if price <= MOST_PRICE or share == SHARES[-1]:
            gains[share] = before - nats(model, weights, validation, bf16=bf16)
    most = max(gains.values())
    if most <= 0.0:
        raise DatasetError(NO_GAIN.format(before=before, after=before - most))
    return min(share for share, gain in gains.items() if gain >= NEARLY * most)


def adapter_of(model: Model, weights: Weights, config: TuningConfig) -> Adapter:
    """Return the change from a model to other weights as an adapter of the configured kind."""
    rank = config.rank if config.kind == ADAPTER else weights_width(weights)
    return _adapter(model, changes_between(model.weights, weights, rank))


def _adapter(model: Model, changes: Weights) -> Adapter:
    return Adapter(base_name(model), hash_of(model.folder), changes, {})


def base_name(model: Model) -> str:
    """Return the name by which a base is found again, from any working directory."""
    is_ours = model.folder.parent == PRETRAINED
    return model.folder.name if is_ours else str(model.folder.resolve())


def weights_width(weights: Weights) -> int:
    """Return a rank that no matrix exceeds."""
    return max(max(array.shape, default=1) for array in weights.values())


def _tune_state(
    model: Model,
    parts: Parts,
    base: BaseMusic,
    config: TuningConfig,
    should_stop: Callable[[], bool],
) -> tuple[Weights, dict[str, Change]]:
    """Learn only the state in which pieces begin; return it, the gain and the cost."""
    torch.set_num_threads(config.threads)
    network = from_weights(model.config, model.weights)
    state = learn_initial_state(
        network,
        model.codec,
        parts.train,
        parts.validation,
        **({"steps": config.steps} if config.steps else {}),
        seed=config.seed,
        should_stop=should_stop,
    )
    if not any(part.any() for part in state):
        raise DatasetError(NO_STATE)
    inputs = Inputs(model.config.start_token, model.config.features)
    batch = Beginnings(model.codec, inputs, parts.test).draw(TEST_BEGINNINGS, config.seed)

    def whole(pieces: Sequence[Tokens], begin: State | None) -> float:
        return evaluate(network, model.codec, pieces, initial=begin).nats_per_token

    found = {
        name: Change(whole(pieces, None), whole(pieces, state))
        for name, pieces in _kinds(parts.test, base).items()
    }
    beginnings = (nats_of_beginnings(network, batch, begin) for begin in (None, state))
    changes = {f"{INITIAL}{number}": part for number, part in enumerate(as_arrays(state))}
    return changes, {**found, BEGINNINGS: Change(*beginnings)}


def sources_of(parts: Parts, base: BaseMusic, config: TuningConfig) -> list[Source]:
    """Return the player's pieces, and the model's own music with its share of the training."""
    sources = [Source("you", parts.train, parts.validation)]
    own_tokens = sum(len(piece) for piece in base.mixed)
    if own_tokens and config.base_share:
        share = config.base_share / (1.0 - config.base_share)
        sources.append(Source("base", base.mixed, (), share * sources[0].tokens / own_tokens))
    return sources


def train_weights(
    model: Model,
    sources: Sequence[Source],
    config: TuningConfig,
    report: Callable[[Report], None],
    should_stop: Callable[[], bool],
) -> Weights:
    """Return the best weights of a short training."""
    recipe = _recipe(config, longest=max(len(p) for source in sources for p in source.train))
    with tempfile.TemporaryDirectory(prefix="midirnn-tune-") as folder:
        task = make_task(model.config, recipe, model.codec, sources)
        task.model.load_state_dict(_tensors(model.weights))
        trainer = Trainer(Path(folder), task, recipe, report=report)
        trainer.run(should_stop)
        best = Path(folder) / BEST
        return read_checkpoint(best).weights if best.exists() else model.weights


@dataclass(frozen=True)
class Recipe(TrainingConfig):
    """The recipe of a run that ends after ``tokens`` or ``minutes``, whichever comes first."""

    def done(self, step: int, seconds: float = 0.0) -> float:
        """Return the share of the run done after this many steps and seconds."""
        of_time = seconds / (60 * self.minutes) if self.minutes else 0.0
        return max(step / self.total_steps, of_time)


def _recipe(config: TuningConfig, longest: int) -> Recipe:
    """Return the recipe for training on pieces, the longest of which has ``longest`` tokens.

    Without ``config.steps`` the clock may end the run, so results differ between machines.
    """
    window = min(128, longest)
    steps = config.steps or MOST_STEPS
    return Recipe(
        tokens=steps * Recipe.batch_size * window,
        minutes=0.0 if config.steps else config.minutes,
        learning_rate=config.learning_rate,
        window=window,
        weight_decay=0.0,
        warmup_steps=10,
        ema_decay=0.95,
        transpose=SEMITONES,
        stretch=STRETCH,
        validation_steps=20,
        validation_tokens=VALIDATION_TOKENS,
        patience=4,
        threads=config.threads,
        seed=config.seed,
        checkpoint_minutes=1e6,
    )


def nats(model: Model, weights: Weights, pieces: Sequence[Tokens], *, bf16: bool = False) -> float:
    """Return the nats per token of pieces, each read from its start with one state."""
    network = LanguageModel(model.config)
    network.load_state_dict(_tensors(weights))
    return evaluate(network, model.codec, pieces, bf16=bf16).nats_per_token


def _tensors(weights: Weights) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
