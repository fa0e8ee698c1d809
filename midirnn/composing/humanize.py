"""Play a score as a pianist might."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable

import numpy as np

from midirnn.engines.humanizer import Array, HumanizerEngine, load_humanizer
from midirnn.errors import OptionError
from midirnn.performance import Performance
from midirnn.sampling.arguments import as_music, check_seed
from midirnn.scores import Expression, Score, check_score, perform, read_score
from midirnn.scores.quantities import Quantity

MAX_AMOUNT = 1.5
MIN_BPM, MAX_BPM = 5.0, 1000.0

TEMPERATURE = 0.7
"""Sampling temperature; below 1 is less random."""


def humanize(
    score: Score | Performance | str | os.PathLike[str],
    *,
    seed: int | None = None,
    amount: float = 1.0,
    bpm: float | None = None,
    model: str | os.PathLike[str] | HumanizerEngine = "humanize",
    progress: Callable[[int, int], None] | None = None,
) -> Performance:
    """Return a performance of a score: exactly its notes, with tempo, dynamics and pedal.

    The score is a MIDI or MusicXML file, or exactly timed notes, which may be a
    ``pretty_midi.PrettyMIDI``. The same ``seed`` gives the same
    performance; without one it is random. ``amount`` scales the expression: 0 plays in exact time
    and equally loud, 1.5 exaggerates. ``bpm`` sets the mean tempo in quarter notes per minute;
    without it the performance lasts as long as the score. Raises :class:`OptionError` for a value
    that is not allowed and :class:`ScoreError` for a score without notes.
    """
    check_options(seed, amount, bpm)
    if isinstance(score, str | os.PathLike | bytes):
        score = read_score(score)
    elif not isinstance(score, Score):
        score = Score.from_performance(as_music(score, "the score"))
    check_score(score, "the score")
    engine = model if isinstance(model, HumanizerEngine) else load_humanizer(model)
    if amount == 0:
        return perform(score, Expression.plain(score), bpm)
    own = secrets.randbelow(2**32) if seed is None else seed
    expression = sample(engine, score, own, progress).scaled(amount)
    if score.louder is not None:
        expression = expression.accented(score.louder**amount)
    return perform(score, expression, bpm)


def check_options(seed: int | None, amount: float, bpm: float | None) -> None:
    """Raise :class:`OptionError` for a value that :func:`humanize` does not accept."""
    check_seed(seed)
    if not 0 <= amount <= MAX_AMOUNT:
        raise OptionError(f"amount is {amount:g}; allowed are 0 (as written) to {MAX_AMOUNT:g}")
    if bpm is not None and not MIN_BPM <= bpm <= MAX_BPM:
        raise OptionError(
            f"tempo is {bpm:g}; allowed are {MIN_BPM:g} to {MAX_BPM:g} quarter notes per minute"
        )


def sample(
    engine: HumanizerEngine,
    score: Score,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Expression:
    """Return an expression drawn from the engine's probabilities, note by note."""
    generator = np.random.default_rng(seed)
    return engine.play(
        score, lambda quantity, probabilities: draw(quantity, probabilities, generator), progress
    )


def draw(quantity: Quantity, probabilities: Array, generator: np.random.Generator) -> float:
    """Draw a class, and a value in it: anywhere up to halfway to the neighbouring centres."""
    weights = probabilities ** (1 / TEMPERATURE)
    shares = np.cumsum(weights)
    picked = int(np.searchsorted(shares, generator.random() * shares[-1], side="right"))
    picked = min(picked, len(shares) - 1)
    return quantity.value_in(picked, generator.random())
