"""Several data sets in one training run, mixed by weight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.codecs import Tokens
from midirnn.datasets.draws import lengths_of
from midirnn.datasets.remote import is_url
from midirnn.datasets.store import Dataset
from midirnn.errors import DatasetError, OptionError


@dataclass(frozen=True)
class Source:
    """A data set to train on. Its pieces may be in memory or on disk.

    Its share of the training is proportional to ``weight * tokens``. With weights of 1 every token
    is as likely to be read as any other, whatever its data set.
    """

    name: str
    train: Sequence[Tokens]
    validation: Sequence[Tokens] = ()
    weight: float = 1.0

    @property
    def tokens(self) -> int:
        """The number of tokens to train on."""
        return int(lengths_of(self.train).sum())


def shares_of(sources: Sequence[Source]) -> list[float]:
    """Return the share of each source in the training; they sum to 1."""
    parts = [source.weight * source.tokens for source in sources]
    return [part / sum(parts) for part in parts]


def chances_of(sources: Sequence[Source]) -> npt.NDArray[np.float64]:
    """Return the relative probability of each piece, those of all sources in a row."""
    return np.concatenate([source.weight * lengths_of(source.train) for source in sources])


class JoinedPieces(Sequence[Tokens]):
    """The pieces of several sequences, one after another; each is read when it is needed."""

    def __init__(self, parts: Sequence[Sequence[Tokens]]) -> None:
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        number = int(np.searchsorted(self._ends, index, side="right"))
        part = self._parts[number]
        return part[index - int(self._ends[number]) + len(part)]


def parse_weight(text: str) -> tuple[Path | str, float]:
    """Return the folder or URL, and the weight, of ``FOLDER`` or ``FOLDER:WEIGHT``.

    Raises :class:`OptionError` for a weight that is not above 0.
    """
    folder, colon, number = text.rpartition(":")
    whole: Path | str = text if is_url(text) else Path(text)
    if not (colon and folder) or Path(text).exists():
        return whole, 1.0
    try:
        weight = float(number)
    except ValueError:
        return whole, 1.0
    if not 0 < weight < math.inf:  # also refuses NaN
        raise OptionError(
            f"the weight of {folder} is {number}; it must be above 0: leave out a data set that is "
            "not to be read"
        )
    return folder if is_url(folder) else Path(folder), weight


@dataclass(frozen=True)
class Mixture:
    """Data sets to train on together, each with a name and a weight; all have the same codec."""

    datasets: Sequence[Dataset]
    names: Sequence[str]
    weights: Sequence[float]

    @classmethod
    def open(cls, texts: Sequence[str]) -> Mixture:
        """Open data sets given as ``FOLDER`` or ``FOLDER:WEIGHT``.

        Raises :class:`DatasetError` for one that is missing, damaged or without a train split, or
        whose codec is not that of the first, and :class:`OptionError` for one given twice.
        """
        folders, weights = zip(*map(parse_weight, texts), strict=True)
        _refuse_twice(folders)
        datasets = [Dataset.open(folder) for folder in folders]
        for dataset in datasets:
            dataset.files("train")
            _refuse_other_codec(dataset, datasets[0])
        names = [dataset.name for dataset in datasets]
        if len(set(names)) < len(names):
            names = [str(folder) for folder in folders]
        return cls(datasets, names, weights)

    def sources(self) -> list[Source]:
        """Return the sources to train on; pieces are read from disk when they are needed."""
        return [
            Source(
                name,
                dataset.stored_pieces("train"),
                dataset.stored_pieces("validation") if "validation" in dataset.splits else (),
                weight,
            )
            for name, dataset, weight in zip(self.names, self.datasets, self.weights, strict=True)
        ]


def _refuse_twice(folders: Sequence[Path | str]) -> None:
    seen: set[Path | str] = set()
    for folder in folders:
        place = folder if isinstance(folder, str) else folder.resolve()
        if place in seen:
            raise OptionError(
                f"the data set {folder} is given twice; give it once, with a weight: {folder}:2"
            )
        seen.add(place)


def _refuse_other_codec(dataset: Dataset, first: Dataset) -> None:
    theirs, ours = dataset.codec.settings(), first.codec.settings()
    for name in sorted(theirs.keys() | ours.keys()):
        if theirs.get(name) != ours.get(name):
            raise DatasetError(
                f"{dataset.path} was encoded with {name} = {theirs.get(name)!r}, and {first.path} "
                f"with {ours.get(name)!r}: encode all data sets with the same options"
            )
