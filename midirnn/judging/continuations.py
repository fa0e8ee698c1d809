"""How closely continuations keep to the style of their primers, compared with the pianist's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from midirnn.arrays import Float64Array
from midirnn.datasets.draws import evenly
from midirnn.errors import OptionError
from midirnn.judging.recurrence import longest_copy, patterns, returning_share
from midirnn.judging.style import (
    STYLE,
    distances,
    mean_between_pieces,
    measure,
    passage,
    scaled,
)
from midirnn.performance import Performance

Span = tuple[float, float]
"""Seconds after the end of the primer: where a passage begins and where it ends."""

COLUMNS = ("all", *(feature.name for feature in STYLE))
"""The mean of the features, and each feature."""

PIANIST = "pianist"
"""The name of the pianist's own continuations."""

ANOTHER_PIECE = "another piece"
"""The name of the continuations of other pieces' primers, in which a primer returns by chance."""

QUANTILES = {"median": 0.5, "p90": 0.9, "max": 1.0}

RESAMPLES = 400
"""The number of bootstrap resamples for the standard errors of medians."""


@dataclass(frozen=True)
class Timing:
    """Where in a performance the primer is, and which passages after it are compared with it."""

    skip_seconds: float = 20.0
    """Where the primer begins: the first seconds of a piece are often unlike the rest."""
    primer_seconds: float = 30.0
    headline: Span = (0.0, 30.0)
    spans: tuple[Span, ...] = ((0.0, 10.0), (10.0, 20.0), (20.0, 30.0), (30.0, 60.0))

    @property
    def all_spans(self) -> tuple[Span, ...]:
        """The headline and the other spans."""
        return (self.headline, *self.spans)

    @property
    def new_seconds(self) -> float:
        """How much must be generated after a primer."""
        return max(end for _, end in self.all_spans)

    @property
    def seconds(self) -> float:
        """How long a performance must last."""
        return self.skip_seconds + self.primer_seconds + self.new_seconds


@dataclass(frozen=True)
class Excerpt:
    """A primer and how the pianist went on; both begin at 0 s."""

    composition: str
    primer: Performance
    continuation: Performance


def excerpt(piece: Performance, composition: str, timing: Timing) -> Excerpt:
    """Return the primer of a performance and what follows it."""
    end = timing.skip_seconds + timing.primer_seconds
    return Excerpt(
        composition,
        piece.slice(timing.skip_seconds, end),
        piece.slice(end, end + timing.new_seconds),
    )


def compositions(paths: Sequence[str]) -> list[str]:
    """Return the composition that each performance is of, as far as its path shows.

    Performances in one folder count as one composition, but if all are in the same folder, each as
    its own. A data set stores paths, not names of compositions: where a folder holds an album, as
    in PiJAMA, all its pieces count as one composition, so that "another piece" is never from the
    same album.
    """
    folders = [str(PurePosixPath(path).parent) for path in paths]
    return folders if len(set(folders)) > 1 else list(paths)


def pick(compositions: Sequence[str], count: int) -> list[int]:
    """Return the indices of up to ``count`` performances, as few of each composition as possible.

    One of each, then another of each that has more, and so on. If a round has more than are needed,
    the picks are spread evenly over it.
    """
    members: dict[str, list[int]] = {}
    for index, name in enumerate(compositions):
        members.setdefault(name, []).append(index)
    picked: list[int] = []
    for number in range(max(map(len, members.values()), default=0)):
        of_round = [group[number] for group in members.values() if number < len(group)]
        picked += evenly(of_round, count - len(picked))
    return sorted(picked)


def judge_continuations(
    excerpts: Sequence[Excerpt],
    made: Mapping[str, Sequence[Performance]],
    reference: Sequence[Excerpt],
    timing: Timing,
) -> dict[str, Any]:
    """Return how far continuations are from their primers, and what they copy, for JSON.

    ``made`` holds continuations by anyone but the pianists, by name, each starting at 0 s.
    ``reference`` are the excerpts by which distances are scaled: between them the mean is 1.
    """
    rows = {PIANIST: [e.continuation for e in excerpts], **made}
    primers = [passage(e.primer, 0.0, timing.primer_seconds) for e in excerpts]
    scales = {span: _scale(reference, span, timing) for span in timing.all_spans}
    each = {
        name: {
            span_name(span): _distances(primers, continuations, span, scales[span], timing)
            for span in timing.all_spans
        }
        for name, continuations in rows.items()
    }
    unrelated = {ANOTHER_PIECE: [e.continuation for e in _others(excerpts)]}
    returned = {
        name: _recurrence(primers, continuations, timing.headline)
        for name, continuations in {**rows, **unrelated}.items()
    }
    return {
        "primer": {"from_seconds": timing.skip_seconds, "seconds": timing.primer_seconds},
        "headline": span_name(timing.headline),
        "scale": {
            "performances": len(reference),
            "mean_between_pieces": {
                span_name(span): dict(zip(COLUMNS[1:], scale.tolist(), strict=True))
                for span, scale in scales.items()
            },
        },
        "distances": {
            name: {span: _named(np.median(values, axis=0)) for span, values in spans.items()}
            for name, spans in each.items()
        },
        "standard_errors": {
            name: {span: _named(_standard_error(values)) for span, values in spans.items()}
            for name, spans in each.items()
        },
        "recurrence": {
            name: {key: _quantiles(values) for key, values in found.items()}
            for name, found in returned.items()
        },
        "each": [
            {
                name: {
                    "distances": {span: _named(values[index]) for span, values in spans.items()},
                    **{key: values[index] for key, values in returned[name].items()},
                }
                for name, spans in each.items()
            }
            for index in range(len(excerpts))
        ],
    }


def span_name(span: Span) -> str:
    """Return a span as text, such as ``0-30``."""
    return f"{span[0]:g}-{span[1]:g}"


def _standard_error(values: Float64Array) -> Float64Array:
    """Return the bootstrap standard errors of the medians of columns; (N, D) to (D,)."""
    rng = np.random.default_rng(0)
    drawn = values[rng.integers(0, len(values), (RESAMPLES, len(values)))]
    errors: Float64Array = np.median(drawn, axis=1).std(axis=0)
    return errors


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    return {name: float(np.quantile(values, share)) for name, share in QUANTILES.items()}


def _named(values: Float64Array) -> dict[str, float]:
    return dict(zip(COLUMNS, values.tolist(), strict=True))


def _scale(reference: Sequence[Excerpt], span: Span, timing: Timing) -> Float64Array:
    """Return the mean distance of primers to this span of other pieces; shape ``(6,)``."""
    names = [e.composition for e in reference]
    if len(set(names)) < 2:
        raise OptionError("there must be performances of 2 compositions or more, to compare with")
    primers = [passage(e.primer, 0.0, timing.primer_seconds) for e in reference]
    passages = [passage(e.continuation, *span) for e in reference]
    return mean_between_pieces(
        measure(primers, timing.primer_seconds), measure(passages, span[1] - span[0]), names
    )


def _distances(
    primers: Sequence[Performance],
    continuations: Sequence[Performance],
    span: Span,
    scale: Float64Array,
    timing: Timing,
) -> Float64Array:
    """Return how far each continuation is from its primer, by :data:`COLUMNS`; (N, 7)."""
    passages = [passage(piece, *span) for piece in continuations]
    features = scaled(
        distances(measure(primers, timing.primer_seconds), measure(passages, span[1] - span[0])),
        scale,
    )
    return np.concatenate([features.mean(axis=1, keepdims=True), features], axis=1)


def _others(excerpts: Sequence[Excerpt]) -> list[Excerpt]:
    """Return for each excerpt one of another composition, from far away in the list."""
    count = len(excerpts)
    others = []
    for index, own in enumerate(excerpts):
        around = (excerpts[(index + count // 2 + shift) % count] for shift in range(count))
        others.append(next((e for e in around if e.composition != own.composition), own))
    return others


def _recurrence(
    primers: Sequence[Performance], continuations: Sequence[Performance], span: Span
) -> dict[str, list[float]]:
    """Return for each primer how much of it returns in a span of its continuation."""
    pairs = [
        (primer, passage(piece, *span))
        for primer, piece in zip(primers, continuations, strict=True)
    ]
    return {
        "returning_share": [returning_share(patterns(a), patterns(b)) for a, b in pairs],
        "longest_copy_notes": [longest_copy(a, b) for a, b in pairs],
    }
