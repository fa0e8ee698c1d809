"""The recipe of a training run, which is saved with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from midirnn.errors import OptionError

Config = TypeVar("Config", bound=Any)
"""A dataclass of settings, each of which has a default."""

OPTIMIZERS = ("adamw", "muon")

FREE_SETTINGS = ("threads", "checkpoint_minutes", "patience")
"""Settings that may change when a run is resumed."""

LENGTHS = ("tokens", "minutes")
"""Settings that may also change if the learning rate never decays: such a run may be extended."""

DECAY_SETTINGS = (
    *LENGTHS,
    "warmup_steps",
    "decay_start",
    "final_learning_rate_share",
    "validation_steps",
    "validation_tokens",
)
"""Settings, besides the free ones, in which a decaying run may differ from the one it decays."""


@dataclass(frozen=True)
class TrainingConfig:
    """A training recipe. A step is one update of the weights: ``batch_size * window`` tokens.

    The recurrent state is carried from window to window within a ``segment``. The learning rate is
    a trapezoid: it rises in the warm-up, stays constant, and decays linearly to the end. Muon is
    K. Jordan's (2024), weight averaging B. Polyak and A. Juditsky's (1992). In a ``steered``
    segment each control, or trait of a style, is shown with a probability of one half, measured
    once in two seconds (:mod:`midirnn.features.measured`).
    """

    tokens: int = 20_000_000
    """Number of tokens to train on in total."""
    minutes: float = 0.0
    """Train for this many minutes, validation included, instead of for --tokens (0: off)."""
    batch_size: int = 16
    """Number of pieces in a batch."""
    accumulate: int = 1
    """Compute the gradients of a batch in this many parts; more parts take less memory."""
    window: int = 128
    """Tokens of each piece in one step: the length of back-propagation through time."""
    segment: int = 1024
    """Tokens to read from a piece before drawing another one (0: the whole piece)."""
    stateless: bool = False
    """Start each window at a random place and from a zero state; --segment is ignored."""
    optimizer: str = "adamw"
    """adamw, or muon: Muon for the matrices of the recurrent layers, AdamW for the rest."""
    learning_rate: float = 3e-3
    """Peak learning rate of AdamW."""
    muon_learning_rate: float = 1e-2
    """Peak learning rate of Muon."""
    weight_decay: float = 0.01
    """Weight decay."""
    beta2: float = 0.99
    """AdamW's beta2: the decay of its mean of squared gradients."""
    clip_norm: float = 1.0
    """Clip the norm of the gradient to this value."""
    ema_decay: float = 0.0
    """Decay of a moving average of the weights, which is validated and saved as best (0: off)."""
    warmup_steps: int = 100
    """Steps of linear learning-rate warm-up."""
    decay_start: float = 0.3
    """Share of the run after which the learning rate starts to decay (1: never)."""
    final_learning_rate_share: float = 0.02
    """Final learning rate, as a share of the peak."""
    transpose: int = 0
    """Augmentation: transpose pieces at random by up to this many semitones."""
    stretch: float = 0.0
    """Augmentation: change the tempo at random by up to this share (0.05 is 5 %)."""
    steered: float = 0.4
    """With --control-inputs: share of segments with some controls (or --style-inputs traits)."""
    without_terms: str = ""
    """With --term-notes: terms of the structured output to leave out, separated by commas."""
    bf16: bool = True
    """Multiply matrices in bfloat16 where the processor supports it, which is faster."""
    seed: int = 0
    """Random seed of the initial weights and of the order of the pieces."""
    threads: int = 1
    """Number of CPU threads."""
    checkpoint_minutes: float = 3.0
    """Minutes between checkpoints."""
    validation_steps: int = 500
    """Steps between validations."""
    validation_tokens: int = 200_000
    """Maximum number of tokens of the validation split to validate on."""
    patience: int = 0
    """Stop after this many validations without improvement (0: never)."""

    def __post_init__(self) -> None:
        for name, low in (
            ("tokens", 1),
            ("batch_size", 1),
            ("accumulate", 1),
            ("window", 1),
            ("segment", 0),
            ("threads", 1),
            ("validation_steps", 1),
            ("validation_tokens", 1),
            ("warmup_steps", 0),
            ("patience", 0),
            ("seed", 0),
        ):
            if getattr(self, name) < low:
                raise OptionError(f"{name} is {getattr(self, name)}; it must be at least {low}")
        for name, low_float, high in (
            ("minutes", 0.0, 1e6),
            ("learning_rate", 0.0, 10.0),
            ("muon_learning_rate", 0.0, 10.0),
            ("weight_decay", 0.0, 10.0),
            ("beta2", 0.0, 0.999999),
            ("decay_start", 0.0, 1.0),
            ("final_learning_rate_share", 0.0, 1.0),
            ("checkpoint_minutes", 0.0, 1e6),
            ("steered", 0.0, 1.0),
            ("ema_decay", 0.0, 0.999999),
        ):
            if not low_float <= getattr(self, name) <= high:
                raise OptionError(
                    f"{name} is {getattr(self, name)}; allowed are {low_float:g} to {high:,.10g}"
                )
        if not self.clip_norm > 0:  # also refuses NaN
            raise OptionError(f"clip_norm is {self.clip_norm}; it must be over 0")
        if self.optimizer not in OPTIMIZERS:
            raise OptionError(f"optimizer is {self.optimizer!r}; known are {', '.join(OPTIMIZERS)}")

    @property
    def tokens_at_a_time(self) -> int | None:
        """How many tokens of a piece are read before another one is drawn; None for all of them."""
        return self.window if self.stateless else self.segment or None

    @property
    def total_steps(self) -> int:
        """The number of updates of the whole run, if it is measured in tokens."""
        return max(1, self.tokens // (self.batch_size * self.window))

    def done(self, step: int, seconds: float = 0.0) -> float:
        """Return the share of the run done after this many steps and seconds; 1 at its end.

        With ``minutes`` the time counts, otherwise the steps.
        """
        return seconds / (60 * self.minutes) if self.minutes else step / self.total_steps

    def learning_rate_share(self, step: int, seconds: float = 0.0) -> float:
        """Return the factor of the learning rates at a step (from 0), ``seconds`` into the run."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = min(self.done(step, seconds), 1.0)
        if done < self.decay_start or self.decay_start >= 1.0:
            return 1.0
        fallen = (done - self.decay_start) / (1.0 - self.decay_start)
        return 1.0 - fallen * (1.0 - self.final_learning_rate_share)

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingConfig:
        """Return the recipe from JSON; settings newer than the run have their defaults."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    def decaying(self) -> TrainingConfig:
        """Return the recipe of a run that only decays, from its first step on."""
        return dataclasses.replace(self, warmup_steps=0, decay_start=0.0)


def inherited(asked: Config, kept: Config, names: Collection[str]) -> Config:
    """Return ``kept``, with the values of ``asked`` for the fields of these names."""
    return dataclasses.replace(kept, **{name: getattr(asked, name) for name in names})
