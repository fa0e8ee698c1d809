"""The part of ``midirnn evaluate`` that compares how pieces end."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from midirnn.cli.progress import counted_bar
from midirnn.errors import OptionError
from midirnn.sampling.filters import SamplingConfig

if TYPE_CHECKING:
    from midirnn.datasets import Dataset
    from midirnn.engines.load import Model

PRIMER_SECONDS = (20.0, 40.0)
"""The passage of each performance that is continued."""

NEW_SECONDS = 20.0
"""The length of the new music after it, which is brought to an end."""

MOST_REAL = 256


def evaluate_endings(
    model: Model,
    dataset: Dataset,
    split: str,
    *,
    count: int,
    seed: int,
    engine: str,
    workers: int,
    sampling: SamplingConfig,
    json_output: bool,
) -> None:
    """Print how pieces of the model end, compared with those of a split."""
    from midirnn.codecs import NoteStream, require
    from midirnn.datasets.draws import evenly
    from midirnn.judging.endings import compare_endings
    from midirnn.sampling.many import continue_many
    from midirnn.sampling.requests import Request

    codec = require(dataset.codec, NoteStream, "--endings")
    real = [codec.decode(piece) for piece in evenly(dataset.pieces(split), MOST_REAL)]
    long = [piece for piece in real if piece.duration > PRIMER_SECONDS[1]]
    if len(long) < 4:
        raise OptionError(
            f"{len(long)} {split} performances last over {PRIMER_SECONDS[1]:g} s; at least 4 must"
        )
    primers = [piece.slice(*PRIMER_SECONDS) for piece in evenly(long, min(count, len(long)))]
    drawn = continue_many(
        model,
        primers,
        request=Request(NEW_SECONDS, sampling, end=True),
        seeds=range(seed, seed + len(primers)),
        engine=engine,
        workers=workers,
    )
    made = [piece.performance for piece in counted_bar("ending", drawn, len(primers))]
    sets = {"model": made, "real": real[::2], "other real": real[1::2]}
    report = {
        "model": model.name,
        "dataset": dataset.name,
        "split": split,
        "endings": len(made),
        "seed": seed,
        "engine": engine,
        "sampling": dataclasses.asdict(sampling),
        "features": compare_endings(sets, "real"),
    }
    print(json.dumps(report, indent=2) if json_output else _table(report))


def _table(report: Mapping[str, Any]) -> str:
    """Return the figures as a table; the columns on the right compare real with real."""
    row = "{:<22}{:>18}{:>18}{:>10}{:>14}"
    lines = [
        f"{report['model']}: {report['endings']} endings beside those of the split "
        f"{report['split']}, the last 10 s of each",
        row.format("", "model", "real", "overlap", "real and real"),
    ]
    for name, sets in report["features"].items():
        shown = [_shown(sets[each]) for each in ("model", "real")]
        areas = [f"{sets[each]['overlapping_area']:.2f}" for each in ("model", "other real")]
        lines.append(row.format(name.replace("_", " "), *shown, *areas))
    return "\n".join(lines)


def _shown(described: Mapping[str, Any]) -> str:
    """Return a mean and a deviation, or how far a histogram's mean is from the real one."""
    if "deviation" in described:
        return f"{described['mean']:.2f} +- {described['deviation']:.2f}"
    return f"{described['from_reference']:.2f} from real"
