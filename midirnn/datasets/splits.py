"""The split of each file: by the hash of its bytes, or by a table."""

from __future__ import annotations

import csv
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from midirnn.datasets.sources import SourceFile
from midirnn.errors import DatasetError, OptionError

PATH_COLUMNS = ("path", "midi_filename")
"""Names that a table's path column may have; the second is that of MAESTRO's own table."""

SPLIT_ORDER = ("train", "validation", "test")
"""The order in which splits are listed; others follow by name."""

_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class SplitShares:
    """Splits by the hash of a file's bytes, so that equal files share one.

    Files that are neither for validation nor for testing are for training. The split of a file
    depends neither on its name nor on other files.
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
        place = int(sha256[:13], 16) / 16**13  # 52 bits: exact as a float
        if place < self.test:
            return "test"
        return "validation" if place < self.test + self.validation else "train"

    def settings(self) -> dict[str, object]:
        """Return how the splits were made, for JSON."""
        return {"by": "hash", "validation": self.validation, "test": self.test}


@dataclass(frozen=True)
class SplitTable:
    """Splits from a CSV file with the columns ``path`` and ``split``.

    Paths are relative to the table's folder, or to the folder that is encoded.
    """

    path: Path
    splits: Mapping[str, str]
    """The split of each path, as written in the table."""
    where: tuple[str, ...] = ()
    _keys: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keys = {_key(path): path for path in self.splits}
        object.__setattr__(self, "_keys", keys)

    @classmethod
    def read(cls, path: str | os.PathLike[str], where: Sequence[str] = ()) -> SplitTable:
        """Read a CSV file, of which only rows count for which each ``column=value`` holds.

        Raises :class:`DatasetError` for a table that cannot be read or has no such rows, and
        :class:`OptionError` for a condition on a column that is not there.
        """
        table = Path(path)
        columns, rows = _read_csv(table)
        for condition in where:
            rows = _select(rows, columns, condition, table)
        path_column = next((name for name in PATH_COLUMNS if name in columns), PATH_COLUMNS[0])
        for needed in (path_column, "split"):
            if needed not in columns:
                raise DatasetError(
                    f"{table} has no column {needed!r}; its columns are {', '.join(columns)}"
                )
        if not rows:
            raise DatasetError(f"{table} has no rows")
        return cls(table, _splits_of_rows(rows, path_column, table), tuple(where))

    def find(self, source: SourceFile) -> tuple[str, str] | None:
        """Return a file's path in the table and its split; None if the table does not name it."""
        for path in self._names(source):
            row = self._keys.get(_key(path))
            if row is not None:
                return row, self.splits[row]
        return None

    def _names(self, source: SourceFile) -> list[str]:
        """Return the names that the table may have for a file; links as they are and followed."""
        folder, path, root = self.path.parent, source.path, source.root
        return [
            _relative(path.absolute(), folder.absolute()),
            _relative(path.resolve(), folder.resolve()),
            _relative(path.absolute(), root.absolute()),
        ]

    def settings(self) -> dict[str, object]:
        """Return how the splits were made, for JSON."""
        return {"by": "table", "table": self.path.name, "where": list(self.where)}


def by_split_order(split: str) -> tuple[int, str]:
    """Return a key to sort the names of splits by."""
    return SPLIT_ORDER.index(split) if split in SPLIT_ORDER else len(SPLIT_ORDER), split


def _key(path: str) -> str:
    """Return a path without spellings in which equal paths differ (``./``, composed accents)."""
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
    """Return the rows for which a ``column=value`` holds."""
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


def _splits_of_rows(rows: list[dict[str, str]], path_column: str, table: Path) -> dict[str, str]:
    """Return the split of each path."""
    splits: dict[str, str] = {}
    for row in rows:
        path, split = row[path_column], row["split"]
        if not _SPLIT_NAME.fullmatch(split):
            raise DatasetError(
                f"{table} gives {path!r} the split {split!r}; a split is named by letters, "
                "digits, '_' and '-'"
            )
        if splits.setdefault(path, split) != split:
            raise DatasetError(f"{table} gives {path!r} two splits: {splits[path]} and {split}")
    return splits
