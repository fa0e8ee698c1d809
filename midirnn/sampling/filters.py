"""Sampling filters: from logits to probabilities. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from midirnn.codecs.base import Limits
from midirnn.errors import OptionError
from midirnn.performance import NUM_PITCHES

FloatVector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SamplingConfig:
    """Sampling settings.

    ``temperature`` divides the logits. ``top_p`` is A. Holtzman et al.'s (2020); by default it is
    below 1, because rare tokens can lead a model into babble. So can notes that pile up: of 64
    three-minute openings of the test split, pedal applied, half reach 18 notes at once at some
    point, one in ten 35, and the densest 52.
    """

    temperature: float = 1.0
    """Temperature. Above 1 is more random, below 1 less; 0 always picks the most likely token.
    Rests of a second or more do not become more likely below 1."""
    top_k: int = 0
    """Sample only from the k most likely tokens (0 disables)."""
    top_p: float = 0.95
    """Sample only from the most likely tokens that together have this probability (1 disables)."""
    min_p: float = 0.0
    """Sample only from tokens at least this share as likely as the most likely (0 disables)."""
    max_note_seconds: float = 20.0
    """The longest that a note may sound, in seconds."""
    max_sounding: int = 32
    """The most notes that may sound at once."""
    max_rest_seconds: float = 6.0
    """The longest time without a new note, in seconds; before the first note at most 2."""

    @property
    def limits(self) -> Limits:
        """The limits on notes, for a codec's constraint."""
        return Limits(self.max_note_seconds, self.max_sounding)

    def __post_init__(self) -> None:
        _check("temperature", self.temperature, 0.0, 10.0)
        _check("top_k", self.top_k, 0, 1_000_000)
        _check("top_p", self.top_p, 0.0, 1.0)
        _check("min_p", self.min_p, 0.0, 1.0)
        _check("max_note_seconds", self.max_note_seconds, 0.01, 3600.0)
        _check("max_rest_seconds", self.max_rest_seconds, 0.1, 3600.0)
        _check("max_sounding", self.max_sounding, 1, NUM_PITCHES)


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also refuses NaN
        raise OptionError(f"{name} is {value}; allowed are {low:g} to {high:g}")


def probabilities(
    logits: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], config: SamplingConfig
) -> FloatVector:
    """Return the probabilities of the tokens that ``mask`` allows, filtered; shape ``(V,)``.

    The most likely allowed token is always kept. ``mask`` must allow at least one.
    """
    allowed = np.flatnonzero(mask)
    p = np.zeros(len(mask))
    p[allowed] = _among(logits[allowed].astype(np.float64), config)
    return p


def _among(logits: FloatVector, config: SamplingConfig) -> FloatVector:
    """Return the filtered probabilities of allowed tokens, from their logits."""
    values = logits - logits.max()
    if config.temperature == 0.0:
        values = np.where(np.arange(len(values)) == values.argmax(), 0.0, -np.inf)
    elif config.temperature != 1.0:
        with np.errstate(over="ignore"):  # near 0 all but the most likely become -inf
            values /= config.temperature
    p: FloatVector = np.exp(values)
    if config.top_k:
        p = keep_top_k(p, config.top_k)
    if config.min_p:
        p = np.where(p >= config.min_p * p.max(), p, 0.0)
    if config.top_p < 1.0:
        p = keep_top_p(p / p.sum(), config.top_p)
    p /= p.sum()
    return p


def keep_top_k(p: FloatVector, k: int) -> FloatVector:
    """Set all but the ``k`` most likely tokens to 0; of equal ones the lower id is kept."""
    kept = np.zeros_like(p)
    best = np.argsort(-p, kind="stable")[:k]
    kept[best] = p[best]
    return kept


def keep_top_p(p: FloatVector, top_p: float) -> FloatVector:
    """Keep only the most likely tokens that together reach ``top_p``; at least one."""
    order = np.argsort(-p, kind="stable")
    count = int(np.searchsorted(np.cumsum(p[order]), top_p)) + 1
    kept = np.zeros_like(p)
    kept[order[:count]] = p[order[:count]]
    return kept


def log_likelihood(
    logits: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], token: int
) -> float:
    """Return the log probability of a token among those that ``mask`` allows."""
    assert mask[token]
    values = logits.astype(np.float64)
    allowed = values[mask]
    top = allowed.max()
    return float(values[token] - top - np.log(np.exp(allowed - top).sum()))


def draw(p: FloatVector, rng: np.random.Generator) -> int:
    """Draw a token id from ``p``, with one uniform random number."""
    cumulative = np.cumsum(p)
    token = int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
    return token if token < len(p) else int(np.flatnonzero(p)[-1])  # rounded up to the sum
