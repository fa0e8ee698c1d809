"""A data set on disk: Parquet files for each split, with a row per piece, and ``dataset.json``."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from midirnn.codecs import Codec, CorpusCodec, Tokens, codec_from_settings
from midirnn.datasets.remote import AnyFile, RemoteFile, file_in, is_url
from midirnn.datasets.splits import usual_name
from midirnn.errors import CodecError, DatasetError
from midirnn.files import reason_of

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

FORMAT_VERSION = 1
MANIFEST = "dataset.json"

CACHED_TOKENS = 64_000_000
"""Tokens that :class:`StoredPieces` keeps in memory: 128 MB, more than most data sets have."""

_METADATA_COLUMNS = ["path", "split", "duration", "notes", "sha256"]
_ENCODE_AGAIN = "make the data set again with: midirnn encode --overwrite"


@dataclass(frozen=True)
class SplitCounts:
    """The size of a split. Notes and hours are those of the files; 0 if pieces have no notes."""

    files: int = 0
    tokens: int = 0
    notes: int = 0
    hours: float = 0.0


def schema() -> pa.Schema:
    """Return the columns of a split's file.

    ``duration`` is in seconds, ``sha256`` that of the file or passage, ``length`` in tokens.
    """
    import pyarrow as pa

    return pa.schema(
        [
            ("tokens", pa.list_(pa.uint16())),
            ("path", pa.string()),
            ("split", pa.string()),
            ("duration", pa.float64()),
            ("notes", pa.int32()),
            ("sha256", pa.string()),
            ("length", pa.int32()),
        ]
    )


def _known_schemas() -> list[pa.Schema]:
    """Return the schemas that a split's file may have: old files have no ``length``."""
    return [schema(), schema().remove(schema().get_field_index("length"))]


@dataclass(frozen=True)
class Dataset:
    """An encoded data set. Tokens are read when they are needed."""

    path: Path | str
    """Its folder, or the folder's URL."""
    codec: Codec[Any]
    counts: Mapping[str, SplitCounts]
    manifest: Mapping[str, Any]
    """The contents of ``dataset.json``."""

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Dataset:
        """Open the data set in a folder, or at a URL that fsspec opens.

        Raises :class:`DatasetError` if it is missing or damaged.
        """
        folder = os.fspath(path) if is_url(path) else Path(path)
        manifest = _read_manifest(folder)
        try:
            stored = {_usual(name, manifest): count for name, count in manifest["splits"].items()}
            counts = {name: SplitCounts(**count) for name, count in stored.items()}
            codec = codec_from_settings(manifest["codec"])
            for name in manifest["splits"]:
                part_names(name, manifest.get("parts", {}).get(name, 1))
        except (AttributeError, KeyError, TypeError) as error:
            raise _damaged(file_in(folder, MANIFEST), f"{error} is missing or wrong") from None
        except CodecError as error:
            raise DatasetError(f"{file_in(folder, MANIFEST)}: {error}") from None
        dataset = cls(folder, codec, counts, manifest)
        for file in (file for split in counts for file in dataset.files(split)):
            try:
                is_there = file.is_file()
            except OSError as error:
                raise DatasetError(f"{file} cannot be read ({reason_of(error)})") from None
            if not is_there:
                raise DatasetError(f"{file} is missing; {_ENCODE_AGAIN}")
        return dataset

    @property
    def name(self) -> str:
        """The last part of its path."""
        if isinstance(self.path, str):
            return self.path.rstrip("/").rpartition("/")[2]
        return self.path.resolve().name

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(self.counts)

    def file(self, split: str) -> AnyFile:
        """Return the Parquet file of a split. Raises :class:`DatasetError` if it has several."""
        first, *others = self.files(split)
        if others:
            raise DatasetError(f"{self.path} has {1 + len(others)} files of {split}; use files()")
        return first

    def files(self, split: str) -> list[AnyFile]:
        """Return the Parquet files of a split, in order."""
        named = _usual(split, self.manifest)
        if named not in self.counts:
            raise DatasetError(
                f"{self.path} has no split {split!r}; it has {', '.join(self.splits)}. "
                + _how_to_get(named, self)
            )
        stored = next(
            name for name in self.manifest["splits"] if _usual(name, self.manifest) == named
        )
        names = part_names(stored, self.manifest.get("parts", {}).get(stored, 1))
        return [file_in(self.path, name) for name in names]

    def pieces(self, split: str) -> list[Tokens]:
        """Read the tokens of each piece: read-only views of one array."""
        files = self.files(split)
        count = self.counts[_usual(split, self.manifest)]
        tokens = np.empty(count.tokens, np.uint16)
        ends: list[int] = []
        for values, lengths in (each for file in files for each in _row_groups(file)):
            begin = ends[-1] if ends else 0
            ends += (begin + np.cumsum(lengths)).tolist()
            if ends[-1] > len(tokens):
                break
            tokens[begin : ends[-1]] = values
        if ends[-1:] != [len(tokens)] or len(ends) != count.files:
            raise _not_what_is_named(files[0], len(tokens))
        _check_vocabulary(files[0], tokens, self.codec.vocab_size)
        tokens.flags.writeable = False
        return np.split(tokens, ends[:-1])

    def stored_pieces(self, split: str, cached_tokens: int = CACHED_TOKENS) -> StoredPieces:
        """Return the same pieces, each read when needed: for splits larger than memory."""
        pieces = StoredPieces(self.files(split), self.codec.vocab_size, cached_tokens)
        count = self.counts[_usual(split, self.manifest)]
        if (len(pieces), int(pieces.lengths.sum())) != (count.files, count.tokens):
            raise _not_what_is_named(self.files(split)[0], count.tokens)
        return pieces

    def rows(self, split: str) -> list[dict[str, Any]]:
        """Return the path, split, duration (seconds), notes and sha256 of each piece."""
        rows: list[dict[str, Any]] = []
        for file in self.files(split):
            with _reading(file) as parquet:
                rows += parquet.read(columns=_METADATA_COLUMNS).to_pylist()
        return rows


class StoredPieces(Sequence[Tokens]):
    """The pieces of a split, each read with its row group when it is needed.

    Owns the open files and the row groups read last, about ``cached_tokens`` tokens. Only the
    lengths of all other pieces are in memory.
    """

    def __init__(
        self, files: Sequence[AnyFile], vocab_size: int, cached_tokens: int = CACHED_TOKENS
    ) -> None:
        self.files = files
        self.vocab_size = vocab_size
        self.cached_tokens = cached_tokens
        self._groups: OrderedDict[int, tuple[Tokens, npt.NDArray[np.int64]]] = OrderedDict()
        self._parquets = [_open(file) for file in files]
        self._places: list[tuple[int, int]] = []
        """For each row group, the number of its file and its own number in that file."""
        rows: list[int] = []
        lengths = [np.zeros(0, np.int64)]
        for number, (file, parquet) in enumerate(zip(files, self._parquets, strict=True)):
            with _one_line_errors(file):
                metadata = parquet.metadata
                groups = range(metadata.num_row_groups)
                self._places += [(number, group) for group in groups]
                rows += [metadata.row_group(group).num_rows for group in groups]
                lengths.append(_lengths(parquet))
        self.lengths = np.concatenate(lengths)
        self._first_rows = np.cumsum([0, *rows])

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Tokens: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tokens]: ...
    def __getitem__(self, index: int | slice) -> Tokens | list[Tokens]:
        """Return the tokens of a piece: a copy, which keeps no row group in memory."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        group = int(np.searchsorted(self._first_rows, index, side="right")) - 1
        tokens, offsets = self._group(group)
        row = index - int(self._first_rows[group])
        return tokens[offsets[row] : offsets[row + 1]].copy()

    def _group(self, group: int) -> tuple[Tokens, npt.NDArray[np.int64]]:
        """Return a row group's tokens, joined, and where its rows begin and end."""
        if group not in self._groups:
            self._groups[group] = self._read(group)
            while len(self._groups) > 1 and self._kept() > self.cached_tokens:
                self._groups.popitem(last=False)
        self._groups.move_to_end(group)
        return self._groups[group]

    def _kept(self) -> int:
        return sum(len(tokens) for tokens, _ in self._groups.values())

    def _read(self, group: int) -> tuple[Tokens, npt.NDArray[np.int64]]:
        number, group_of_file = self._places[group]
        file = self.files[number]
        with _one_line_errors(file):
            values, lengths = _token_lists(self._parquets[number], group_of_file)
        rows = slice(self._first_rows[group], self._first_rows[group + 1])
        if not np.array_equal(lengths, self.lengths[rows]):
            raise _damaged(file, f"the lengths of row group {group_of_file} are wrong")
        _check_vocabulary(file, values, self.vocab_size)
        return values, np.cumsum([0, *lengths])


def _lengths(parquet: pq.ParquetFile) -> npt.NDArray[np.int64]:
    """Return the number of tokens of each row, counted if the file has no such column."""
    if "length" in parquet.schema_arrow.names:
        column = parquet.read(columns=["length"]).column(0)
        return column.to_numpy().astype(np.int64)  # type: ignore[no-any-return]
    groups = range(parquet.num_row_groups)
    return np.concatenate(
        [np.zeros(0, np.int64), *(_token_lists(parquet, group)[1] for group in groups)]
    )


def part_names(split: str, parts: int) -> list[str]:
    """Return the names of a split's files, numbered if there are several."""
    if parts == 1:
        return [f"{split}.parquet"]
    return [f"{split}-{part:05d}-of-{parts:05d}.parquet" for part in range(parts)]


def _usual(split: str, manifest: Mapping[str, Any]) -> str:
    """Return the usual name of a split, unless the data set has another split of that name."""
    usual = usual_name(split)
    return split if split in manifest["splits"] and usual in manifest["splits"] else usual


def _how_to_get(split: str, dataset: Dataset) -> str:
    """Return advice on what to do if a split is missing."""
    use = f"Use --split {' or '.join(dataset.splits)}"
    files = sum(count.files for count in dataset.counts.values())
    if files < 2 and not isinstance(dataset.codec, CorpusCodec):
        return f"{use}, or encode more pieces: a single one cannot be divided"
    share = f" --{split}-share 0.2" if split in ("validation", "test") else ""
    return f"{use}, or {_ENCODE_AGAIN}{share}"


def _read_manifest(folder: Path | str) -> dict[str, Any]:
    """Read ``dataset.json`` and check its format."""
    path: object = folder
    try:
        path = file = file_in(folder, MANIFEST)
        manifest = json.loads(file.read_bytes().decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        is_there = is_url(folder) or Path(folder).exists()
        what = "is not a data set (it holds no dataset.json)" if is_there else "does not exist"
        raise DatasetError(f"{folder} {what}; make one with: midirnn encode") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({reason_of(error)})") from None
    except ValueError as error:
        raise _damaged(path, str(error)) from None
    version = manifest.get("format_version") if isinstance(manifest, dict) else None
    if version != FORMAT_VERSION:
        raise DatasetError(
            f"{path} has format version {version}; this midirnn reads {FORMAT_VERSION}; "
            f"{_ENCODE_AGAIN}"
        )
    assert isinstance(manifest, dict)
    return manifest


def _damaged(path: object, reason: str) -> DatasetError:
    return DatasetError(f"{path} is damaged ({reason}); {_ENCODE_AGAIN}")


def _not_what_is_named(path: AnyFile, tokens: int) -> DatasetError:
    return _damaged(path, f"it does not hold the {tokens} tokens that {MANIFEST} says")


def _check_vocabulary(path: AnyFile, tokens: Tokens, vocab_size: int) -> None:
    if tokens.max(initial=0) >= vocab_size:
        raise _damaged(path, f"token {tokens.max()} is not in the vocabulary")


@contextmanager
def _one_line_errors(path: AnyFile) -> Iterator[None]:
    """Raise Arrow's errors about a file as :class:`DatasetError`."""
    import pyarrow as pa

    try:
        yield
    except MemoryError:  # Arrow raises it too; the file is not to blame
        raise
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, reason_of(error)) from None


def _open(path: AnyFile) -> pq.ParquetFile:
    """Open a split's file. Raises :class:`DatasetError` if it is damaged."""
    import pyarrow.parquet as pq

    with _one_line_errors(path):
        source = path.open() if isinstance(path, RemoteFile) else path
        file = pq.ParquetFile(source, page_checksum_verification=True)
    if not any(file.schema_arrow.equals(known) for known in _known_schemas()):
        file.close()
        raise _damaged(path, "its columns are not those of a data set")
    return file


@contextmanager
def _reading(path: AnyFile) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file, and raise its errors as :class:`DatasetError`."""
    with _one_line_errors(path), _open(path) as file:
        yield file


def _row_groups(path: AnyFile) -> Iterator[tuple[Tokens, npt.NDArray[np.int64]]]:
    """Yield the tokens of each row group of a file, joined, and the lengths of its rows."""
    with _reading(path) as parquet:
        for group in range(parquet.num_row_groups):
            yield _token_lists(parquet, group)


def _token_lists(parquet: pq.ParquetFile, group: int) -> tuple[Tokens, npt.NDArray[np.int64]]:
    """Return the tokens of a row group, joined, and the lengths of its rows."""
    rows = parquet.read_row_group(group, columns=["tokens"]).column(0).combine_chunks()
    return rows.flatten().to_numpy(), np.diff(rows.offsets.to_numpy()).astype(np.int64)
