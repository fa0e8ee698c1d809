"""Sampling filters: from logits to probabilities. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from midirnn.arrays import Float64Array
from midirnn.codecs.base import Limits
from midirnn.errors import OptionError
from midirnn.performance import NUM_PITCHES
from midirnn.sampling.native_draw import native_draw, native_probabilities

TYPES = {"time_shift": "rhythm", "note_on": "pitch", "velocity": "velocity"}
"""The names of token types in settings, by the names of a codec's groups."""


FILTERS = ("temperature", "top_k", "top_p", "min_p", "typical_p")
"""The settings that have an effect with every codec, and on all types of tokens."""


class TypeFilter(NamedTuple):
    """Settings within one type of token, in the order in which they are applied."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0


@dataclass(frozen=True)
class SamplingConfig:
    """Sampling settings.

    ``temperature`` divides the logits; below 1, rests of a second or more do not become more
    likely. ``typical_p`` keeps the tokens whose surprise is nearest to the expected surprise, after
    ``min_p`` and before ``top_p``. ``top_p`` is nucleus sampling (A. Holtzman et al., 2020); by
    default it is below 1, because rare tokens can lead a model into babble. So can notes that pile
    up: of 64 three-minute openings of the test split, pedal applied, half reach 18 notes at once at
    some point, one in ten 35, and the densest 52.
    """

    temperature: float = 1.0
    """Temperature. Above 1 is more random, below 1 less; 0 always picks the most likely token."""
    top_k: int = 0
    """Sample only from the k most likely tokens (0 disables)."""
    top_p: float = 0.95
    """Sample only from the most likely tokens that together have this probability (1 disables)."""
    min_p: float = 0.0
    """Sample only from tokens at least this share as likely as the most likely (0 disables)."""
    typical_p: float = 1.0
    """Sample only from typical tokens that together have this probability (1 disables)."""
    repetition_penalty: float = 1.0
    """Divide the odds of the pitches of the last 16 notes by this (1 disables)."""
    rhythm_temperature: float = 1.0
    """Temperature among time shifts: it changes which one comes, not how often one comes."""
    pitch_temperature: float = 1.0
    """Temperature among pitches: it changes which one comes, not how often one comes."""
    velocity_temperature: float = 1.0
    """Temperature among velocities: it changes which one comes, not how often one comes."""
    rhythm_top_k: int = 0
    """When a time shift comes, choose only among the k most likely ones (0 disables)."""
    pitch_top_k: int = 0
    """When a note begins, choose only among the k most likely pitches (0 disables)."""
    velocity_top_k: int = 0
    """When a velocity comes, choose only among the k most likely ones (0 disables)."""
    rhythm_top_p: float = 1.0
    """When a time shift comes, choose by top-p among the time shifts alone (1 disables)."""
    pitch_top_p: float = 1.0
    """When a note begins, choose its pitch by top-p among the pitches alone (1 disables)."""
    velocity_top_p: float = 1.0
    """When a velocity comes, choose by top-p among the velocities alone (1 disables)."""
    max_note_seconds: float = 20.0
    """The longest that a note may sound, in seconds."""
    max_sounding: int = 32
    """The most notes that may sound at once."""
    max_rest_seconds: float = 6.0
    """The longest time without a new note, in seconds; before the first note at most 2."""

    @property
    def types(self) -> dict[str, TypeFilter]:
        """The settings of each type of token, by the names of a codec's groups.

        Those that change nothing are left out.
        """
        filters = {
            group: TypeFilter(
                *(getattr(self, f"{name}_{part}") for part in ("temperature", "top_k", "top_p"))
            )
            for group, name in TYPES.items()
        }
        return {group: own for group, own in filters.items() if own != TypeFilter()}

    @cached_property
    def knobs(self) -> tuple[float, int, float, float] | None:
        """The settings for all tokens; None if they include one that the C++ does not support."""
        knobs = self.temperature, self.top_k, self.min_p, self.top_p
        return knobs if self.typical_p == 1.0 else None

    @property
    def limits(self) -> Limits:
        """The limits on notes, for a codec's constraint."""
        return Limits(self.max_note_seconds, self.max_sounding)

    def __post_init__(self) -> None:
        _check("temperature", self.temperature, 0.0, 10.0)
        _check_count("top_k", self.top_k, 0, 1_000_000)
        _check("top_p", self.top_p, 0.0, 1.0)
        _check("min_p", self.min_p, 0.0, 1.0)
        _check("typical_p", self.typical_p, 0.0, 1.0)
        _check("repetition_penalty", self.repetition_penalty, 1.0, 100.0)
        for name in TYPES.values():
            _check(f"{name}_temperature", getattr(self, f"{name}_temperature"), 0.01, 10.0)
            _check_count(f"{name}_top_k", getattr(self, f"{name}_top_k"), 0, 1_000_000)
            _check(f"{name}_top_p", getattr(self, f"{name}_top_p"), 0.0, 1.0)
        _check("max_note_seconds", self.max_note_seconds, 0.01, 3600.0)
        _check("max_rest_seconds", self.max_rest_seconds, 0.1, 3600.0)
        _check_count("max_sounding", self.max_sounding, 1, NUM_PITCHES)


def _check_count(name: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, int | np.integer):
        raise OptionError(f"{name} is {value!r}; it must be a whole number")
    _check(name, value, low, high)


def _check(name: str, value: float, low: float, high: float) -> None:
    if not isinstance(value, int | float | np.number):
        raise OptionError(f"{name} is {value!r}; it must be a number")
    if not low <= value <= high:  # also refuses NaN
        raise OptionError(f"{name} is {value}; allowed are {low:g} to {high:,.10g}")


def probabilities(
    logits: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], config: SamplingConfig
) -> Float64Array:
    """Return the probabilities of the tokens that ``mask`` allows, filtered; shape ``(V,)``.

    The most likely allowed token is always kept. ``mask`` must allow at least one. Computed in C++
    if that is compiled and supports the settings, else by :func:`numpy_probabilities`.
    """
    if (knobs := config.knobs) is not None:
        p = native_probabilities(logits, mask, knobs)
        if p is not None:
            return p
    return numpy_probabilities(logits, mask, config)


def numpy_probabilities(
    logits: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], config: SamplingConfig
) -> Float64Array:
    """Return the same as :func:`probabilities`, in numpy."""
    allowed = mask.nonzero()[0]
    p = np.zeros(len(mask))
    p[allowed] = _among(logits[allowed].astype(np.float64), config)
    return p


def _among(logits: Float64Array, config: SamplingConfig) -> Float64Array:
    """Return the filtered probabilities of allowed tokens, from their logits."""
    values = logits - logits.max()
    if config.temperature == 0.0:
        values = np.where(np.arange(len(values)) == values.argmax(), 0.0, -np.inf)
    elif config.temperature != 1.0:
        with np.errstate(over="ignore"):  # near 0 all but the most likely become -inf
            values /= config.temperature
    p: Float64Array = np.exp(values)
    if config.top_k:
        p = keep_top_k(p, config.top_k)
    if config.min_p:
        p = np.where(p >= config.min_p * p.max(), p, 0.0)
    if config.typical_p < 1.0:
        p = keep_typical(p / p.sum(), config.typical_p)
    if config.top_p < 1.0:
        p = keep_top_p(p / p.sum(), config.top_p)
    p /= p.sum()
    return p


def keep_top_k(p: Float64Array, k: int) -> Float64Array:
    """Set all but the ``k`` most likely tokens to 0; of equal ones the lower id is kept."""
    kept = np.zeros_like(p)
    best = np.argsort(-p, kind="stable")[:k]
    kept[best] = p[best]
    return kept


def keep_top_p(p: Float64Array, top_p: float) -> Float64Array:
    """Keep only the most likely tokens that together reach ``top_p`` of 1; at least one."""
    # The tokens left out of the sort are, all together, too improbable to be kept.
    likely = (p > 0.5 * (1.0 - top_p) / len(p)).nonzero()[0]
    order = likely[(-p[likely]).argsort(kind="stable")]
    count = int(p[order].cumsum().searchsorted(top_p)) + 1
    kept = np.zeros(len(p))
    kept[order[:count]] = p[order[:count]]
    return kept


def keep_typical(p: Float64Array, typical_p: float) -> Float64Array:
    """Keep the tokens whose surprise is nearest to the entropy, up to ``typical_p``; at least one.

    C. Meister et al., "Locally Typical Sampling" (2023). The most likely one is always kept.
    """
    with np.errstate(divide="ignore"):
        surprise = np.where(p > 0.0, -np.log(np.maximum(p, 1e-300)), np.inf)
    entropy = float((p[p > 0.0] * surprise[p > 0.0]).sum())
    order = np.argsort(np.abs(surprise - entropy), kind="stable")
    count = int(np.searchsorted(np.cumsum(p[order]), typical_p)) + 1
    kept = np.zeros_like(p)
    kept[order[:count]] = p[order[:count]]
    kept[p.argmax()] = p.max()
    return kept


def filter_types(
    logits: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
    groups: Mapping[str, slice],
    filters: Mapping[str, TypeFilter],
) -> npt.NDArray[np.float32]:
    """Return logits (V,) filtered within each type of token; ``filters`` are by type.

    The probability of each type as a whole does not change.
    """
    changed = logits.copy()
    for name, own in filters.items():
        ids = groups.get(name)
        if ids is None or not mask[ids].any():
            continue
        allowed = np.arange(ids.start, ids.stop)[mask[ids]]
        values = logits[allowed].astype(np.float64)
        changed[allowed] = _within_type(values, own)
    return changed


def _within_type(values: Float64Array, own: TypeFilter) -> Float64Array:
    """Return the filtered logits of one type; their total probability does not change."""
    warmed = values / own.temperature
    warmed += _log_sum(values) - _log_sum(warmed)
    p = np.exp(warmed - _log_sum(warmed))
    if own.top_k:
        p = keep_top_k(p, own.top_k)
    if own.top_p < 1.0:
        p = keep_top_p(p / p.sum(), own.top_p)
    kept = p > 0.0
    if kept.all():
        return warmed
    filtered: Float64Array = np.where(kept, warmed, -np.inf)
    filtered[kept] += _log_sum(values) - _log_sum(warmed[kept])
    return filtered


def _log_sum(values: Float64Array) -> float:
    top = values.max()
    return float(top + np.log(np.exp(values - top).sum()))


def log_likelihood(
    logits: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], token: int
) -> float:
    """Return the log probability of a token among those that ``mask`` allows."""
    assert mask[token]
    values = logits.astype(np.float64)
    allowed = values[mask]
    top = allowed.max()
    return float(values[token] - top - np.log(np.exp(allowed - top).sum()))


def draw_among(
    logits: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
    config: SamplingConfig,
    rng: np.random.Generator,
) -> int:
    """Draw a token id from :func:`probabilities`; like :func:`draw`, but faster in C++."""
    if (knobs := config.knobs) is not None:
        token = native_draw(logits, mask, knobs, rng)
        if token is not None:
            return token
    return draw(numpy_probabilities(logits, mask, config), rng)


def draw(p: Float64Array, rng: np.random.Generator) -> int:
    """Draw a token id from ``p``, with one uniform random number."""
    cumulative = p.cumsum()
    token = int(cumulative.searchsorted(rng.random() * cumulative[-1], side="right"))
    return token if token < len(p) else int(np.flatnonzero(p)[-1])  # rounded up to the sum
