"""Beam search over continuations: several at once, of which the most promising go on.

Beams that simply keep the most probable tokens end in music that hardly moves, and are nearly all
the same. Stochastic beams (W. Kool, H. van Hoof and M. Welling, "Stochastic Beams and Where to Find
Them", 2019) add Gumbel noise to the log-probabilities before choosing the highest, so that the
beams are a sample of the model's continuations without replacement.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.arrays import Float64Array
from midirnn.codecs import NoteStream, require
from midirnn.composing.choice import Candidate, measured, usable_measure
from midirnn.composing.measures import Measure
from midirnn.engines.load import Model, as_model
from midirnn.errors import OptionError
from midirnn.sampling.arguments import as_primer, check_seed
from midirnn.sampling.continuation import Continuation
from midirnn.sampling.requests import Request
from midirnn.sampling.sampler import Sampler, SamplerState

WIDEST = 256
COMPLETE = -1
"""Stands for the token of a beam that is complete."""


def beam_search(
    model: Model | str | os.PathLike[str],
    width: int,
    by: Measure | str = "likelihood",
    request: Request | None = None,
    primer: Any = None,
    *,
    stochastic: bool = True,
    seed: int = 0,
    engine: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> list[Candidate]:
    """Return ``width`` different continuations of a primer by beam search, the best first.

    The arguments are those of :func:`~midirnn.best_of`; ``by`` sorts the complete beams.
    Probabilities are those of sampling, with its temperature and filters. Beams that are not
    ``stochastic`` keep the most probable tokens, and their music collapses. ``progress`` is called
    with (tenths of a second that all beams have reached, tenths in all).
    """
    if not 1 <= width <= WIDEST:
        raise OptionError(f"beam is {width}; allowed are 1 to {WIDEST}")
    check_seed(seed)
    request, primer = request or Request(), as_primer(primer)
    by = usable_measure(by, request, primer)
    model = as_model(model)
    codec: Any = require(model.codec, NoteStream, "beam search", "music to measure")
    heard: list[SamplerState] = []
    pieces = [
        Continuation(
            Sampler(lane, codec, request.sampling, seed=seed, measures=True),
            request,
            primer,
            heard_before=heard,
        )
        for lane in model.lanes(width, engine)
    ]
    search = _Search(pieces, np.random.default_rng(seed) if stochastic else None)
    while not search.is_complete:
        search.advance()
        if progress is not None:
            progress(*search.reached())
    found = [piece.result() for piece in search.complete()]
    return measured(found, [seed] * len(found), by, request, primer)


@dataclass
class _Beam:
    """A continuation in progress, and its log-probability."""

    piece: Continuation
    log_probability: float = 0.0
    perturbed: float = 0.0
    """The same with noise: the maximum over all continuations of the beam."""


class _Search:
    """The beams, the best first, and the continuations that are free to be used. Owns both."""

    def __init__(self, pieces: list[Continuation], rng: np.random.Generator | None) -> None:
        self._beams = [_Beam(pieces[0])]
        self._free = pieces[1:]
        self._width = len(pieces)
        self._rng = rng

    @property
    def is_complete(self) -> bool:
        """Whether no beam goes on."""
        return all(beam.piece.is_complete for beam in self._beams)

    def complete(self) -> list[Continuation]:
        """Return the continuations, the best first."""
        return [beam.piece for beam in self._beams]

    def reached(self) -> tuple[int, int]:
        """Return the time that the last beam has reached and its end, in tenths of a second."""
        last = min((beam.piece for beam in self._beams), key=lambda piece: piece.seconds)
        return int(10 * last.seconds), int(10 * last.end_seconds)

    def advance(self) -> None:
        """Extend the beams by one token, keeping the best of all extensions."""
        rows = [self._ways(number, beam) for number, beam in enumerate(self._beams)]
        owner, token, log_probability, perturbed = map(np.concatenate, zip(*rows, strict=True))
        best = np.argsort(-perturbed, kind="stable")[: self._width]
        self._free += [
            beam.piece for number, beam in enumerate(self._beams) if number not in owner[best]
        ]
        old, taken = self._beams, set()
        self._beams, steps = [], []
        for way in best.tolist():
            number = int(owner[way])
            piece = old[number].piece
            if number in taken:  # another extension has taken this beam's continuation
                piece = self._free.pop()
                piece.copy(old[number].piece)
            taken.add(number)
            self._beams.append(_Beam(piece, log_probability[way], perturbed[way]))
            steps.append((piece, int(token[way])))
        for piece, drawn in steps:
            if drawn != COMPLETE:
                piece.sampler.take(drawn)
                piece.add(drawn)

    def _ways(self, number: int, beam: _Beam) -> tuple[npt.NDArray[Any], ...]:
        """Return a beam's best extensions: its number, tokens, log-probabilities, noisy ones."""
        if beam.piece.is_complete:
            token, log_probability = np.array([COMPLETE]), np.array([beam.log_probability])
            return np.array([number]), token, log_probability, np.array([beam.perturbed])
        p = beam.piece.sampler.choices(beam.piece.allowed())
        token = np.flatnonzero(p)
        log_probability = beam.log_probability + np.log(p[token])
        perturbed = log_probability
        if self._rng is not None:
            perturbed = with_noise(log_probability, beam.perturbed, self._rng)
        best = np.argsort(-perturbed, kind="stable")[: self._width]
        owner = np.full(len(best), number)
        return owner, token[best], log_probability[best], perturbed[best]


def with_noise(
    log_probabilities: Float64Array, greatest: float, rng: np.random.Generator
) -> Float64Array:
    """Return log-probabilities with Gumbel noise, whose maximum is ``greatest``.

    Kool et al. (2019), section 4.1, in the numerically stable form of their appendix B.3.
    """
    noisy = log_probabilities + rng.gumbel(size=len(log_probabilities))
    with np.errstate(divide="ignore"):  # log 0 is intended for the maximum
        v = greatest - noisy + np.log1p(-np.exp(noisy - noisy.max()))
    result: Float64Array = greatest - np.maximum(v, 0.0) - np.log1p(np.exp(-np.abs(v)))
    return result
