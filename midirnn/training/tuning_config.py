"""The settings of tuning, which can be checked without loading torch."""

from __future__ import annotations

from dataclasses import dataclass

from midirnn.errors import OptionError

STATE, ADAPTER, ALL = "state", "adapter", "all"
KINDS = (STATE, ADAPTER, ALL)
"""What may change: the initial state of pieces; all weights, by low-rank matrices; all weights."""

KINDS_OF = {
    "minutes": (ADAPTER, ALL),
    "learning_rate": (ADAPTER, ALL),
    "rank": (ADAPTER,),
    "base_share": (ADAPTER, ALL),
}
"""The settings that have an effect on some kinds only, and on which."""

MOST_STEPS = 240
"""More steps do not help: by then the validation part no longer improves, if not before."""


@dataclass(frozen=True)
class TuningConfig:
    """How a model is tuned."""

    kind: str = ADAPTER
    """What may change: one of :data:`KINDS`."""
    minutes: float = 3.0
    """Train for at most this many minutes and :data:`MOST_STEPS` steps; it stops by itself when it
    no longer improves."""
    steps: int = 0
    """Train for at most this many steps instead: results do not depend on the clock (0: off)."""
    learning_rate: float = 6e-4
    """Peak learning rate."""
    rank: int = 16
    """Rank at which an adapter keeps the change of each matrix."""
    validation_share: float = 0.15
    """Share of your playing that decides when to stop: the part before the test part."""
    test_share: float = 0.15
    """Share of your playing, at its end, that is held out to measure the gain."""
    base_share: float = 0.3
    """Share of the training that is the model's own music, against forgetting."""
    threads: int = 1
    """Number of CPU threads."""
    seed: int = 0
    """Random seed."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise OptionError(f"kind is {self.kind!r}; allowed are {', '.join(KINDS)}")
        for name, low, high in (
            ("minutes", 0.01, 24 * 60.0),
            ("steps", 0, 1_000_000),
            ("learning_rate", 1e-6, 0.1),
            ("rank", 1, 4096),
            ("validation_share", 0.05, 0.4),
            ("test_share", 0.05, 0.4),
            ("base_share", 0.0, 0.9),
            ("threads", 1, 1024),
            ("seed", 0, 2**32 - 1),
        ):
            if not low <= getattr(self, name) <= high:
                raise OptionError(
                    f"{name} is {getattr(self, name)}; allowed are {low:g} to {high:,.10g}"
                )
