"""Measures of a continuation; a higher one is better."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from midirnn.codecs.controls import Controls
from midirnn.errors import OptionError
from midirnn.files import reason_of
from midirnn.judging.style import STYLE, distances, measure, passage
from midirnn.performance import Performance
from midirnn.sampling.ending import key_fits

HEARD_SECONDS = 30.0
"""The last seconds of a primer that are compared."""

SCALE = {
    "density": 0.65,
    "velocity": 10.6,
    "register": 7.3,
    "pitch_classes": 0.38,
    "rhythm": 0.40,
}
"""The mean distance between passages of different pieces, by which features are scaled to count
alike: over 30 s of 40 performances of the test split, as ``evaluate --continuations`` measures."""


@dataclass(frozen=True)
class Heard:
    """A continuation to be measured."""

    primer: Performance
    new: Performance
    """The new notes, starting at 0 s."""
    seconds: float
    log_likelihood: float
    """Of the new tokens, in nats."""
    new_tokens: int
    controls: Controls | None
    key: frozenset[int] | None
    """The pitch classes that were requested."""


Measure = Callable[[Heard], float]


def likelihood(heard: Heard) -> float:
    """Return the mean log-likelihood of the new tokens, in nats per token."""
    return heard.log_likelihood / max(heard.new_tokens, 1)


def continuity(heard: Heard) -> float:
    """Return how near the new music is to the end of its primer; 0 is equal, -1 unrelated.

    The mean over density, loudness, register, pitch classes and inter-onset intervals.
    """
    check_measure(continuity, heard.controls, heard.primer)
    end = heard.primer.duration
    begin = max(0.0, end - HEARD_SECONDS)
    before = measure([passage(heard.primer, begin, end)], end - begin)
    after = measure([passage(heard.new, 0.0, heard.seconds)], heard.seconds)
    apart = distances(before, after)[0]
    found = [
        1.0 if math.isnan(distance) else float(distance) / SCALE[feature.name]
        for feature, distance in zip(STYLE, apart, strict=True)
        if feature.name in SCALE
    ]
    return -float(np.mean(found))


def key(heard: Heard) -> float:
    """Return how clearly the new music is in a key.

    That is the share of its time in the pitch classes that were requested or, if none were, the
    correlation with the profile of the key that fits best (C. Krumhansl, 1990).
    """
    lengths = heard.new.end - heard.new.start
    shares = np.bincount(heard.new.pitch % 12, weights=lengths, minlength=12)
    if not shares.any():
        return -1.0
    if heard.key is not None:
        return float(shares[sorted(heard.key)].sum() / shares.sum())
    if np.ptp(shares) < 1e-9:
        return 0.0  # all equal
    return max(key_fits(shares).values()) / float(12 * shares.std())


def density(heard: Heard) -> float:
    """Return how near the new music is to the requested notes per second, or to its primer's.

    0 is equal, -1 twice or half as many.
    """
    wanted = None if heard.controls is None else heard.controls.notes_per_second
    if wanted is None:
        check_measure(density, heard.controls, heard.primer)
        wanted = len(heard.primer) / heard.primer.duration
    played = len(heard.new) / heard.seconds
    return -abs(math.log2(max(played, 0.01) / max(wanted, 0.01)))


MEASURES: dict[str, Measure] = {
    "likelihood": likelihood,
    "continuity": continuity,
    "key": key,
    "density": density,
}


def check_measure(measure: Measure, controls: Controls | None, primer: Performance) -> None:
    """Raise :class:`OptionError` for a measure that needs a primer with notes if there is none."""
    if len(primer):
        return
    if measure is continuity:
        raise OptionError("continuity is nearness to a primer; give one, or choose another measure")
    if measure is density and (controls is None or controls.notes_per_second is None):
        raise OptionError(
            "density is nearness to a number of notes; give one with --notes-per-second, or a "
            "primer"
        )


def find_measure(name: str) -> Measure:
    """Return a measure by its name, or a function in a file: "FILE.py:function".

    The function is called with the new music, a :class:`Performance` starting at 0 s, and returns a
    number. Raises :class:`OptionError` if there is no such measure.
    """
    if name in MEASURES:
        return MEASURES[name]
    path, colon, function = name.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise OptionError(
            f"there is no measure {name!r}; known are {', '.join(MEASURES)} and FILE.py:function"
        )
    own = _function(Path(path), function)

    def measured(heard: Heard) -> float:
        try:
            found = own(heard.new)
        except Exception as error:
            what = f"{type(error).__name__}: {reason_of(error)}"
            raise OptionError(f"{name} failed ({what})") from error
        try:
            return float(found)
        except (TypeError, ValueError):
            raise OptionError(f"{name} returned {found!r}, which is not a number") from None

    return measured


def _function(path: Path, name: str) -> Callable[[Performance], Any]:
    """Return a function of a Python file."""
    if not path.is_file():
        raise OptionError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        what = f"{type(error).__name__}: {reason_of(error)}"
        raise OptionError(f"{path} cannot be run ({what})") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise OptionError(f"{path} has no function {name!r}")
    found: Callable[[Performance], Any] = function
    return found
