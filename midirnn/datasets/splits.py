"""The split of each file: by the hash of its bytes, or by a table."""

from __future__ import annotations

import csv
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from midirnn.datasets.remote import RemoteFile
from midirnn.datasets.sources import SourceFile, below, display_path
from midirnn.errors import DatasetError, OptionError

PATH_COLUMNS = ("path", "midi_filename")
"""Names that a table's path column may have; the second is that of MAESTRO's own table."""

SPLIT_ORDER = ("train", "validation", "test")
"""The order in which splits are listed; others follow by name."""

SYNONYMS = {
    **dict.fromkeys(("val", "valid", "dev", "development"), "validation"),
    **dict.fromkeys(("training",), "train"),
    **dict.fromkeys(("testing",), "test"),
}
"""Other names of the usual splits. Case does not matter."""

MOST_BALANCED = 256
"""With up to this many files, it is ensured that each share above 0 gets at least one."""

_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class SplitShares:
    """Splits by the hash of a file's bytes, so that equal files share one.

    Files that are neither for validation nor for testing are for training. The split of a file does
    not depend on its name. It depends on other files only where these are so few that a split would
    stay empty: that split is then given one.
    """

    validation: float = 0.05
    test: float = 0.05

    def __post_init__(self) -> None:
        for name, share in (("validation", self.validation), ("test", self.test)):
            if not 0.0 <= share < 1.0:
                raise OptionError(f"the {name} share is {share}; allowed are 0 to below 1")
        if self.validation + self.test >= 1.0:
            raise OptionError(
                f"a validation share of {self.validation} and a test share of {self.test} leave "
                "nothing for training; together they must be below 1"
            )

    def split_of(self, sha256: str) -> str:
        """Return the split of the file whose bytes have this SHA-256 (in hexadecimal)."""
        place = _place(sha256)
        if place < self.test:
            return "test"
        return "validation" if place < self.test + self.validation else "train"

    def split_few(self, hashes: Sequence[str]) -> dict[str, str]:
        """Return the split of each hash; with up to :data:`MOST_BALANCED`, no split stays empty.

        If there are enough files, an empty split with a share above 0 gets the one with the lowest
        hash that its own split can spare.
        """
        few = sorted(set(hashes), key=_place)
        splits = {sha256: self.split_of(sha256) for sha256 in few}
        shares = {"test": self.test, "validation": self.validation, "train": 1.0}
        needed = [name for name, share in shares.items() if share]
        if not len(needed) <= len(few) <= MOST_BALANCED:
            return splits
        for name in needed:
            if name not in splits.values():
                counts = Counter(splits.values())
                spare = next(sha256 for sha256 in few if counts[splits[sha256]] > 1)
                splits[spare] = name
        return splits

    def settings(self) -> dict[str, object]:
        """Return how the splits were made, for JSON."""
        return {"by": "hash", "validation": self.validation, "test": self.test}


@dataclass(frozen=True)
class SplitTable:
    """Splits from a CSV file with the columns ``path`` and ``split``.

    Paths are relative to the table's folder, or to the folder that is encoded. Names such as
    ``val`` and ``valid`` are understood; see :data:`SYNONYMS`.
    """

    path: Path
    splits: Mapping[str, str]
    """The split of each path, as written in the table."""
    where: tuple[str, ...] = ()
    _keys: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keys: dict[str, str] = {}
        for path, split in self.splits.items():
            first = keys.setdefault(_key(path), path)
            if self.splits[first] != split:
                raise self._two_splits(path, first)
        object.__setattr__(self, "_keys", keys)

    def _two_splits(self, path: str, other: str) -> DatasetError:
        return DatasetError(
            f"{self.path} gives one file two splits: {other!r} is {self.splits[other]} and "
            f"{path!r} is {self.splits[path]}"
        )

    @classmethod
    def read(
        cls, path: str | os.PathLike[str], where: Sequence[str] = (), column: str = "split"
    ) -> SplitTable:
        """Read a CSV file, using only the rows that meet each condition ``column=value``.

        Splits are in ``column``.

        Raises :class:`DatasetError` for a table that cannot be read or has no such rows, and
        :class:`OptionError` for a condition on a missing column.
        """
        table = Path(path)
        columns, rows = _read_csv(table)
        for condition in where:
            rows = _select(rows, columns, condition, table)
        path_column = next((name for name in PATH_COLUMNS if name in columns), PATH_COLUMNS[0])
        for needed in (path_column, column):
            if needed not in columns:
                raise DatasetError(
                    f"{table} has no column {needed!r}; its columns are {', '.join(columns)}"
                )
        if not rows:
            raise DatasetError(f"{table} has no rows")
        splits = _splits_of_rows(rows, path_column, column, table)
        return cls(table, splits, tuple(where))

    def find(self, source: SourceFile) -> tuple[str, str] | None:
        """Return a file's path in the table and its split; None if the table does not name it.

        Raises :class:`DatasetError` if two rows name the file and give it different splits.
        """
        rows = self._rows(self._names(source)) or self._rows(self._names_of_several(source))
        for row in rows:
            if self.splits[row] != self.splits[rows[0]]:
                raise self._two_splits(row, rows[0])
        return (rows[0], self.splits[rows[0]]) if rows else None

    def _rows(self, names: Sequence[str]) -> list[str]:
        """Return the paths in the table that equal one of the names."""
        return [self._keys[key] for key in map(_key, names) if key in self._keys]

    def _names(self, source: SourceFile) -> list[str]:
        """Return the names that the table may use for a file, with links followed and not.

        An archive often has all its files in one folder, which the table then leaves out. In a
        table of ``midirnn clean`` bytes that are not UTF-8 are written out.
        """
        if isinstance(source.path, RemoteFile):
            return [source.inside, source.inside.partition("/")[2] or source.inside]
        folder, path, root = self.path.parent, source.path, source.root
        names = [
            _relative(path.absolute(), folder.absolute()),
            _relative(path.resolve(), folder.resolve()),
            _relative(path.absolute(), root.absolute()),
        ]
        return [*names, *(display_path(Path(name)) for name in names)]

    def _names_of_several(self, source: SourceFile) -> list[str]:
        """Return the name of a file that is of one of several sources; see ``named_jobs``."""
        return [f"{source.root.name}/{below(source)}"]

    def settings(self) -> dict[str, object]:
        """Return how the splits were made, for JSON."""
        return {"by": "table", "table": self.path.name, "where": list(self.where)}


def _place(sha256: str) -> float:
    """Return a hash as a number from 0 to 1."""
    return int(sha256[:13], 16) / 16**13  # 52 bits: exact as a float


def usual_name(split: str) -> str:
    """Return the usual name of a split: ``validation`` for ``val``; others are unchanged."""
    lower = split.lower()
    return SYNONYMS.get(lower, lower if lower in SPLIT_ORDER else split)


def by_split_order(split: str) -> tuple[int, str]:
    """Return a key to sort the names of splits by."""
    return SPLIT_ORDER.index(split) if split in SPLIT_ORDER else len(SPLIT_ORDER), split


def _key(path: str) -> str:
    """Return a path in a normal form, so that equal paths compare equal (``./``, accents)."""
    return unicodedata.normalize("NFC", os.path.normpath(path).replace(os.sep, "/"))


def _relative(path: Path, folder: Path) -> str:
    try:
        return os.path.relpath(path, folder)
    except ValueError:  # another drive
        return str(path)


def _read_csv(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and rows of a CSV file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            rows = list(reader)
            return list(reader.fieldnames or ()), rows
    except FileNotFoundError:
        raise DatasetError(f"{path}: there is no such table of splits") from None
    except UnicodeDecodeError:
        raise DatasetError(f"{path} is not a CSV file in UTF-8") from None
    except (OSError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read as a table of splits ({error})") from None


def _select(
    rows: list[dict[str, str]], columns: list[str], condition: str, table: Path
) -> list[dict[str, str]]:
    """Return the rows that meet a condition ``column=value``."""
    column, equals, value = condition.partition("=")
    if not equals:
        raise OptionError(f"{condition!r} is not a condition; write column=value")
    if column not in columns:
        raise OptionError(f"{table} has no column {column!r}; its columns are {', '.join(columns)}")
    selected = [row for row in rows if row[column] == value]
    if not selected:
        found = sorted({row[column] for row in rows})
        some = ", ".join(map(repr, found[:8])) + (" ..." if len(found) > 8 else "")
        raise DatasetError(f"no row of {table} has {column}={value}; {column} there is {some}")
    return selected


def _splits_of_rows(
    rows: list[dict[str, str]], path_column: str, column: str, table: Path
) -> dict[str, str]:
    """Return the split of each path."""
    splits: dict[str, str] = {}
    for row in rows:
        path, split = row[path_column], row[column]
        if not _SPLIT_NAME.fullmatch(split):
            raise DatasetError(
                f"{table} gives {path!r} the split {split!r}; a split is named by letters, "
                "digits, '_' and '-'"
            )
        split = usual_name(split)
        if splits.setdefault(path, split) != split:
            raise DatasetError(f"{table} gives {path!r} two splits: {splits[path]} and {split}")
    return splits
