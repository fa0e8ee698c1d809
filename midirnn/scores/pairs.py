"""Scores with their performances, as arrays for training and evaluation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.arrays import IntArray
from midirnn.errors import DatasetError
from midirnn.files import one_line_errors, reason_of, replacing_file
from midirnn.scores.expression import Expression
from midirnn.scores.quantities import QUANTITIES
from midirnn.scores.score import Score
from midirnn.scores.traits import TRAITS, traits_of

SPLITS = ("train", "validation", "test")

_VERSION = 1


@dataclass(frozen=True, eq=False)
class Pair:
    """A score with one performance of it, in order of the score's notes.

    ``traits`` (N, F) is what a network reads of the score. ``values`` (N, Q) is how each note was
    played: a column for each of :data:`QUANTITIES`, NaN if unknown. ``begins`` (N,) is true for the
    first note of each chord, which has the values of its chord.
    """

    name: str
    title: str
    split: str
    traits: npt.NDArray[np.float16]
    values: npt.NDArray[np.float32]
    begins: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.traits)

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """Return a quantity's values; one of a chord is NaN except at the chord's first note."""
        index = [quantity.name for quantity in QUANTITIES].index(name)
        values = self.values[:, index].astype(np.float64)
        return np.where(self.begins, values, np.nan) if QUANTITIES[index].of_chord else values

    def classes(self) -> IntArray:
        """Return the class of each value, -1 if unknown or not at the chord's first note."""
        columns = [quantity.classes(self.column(quantity.name)) for quantity in QUANTITIES]
        return np.stack(columns, axis=1)


def make_pair(score: Score, expression: Expression, name: str, title: str, split: str) -> Pair:
    """Return the pair of a score and a measured expression."""
    columns = [
        getattr(expression, q.name)[score.chord] if q.of_chord else getattr(expression, q.name)
        for q in QUANTITIES
    ]
    return Pair(
        name=name,
        title=title,
        split=split,
        traits=traits_of(score).astype(np.float16),
        values=np.stack(columns, axis=1).astype(np.float32),
        begins=np.diff(score.chord, prepend=-1) > 0,
    )


def save_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Write pairs to a file (numpy's .npz) atomically."""
    pairs = list(pairs)
    with one_line_errors(path, DatasetError), replacing_file(path) as file:
        np.savez_compressed(file, **_content(pairs))  # type: ignore[arg-type]


def _content(pairs: list[Pair]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a file: the notes of all pairs, concatenated."""
    content: dict[str, Any] = {
        "version": _VERSION,
        "trait_names": list(TRAITS),
        "quantities": [quantity.name for quantity in QUANTITIES],
        "sizes": [len(pair) for pair in pairs],
    }
    content |= {f"{key}s": [getattr(pair, key) for pair in pairs] for key in _WORDS}
    content |= {key: np.concatenate([getattr(pair, key) for pair in pairs]) for key in _ARRAYS}
    return {name: np.asarray(value) for name, value in content.items()}


_WORDS = ("name", "title", "split")
_ARRAYS = ("traits", "values", "begins")


def load_pairs(path: Path) -> list[Pair]:
    """Read pairs. Raises :class:`DatasetError` for a file that does not hold such pairs."""
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
        current = (
            int(content["version"]) == _VERSION
            and content["trait_names"].tolist() == list(TRAITS)
            and content["quantities"].tolist() == [quantity.name for quantity in QUANTITIES]
        )
    except Exception as error:  # numpy and zipfile raise many kinds
        raise DatasetError(
            f"{path} holds no scores with performances ({reason_of(error)})"
        ) from None
    if not current:
        raise DatasetError(f"{path} was made by another version of midirnn: make it again")
    edges = np.cumsum(content["sizes"])[:-1]
    rows = zip(
        *(content[f"{key}s"].tolist() for key in _WORDS),
        *(np.split(content[key], edges) for key in _ARRAYS),
        strict=True,
    )
    return [Pair(*row) for row in rows]
