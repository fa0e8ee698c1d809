"""Curves over time: straight lines between points, from CSV or TOML."""

from __future__ import annotations

import csv
import math
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from midirnn.errors import OptionError
from midirnn.files import one_line_errors

CURVES = {"notes_per_second": 127.0, "least_notes_per_second": 30.0, "loudness": 127.0}
"""The curves that there are, and the greatest value of each."""

TIME = "seconds"


@dataclass(frozen=True)
class Curve:
    """Straight lines between points (seconds, value); before the first and after the last, level.

    Raises :class:`OptionError` for times that do not increase, and values below 0.
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        times = [seconds for seconds, _ in self.points]
        if not self.points or any(b <= a for a, b in pairwise(times)):
            raise OptionError(f"the times of a curve are {times}; they must increase")
        for seconds, value in self.points:
            if not (0.0 <= seconds < math.inf and 0.0 <= value < math.inf):
                raise OptionError(
                    f"a curve has {value:g} at {seconds:g} s; allowed are numbers from 0 on"
                )

    def at(self, seconds: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the values at some times."""
        times, values = zip(*self.points, strict=True)
        found: npt.NDArray[np.float64] = np.interp(np.asarray(seconds, np.float64), times, values)
        return found


def read_curves(path: Path) -> dict[str, Curve]:
    """Read curves, by the names of :data:`CURVES`.

    A CSV file has a column ``seconds`` and one for each curve, where a cell may be empty; in a TOML
    file each curve is a list of [seconds, value]. Raises :class:`OptionError` for anything else.
    """
    readers = {".csv": _csv_points, ".toml": _toml_points}
    if path.suffix.lower() not in readers:
        raise OptionError(f"{path}: curves are read from .csv and .toml")
    try:
        with one_line_errors(path, OptionError, "cannot be read"):
            text = path.read_text(encoding="utf-8-sig")
        found = readers[path.suffix.lower()](text)
        unknown = sorted(found.keys() - CURVES.keys())
        if unknown or not found:
            what = repr(unknown[0]) if unknown else "no curve"
            raise OptionError(f"it holds {what}; the curves are {', '.join(CURVES)}")
        curves = {name: Curve(tuple(points)) for name, points in found.items()}
        for name, curve in curves.items():
            if (most := max(value for _, value in curve.points)) > CURVES[name]:
                raise OptionError(f"{name} is {most:g}; allowed are 0 to {CURVES[name]:g}")
        return curves
    except (ValueError, TypeError, csv.Error) as error:
        raise OptionError(f"{path}: it holds no curves ({error})") from error
    except OptionError as error:
        raise OptionError(str(error) if str(path) in str(error) else f"{path}: {error}") from error


def _csv_points(text: str) -> dict[str, list[tuple[float, float]]]:
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    names = [name for name in rows.fieldnames or [] if name]
    if TIME not in names:
        raise ValueError(f"there is no column {TIME!r}")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names if name != TIME}
    for row in rows:
        for name, points in found.items():
            if row[name]:
                points.append((float(row[TIME]), float(row[name])))
    return found


def _toml_points(text: str) -> dict[str, list[tuple[float, float]]]:
    return {
        name: [(float(seconds), float(value)) for seconds, value in points]
        for name, points in tomllib.loads(text).items()
    }
