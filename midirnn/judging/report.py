"""Judge generated pieces: compare them with real ones, and search for copies of training pieces."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.codecs import NoteStream, Tokens
from midirnn.judging.copying import pitches
from midirnn.judging.distances import compare
from midirnn.judging.features import FEATURES, Feature
from midirnn.judging.pieces import (
    MAX_COPIED_NOTES,
    MAX_GAP_SECONDS,
    MAX_LOOP_SECONDS,
    MAX_NOTES_PER_SECOND,
    Judge,
    PieceJudgement,
)
from midirnn.judging.troubles import Troubles
from midirnn.performance import Performance

LIMITS = {
    "gap_seconds": MAX_GAP_SECONDS,
    "notes_per_second": MAX_NOTES_PER_SECOND,
    "loop_seconds": MAX_LOOP_SECONDS,
    "copied_notes": MAX_COPIED_NOTES,
}
"""The limits beyond which a piece falls silent, babbles, loops or copies."""

Passage = tuple[Performance, float]
"""Music, and how many seconds it lasts."""

_SPREADS = (
    *(field.name for field in dataclasses.fields(Troubles)),
    "copied_notes",
    "copied_notes_in_any_key",
)
_QUANTILES = {"median": 0.5, "p90": 0.9, "max": 1.0}


def judge(
    codec: NoteStream,
    samples: Sequence[Performance],
    real: Mapping[str, Sequence[Performance]],
    reference: str,
    training: Sequence[Tokens],
    seconds: float,
) -> dict[str, Any]:
    """Judge samples of ``seconds``, compared with real music; return figures for JSON.

    ``features`` compares the samples, and the other sets of ``real`` pieces, with the set
    ``reference`` of ``real``. ``found`` holds the shares of the samples and of that set that fall
    silent, babble, loop, or copy from ``training``; ``each`` has the figures of each sample.
    """
    pieces = Judge(seconds, [pitches(codec, tokens) for tokens in training])
    judgements = pieces.judge([*samples, *real[reference]])
    of_samples, of_reference = judgements[: len(samples)], judgements[len(samples) :]
    return {
        "training_pieces": len(training),
        "limits": dict(LIMITS),
        "features": compare_sets({"samples": samples, **real}, reference, seconds),
        "found": {"samples": summary(of_samples), reference: summary(of_reference)},
        "each": [judgement.to_dict() for judgement in of_samples],
    }


def summary(judgements: Sequence[PieceJudgement]) -> dict[str, Any]:
    """Return figures of a set of pieces: shares of pieces, and quantiles."""
    rows = [judgement.to_dict() for judgement in judgements]
    return {
        "pieces": len(judgements),
        "share_that_falls_silent": float(np.mean([j.falls_silent for j in judgements])),
        "share_that_babbles": float(np.mean([j.babbles for j in judgements])),
        "share_that_loops": float(np.mean([j.loops for j in judgements])),
        "share_that_copies": float(np.mean([j.copies for j in judgements])),
        **{name: _quantiles([row[name] for row in rows]) for name in _SPREADS},
    }


def _quantiles(values: list[float]) -> dict[str, float]:
    return {name: float(np.quantile(values, share)) for name, share in _QUANTILES.items()}


def compare_sets(
    sets: Mapping[str, Sequence[Performance]],
    reference: str,
    seconds: float,
    features: Sequence[Feature] = FEATURES,
) -> dict[str, dict[str, Any]]:
    """Return each set's mean, deviation and distance from the reference set, by feature.

    All pieces last ``seconds``.
    """
    passages = {name: [(piece, seconds) for piece in pieces] for name, pieces in sets.items()}
    return compare_passages(passages, reference, features)


def compare_passages(
    sets: Mapping[str, Sequence[Passage]], reference: str, features: Sequence[Feature] = FEATURES
) -> dict[str, dict[str, Any]]:
    """Return the same as :func:`compare_sets`, of pieces that each have a length of their own."""
    return {feature.name: _compare(feature, sets, reference) for feature in features}


def _compare(
    feature: Feature, sets: Mapping[str, Sequence[Passage]], reference: str
) -> dict[str, Any]:
    values = {
        name: np.stack([feature.of(piece, seconds) for piece, seconds in passages])
        for name, passages in sets.items()
    }
    described = {name: _describe(feature, array) for name, array in values.items()}
    for name in values.keys() - {reference}:
        described[name] |= dataclasses.asdict(compare(values[name], values[reference]))
    return described


def _describe(feature: Feature, values: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Return the mean of a feature over a set and, except for histograms, the deviation."""
    if feature.is_histogram:
        return {"mean": values.mean(axis=0).tolist()}
    return {"mean": float(values.mean()), "deviation": float(values.std())}


def table(findings: Mapping[str, Any], reference: str) -> list[str]:
    """Return the result of :func:`judge` as a table, with samples next to real music."""
    short = "{:<26}{:>20}{:>20}"
    row = short + "{:>8}" * 4
    near = ("OA", "own OA")
    lines = [
        f"{'':<66}{'samples':>16}{'train':>16}",
        row.format("", "samples", reference, *near * 2),
    ]
    for name, sets in findings["features"].items():
        samples, real, train = sets["samples"], sets[reference], sets["train"]
        areas = [f"{of[key]:.2f}" for of in (samples, train) for key in _AREAS]
        lines.append(row.format(name, _mean(samples), _mean(real), *areas))
    samples, real = findings["found"]["samples"], findings["found"][reference]
    lines += ["", short.format("median, 90 %, largest", "samples", reference)]
    lines += [short.format(n, _spread(samples[n]), _spread(real[n])) for n in _SPREADS]
    lines += ["", short.format("share of pieces", "samples", reference)]
    lines += [
        short.format(words.format(**findings["limits"]), f"{samples[n]:.1%}", f"{real[n]:.1%}")
        for n, words in _SHARES.items()
    ]
    return lines


_AREAS = ("overlapping_area", "own_overlapping_area")
_SHARES = {
    "share_that_falls_silent": "no onset for over {gap_seconds:g} s",
    "share_that_babbles": "over {notes_per_second:g} notes per second",
    "share_that_loops": "a loop of over {loop_seconds:g} s",
    "share_that_copies": "over {copied_notes} notes copied",
}


def _mean(described: Mapping[str, Any]) -> str:
    """Return a mean and a deviation as text; empty for a histogram."""
    if "deviation" not in described:
        return ""
    return f"{described['mean']:.2f} +- {described['deviation']:.2f}"


def _spread(quantiles: Mapping[str, float]) -> str:
    return "  ".join(f"{round(quantiles[name], 3):.3g}" for name in _QUANTILES)
