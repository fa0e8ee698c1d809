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

    ``segment`` is how many tokens of a piece a stream reads before it goes on to another (0: all);
    the state is carried from window to window within it. ``steered`` is in which share of the
    segments a model with ``control_inputs`` is shown controls, each of them half the time. The
    learning rate rises over ``warmup_steps``, stays until ``decay_start`` (a share of the run) and
    falls linearly to ``final_learning_rate_share`` of itself. With ``optimizer="muon"`` the
    matrices of the recurrent layers learn by Muon (K. Jordan, 2024) at ``muon_learning_rate``. With
    ``ema_decay`` (0.999, say; 0: off) a moving average of the weights is validated and kept as
    ``best`` (B. Polyak and A. Juditsky, 1992).
    """

    tokens: int = 20_000_000
    batch_size: int = 16
    window: int = 128
    segment: int = 1024
    optimizer: str = "adamw"
    learning_rate: float = 3e-3
    muon_learning_rate: float = 1e-2
    weight_decay: float = 0.01
    beta2: float = 0.99
    clip_norm: float = 1.0
    ema_decay: float = 0.0
    warmup_steps: int = 100
    decay_start: float = 0.3
    final_learning_rate_share: float = 0.02
    transpose: int = 0
    stretch: float = 0.0
    steered: float = 0.4
    bf16: bool = True
    seed: int = 0
    threads: int = 1
    checkpoint_minutes: float = 3.0
    validation_steps: int = 500
    validation_tokens: int = 200_000
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
