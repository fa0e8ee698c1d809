"""The contents of a data set in numbers: sizes, densities, tokens, pitches and velocities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.codecs import NoteStream
from midirnn.datasets.store import Dataset

QUANTILES = {"least": 0.0, "p10": 0.1, "median": 0.5, "p90": 0.9, "most": 1.0}

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SplitStatistics:
    """The contents of a split. Pitches and velocities are empty if its pieces have no notes."""

    files: int
    tokens: int
    notes: int
    hours: float
    tokens_per_file: Mapping[str, float]
    """Quantiles over the files, by name; see :data:`QUANTILES`."""
    notes_per_second: Mapping[str, float]
    token_counts: Counts
    """How often each token occurs; shape ``(V,)``."""
    pitch_counts: Counts
    """How many notes have each pitch; shape ``(128,)`` or ``(0,)``."""
    velocity_counts: Counts
    """The same for velocities."""

    def shares(self, groups: Mapping[str, slice]) -> dict[str, float]:
        """Return the share of each group of the vocabulary in the tokens."""
        whole = max(1, int(self.token_counts.sum()))
        return {name: float(self.token_counts[ids].sum()) / whole for name, ids in groups.items()}

    def to_dict(self, groups: Mapping[str, slice]) -> dict[str, Any]:
        """Return everything, for JSON."""
        return {
            "files": self.files,
            "tokens": self.tokens,
            "notes": self.notes,
            "hours": self.hours,
            "tokens_per_file": dict(self.tokens_per_file),
            "notes_per_second": dict(self.notes_per_second),
            "token_shares": self.shares(groups),
            "token_counts": self.token_counts.tolist(),
            "pitch_counts": self.pitch_counts.tolist(),
            "velocity_counts": self.velocity_counts.tolist(),
        }


def measure_split(
    dataset: Dataset, split: str, progress: Callable[[int, int], None] | None = None
) -> SplitStatistics:
    """Read a split piece by piece and return its statistics."""
    codec = dataset.codec
    pieces = dataset.stored_pieces(split)
    tokens = np.zeros(codec.vocab_size, np.int64)
    has_notes = isinstance(codec, NoteStream)
    pitches, velocities = (np.zeros(128 if has_notes else 0, np.int64) for _ in range(2))
    densities: list[float] = []
    for done, piece in enumerate(pieces, 1):
        tokens += np.bincount(piece, minlength=codec.vocab_size)
        if has_notes:
            performance = codec.decode(piece)
            pitches += np.bincount(performance.pitch, minlength=128)
            velocities += np.bincount(performance.velocity, minlength=128)
            densities.append(len(performance) / max(performance.duration, 1.0))
        if progress is not None:
            progress(done, len(pieces))
    count = next(c for name, c in dataset.counts.items() if dataset.files(name) == pieces.files)
    return SplitStatistics(
        files=count.files,
        tokens=count.tokens,
        notes=count.notes,
        hours=count.hours,
        tokens_per_file=_quantiles(pieces.lengths),
        notes_per_second=_quantiles(np.array(densities)),
        token_counts=tokens,
        pitch_counts=pitches,
        velocity_counts=velocities,
    )


def _quantiles(values: npt.NDArray[Any]) -> dict[str, float]:
    """Return the quantiles of values; empty if there are none."""
    if not len(values):
        return {}
    found = np.quantile(values, list(QUANTILES.values()))
    return dict(zip(QUANTILES, map(float, found), strict=True))
