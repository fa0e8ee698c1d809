"""Put a run's best weights into the package: in fp16, with their evaluations.

    python3 scripts/package_weights.py RUN midirnn/pretrained/NAME --evaluations FILE.json ...

The evaluations are the output of midirnn evaluate --json. Those of the likelihood are named after
their split and whether the grammar's mask was on, and after the data set if several have that
split. Of samples, continuations and endings only the summary is kept. DATASET=FILE.json gives the
name of a report's data set, or overrides it. The card (README.md) and the licence next to the
weights are written by hand and are not changed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from midirnn.engines.load import find_model
from midirnn.models.checkpoint import read_checkpoint, write_checkpoint

Report = dict[str, Any]

DATASET = "dataset"

ENDING_FIGURES = ("mean", "deviation", "overlapping_area", "from_reference")
"""The figures that are kept for each feature of endings."""


@dataclass(frozen=True)
class Evaluation:
    """A report from a file: its name, and the part of it that is kept."""

    path: Path
    name: str
    kept: Report

    @property
    def dataset(self) -> str | None:
        """The data set's name; None if the report is from a version that did not write it."""
        return self.kept.get(DATASET)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument(
        "--evaluations", nargs="*", default=[], metavar="[DATASET=]FILE", help="reports in JSON"
    )
    arguments = parser.parse_args()
    checkpoint = read_checkpoint(find_model(arguments.run))
    try:
        evaluations = by_name([read(argument) for argument in arguments.evaluations])
    except ValueError as error:
        parser.error(str(error))
    info = without_folders(checkpoint.info) | {"weights": "float16", "evaluation": evaluations}
    arguments.target.mkdir(parents=True, exist_ok=True)
    write_checkpoint(
        arguments.target,
        checkpoint.config,
        checkpoint.codec,
        checkpoint.weights,
        info,
        dtype=np.float16,
    )
    size = sum(array.size for array in checkpoint.weights.values())
    print(f"{arguments.target}: {size:,} weights, {checkpoint.info.get('tokens_seen', 0):,} tokens")


def read(argument: str) -> Evaluation:
    """Read a report, ``FILE`` or ``DATASET=FILE``. Raises ValueError if it is not a report."""
    dataset, _, file = ("", "", argument) if Path(argument).exists() else argument.rpartition("=")
    path = Path(file)
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error})") from None
    for kind, (name, kept) in KINDS.items():
        if isinstance(report, dict) and kind in report:
            label = {DATASET: dataset} if dataset else {}
            return Evaluation(path, name(report), kept(report) | label)
    raise ValueError(f"{path} is no report of midirnn evaluate --json")


def by_name(evaluations: Sequence[Evaluation]) -> dict[str, Report]:
    """Return the kept part of each evaluation. Raises ValueError if two have the same name.

    A name that several data sets share is extended by the data set: ``validation of jazz``.
    """
    found: dict[str, Report] = {}
    for each in evaluations:
        datasets = {other.dataset for other in evaluations if other.name == each.name}
        if len(datasets) > 1 and each.dataset is None:
            raise ValueError(
                f"{each.path} does not say of which data set it is: write DATASET={each.path}"
            )
        name = f"{each.name} of {each.dataset}" if len(datasets) > 1 else each.name
        if name in found:
            raise ValueError(f"{each.path} is a second evaluation of {name!r}: give one of each")
        found[name] = each.kept
    return found


def of_likelihood(report: Report) -> str:
    """Return the name of a report of the likelihood."""
    return str(report["split"]) + ("" if report["mask"] else " without mask")


def summary(report: Report) -> Report:
    """Return a report without the individual pieces and without the path of the model."""
    return without(report, "model", "each")


def summary_of_continuations(report: Report) -> Report:
    """Return all distances, but the scale and standard errors only for the headline."""
    headline, scale = report["headline"], report["scale"]
    return summary(report) | {
        "scale": {**scale, "mean_between_pieces": scale["mean_between_pieces"][headline]},
        "standard_errors": {who: of[headline] for who, of in report["standard_errors"].items()},
    }


def summary_of_endings(report: Report) -> Report:
    """Return the figures of each feature that ``midirnn evaluate --endings`` prints."""
    features = {
        name: {
            who: {figure: value for figure, value in described.items() if figure in ENDING_FIGURES}
            for who, described in of_feature.items()
        }
        for name, of_feature in report["features"].items()
    }
    return summary(report) | {"features": features}


KINDS: dict[str, tuple[Callable[[Report], str], Callable[[Report], Report]]] = {
    "samples": (lambda _: "samples", summary),
    "continuations": (lambda _: "continuations", summary_of_continuations),
    "endings": (lambda _: "endings", summary_of_endings),
    "nats_per_token": (of_likelihood, lambda report: without(report, "model", "split")),
}
"""The kinds of reports by a key that only they have: their name, and what is kept."""


def without_folders(info: dict[str, Any]) -> dict[str, Any]:
    """Return the information on a training run, with only the name of the run it started from."""
    origin = info.get("started_from")
    if origin is None or not Path(origin["model"]).is_absolute():
        return info
    return info | {"started_from": origin | {"model": Path(origin["model"]).name}}


def without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


if __name__ == "__main__":
    main()
