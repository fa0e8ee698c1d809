"""How a model is trained: saved with each run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from midirnn.errors import OptionError

OPTIMIZERS = ("adamw", "muon")


@dataclass(frozen=True)
class TrainingConfig:
    """A recipe. One step is one update of the weights: ``batch_size * window`` tokens.

    The state is carried from window to window within a ``segment``. The learning rate falls
    linearly. Muon is K. Jordan's (2024), the average of weights B. Polyak and A. Juditsky's (1992).
    """

    tokens: int = 20_000_000
    """How many tokens to learn from, in all."""
    batch_size: int = 16
    """How many pieces are read side by side."""
    window: int = 128
    """Tokens of each piece in one step."""
    segment: int = 1024
    """Tokens of a piece that are read before another is drawn (0: all)."""
    optimizer: str = "adamw"
    """adamw, or muon for the matrices of the recurrent layers and adamw for the rest."""
    learning_rate: float = 3e-3
    """Of AdamW, at its highest."""
    muon_learning_rate: float = 1e-2
    """Of Muon, at its highest."""
    weight_decay: float = 0.01
    """How strongly weights are drawn to 0."""
    beta2: float = 0.99
    """Of AdamW: how slowly its mean of squared gradients moves."""
    clip_norm: float = 1.0
    """Longer gradients are cut to this length."""
    ema_decay: float = 0.0
    """Validate and keep as best a moving average of the weights: 0.999, say (0: off)."""
    warmup_steps: int = 100
    """Steps in which the learning rate rises."""
    decay_start: float = 0.3
    """The share of the run after which the learning rate falls."""
    final_learning_rate_share: float = 0.02
    """What share of the learning rate is left at the end."""
    transpose: int = 0
    """Move pieces by up to so many semitones, at random."""
    stretch: float = 0.0
    """Play pieces slower or faster by up to this share, at random."""
    steered: float = 0.4
    """The share of segments that show a model with control inputs controls, each half the time."""
    bf16: bool = True
    """Multiply matrices in bfloat16 where the processor has instructions for that: faster."""
    seed: int = 0
    """The same seed draws the same weights and pieces."""
    threads: int = 1
    """How many threads compute."""
    checkpoint_minutes: float = 3.0
    """How often the run is saved."""
    validation_steps: int = 500
    """After how many steps each the validation split is looked at."""
    validation_tokens: int = 200_000
    """How much of it, at most."""
    patience: int = 0
    """Validations without a better result before the run stops (0: it goes to its end)."""

    def __post_init__(self) -> None:
        for name, low in (
            ("tokens", 1),
            ("batch_size", 1),
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
                    f"{name} is {getattr(self, name)}; allowed are {low_float:g} to {high:g}"
                )
        if not self.clip_norm > 0:  # also refuses NaN
            raise OptionError(f"clip_norm is {self.clip_norm}; it must be over 0")
        if self.optimizer not in OPTIMIZERS:
            raise OptionError(f"optimizer is {self.optimizer!r}; known are {', '.join(OPTIMIZERS)}")

    @property
    def total_steps(self) -> int:
        """How many updates the run makes."""
        return max(1, self.tokens // (self.batch_size * self.window))

    def learning_rate_share(self, step: int) -> float:
        """What the learning rates are multiplied by at a step (from 0)."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = step / self.total_steps
        if done < self.decay_start or self.decay_start >= 1.0:
            return 1.0
        fallen = (done - self.decay_start) / (1.0 - self.decay_start)
        return 1.0 - fallen * (1.0 - self.final_learning_rate_share)

    def to_dict(self) -> dict[str, Any]:
        """The recipe for JSON."""
        return dataclasses.asdict(self)
