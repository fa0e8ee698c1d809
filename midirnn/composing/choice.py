"""The best of many continuations, drawn in one batch."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from midirnn.codecs import NoteStream, require
from midirnn.composing.measures import Heard, Measure, check_measure, find_measure
from midirnn.engines.base import StepEngine
from midirnn.engines.load import Model, as_model
from midirnn.errors import OptionError
from midirnn.performance import Performance
from midirnn.sampling.arguments import as_primer, check_seed
from midirnn.sampling.continuation import begin_piece
from midirnn.sampling.generated import Generated, Played
from midirnn.sampling.requests import Request
from midirnn.sampling.sampler import SamplerState
from midirnn.sampling.together import Steps, together

MOST = 1024
LANES = 64
"""At most this many candidates are in progress at once."""


@dataclass(frozen=True)
class Candidate(Played):
    """A continuation, the seed that it was drawn with, and its measure."""

    seed: int
    generated: Generated
    measure: float

    @property
    def performance(self) -> Performance:
        """The piece, the primer first."""
        return self.generated.performance


def candidate_seed(seed: int, number: int) -> int:
    """Return the seed of a candidate; the first has the given one."""
    check_seed(seed)
    return seed if number == 0 else int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def best_of(
    model: Model | str | os.PathLike[str],
    count: int,
    by: Measure | str = "likelihood",
    request: Request | None = None,
    primer: Any = None,
    *,
    seed: int = 0,
    engine: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> list[Candidate]:
    """Draw ``count`` continuations of a primer in one batch; return them, the best first.

    ``model`` is a loaded model, or the name or folder of one; ``by`` is a measure or its name;
    ``primer`` a :class:`Performance`, a ``pretty_midi.PrettyMIDI`` or the path of a MIDI file. The
    candidates do not depend on how many there are. ``engine`` is as for
    :meth:`~midirnn.engines.load.Model.lanes`.
    """
    request, primer = request or Request(), as_primer(primer)
    measure = usable_measure(by, request, primer)
    model = as_model(model)
    if not 1 <= count <= MOST:
        raise OptionError(f"best-of is {count}; allowed are 1 to {MOST}")
    codec: Any = require(model.codec, NoteStream, "the best of many", "music to measure")
    lanes = model.lanes(min(count, LANES), engine)
    seeds = [candidate_seed(seed, number) for number in range(count)]

    heard: list[SamplerState] = []  # the primer is heard once, and not by every candidate

    def begin(own: int, lane: StepEngine) -> Steps[Generated]:
        return begin_piece(
            request, lane, codec, primer, seed=own, measures=True, heard_before=heard
        )

    made: list[Generated] = []
    for generated in together([partial(begin, own) for own in seeds], lanes):
        made.append(generated)
        if progress is not None:
            progress(len(made), count)
    return measured(made, seeds, measure, request, primer)


def measured(
    made: Sequence[Generated],
    seeds: Sequence[int],
    by: Measure | str,
    request: Request,
    primer: Performance | None,
) -> list[Candidate]:
    """Return continuations as candidates, the best first."""
    measure = usable_measure(by, request, primer)
    found: list[Candidate] = []
    for seed, generated in zip(seeds, made, strict=True):
        value = measure(heard_of(generated, request, primer))
        found.append(Candidate(seed, generated, -math.inf if math.isnan(value) else value))
    return sorted(found, key=lambda candidate: -candidate.measure)


def usable_measure(by: Measure | str, request: Request, primer: Performance | None) -> Measure:
    """Return a measure. Raise :class:`OptionError` for one that needs a primer without one."""
    measure = find_measure(by) if isinstance(by, str) else by
    check_measure(measure, request.controls, _without_drums(primer))
    return measure


def _without_drums(primer: Performance | None) -> Performance:
    return Performance() if primer is None else primer.without_drums()


def heard_of(made: Generated, request: Request, primer: Performance | None) -> Heard:
    """Return a continuation in the form that measures take."""
    rules = request.constraints
    asked = rules.key if rules is not None else None
    weights = request.controls.weights if request.controls is not None else None
    if asked is None and weights is not None:
        asked = frozenset(number for number, weight in enumerate(weights) if weight)
    return Heard(
        _without_drums(primer),
        made.continuation,
        made.new_seconds,
        made.log_likelihood,
        made.new_tokens,
        request.controls,
        asked,
    )
