"""A data set on disk: one Parquet file a split, one row a performance, and ``dataset.json``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from midirnn.codecs import PerformanceCodec, Tokens, codec_from_settings
from midirnn.errors import CodecError, DatasetError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

FORMAT_VERSION = 1
MANIFEST = "dataset.json"

_METADATA_COLUMNS = ["path", "split", "duration", "notes", "sha256"]
_ENCODE_AGAIN = "make the data set again with: midirnn encode --overwrite"


@dataclass(frozen=True)
class SplitCounts:
    """How much a split holds. Notes and hours are those of the files, before they are encoded."""

    files: int = 0
    tokens: int = 0
    notes: int = 0
    hours: float = 0.0


def schema() -> pa.Schema:
    """The columns of a split's file; ``duration`` is in seconds, ``sha256`` that of the file."""
    import pyarrow as pa

    return pa.schema(
        [
            ("tokens", pa.list_(pa.uint16())),
            ("path", pa.string()),
            ("split", pa.string()),
            ("duration", pa.float64()),
            ("notes", pa.int32()),
            ("sha256", pa.string()),
        ]
    )


@dataclass(frozen=True)
class Dataset:
    """An encoded data set. :meth:`open` finds it; tokens are read when they are asked for."""

    path: Path
    codec: PerformanceCodec
    counts: Mapping[str, SplitCounts]
    manifest: Mapping[str, Any]
    """The whole of ``dataset.json``."""

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Dataset:
        """The data set in a folder. Raises :class:`DatasetError` if it is missing or damaged."""
        folder = Path(path)
        manifest = _read_manifest(folder)
        try:
            counts = {name: SplitCounts(**count) for name, count in manifest["splits"].items()}
            codec = codec_from_settings(manifest["codec"])
        except (AttributeError, KeyError, TypeError) as error:
            raise _damaged(folder / MANIFEST, f"it lacks or mistakes {error}") from None
        except CodecError as error:
            raise DatasetError(f"{folder / MANIFEST}: {error}") from None
        dataset = cls(folder, codec, counts, manifest)
        for split in counts:
            if not dataset.file(split).is_file():
                raise DatasetError(f"{dataset.file(split)} is missing; {_ENCODE_AGAIN}")
        return dataset

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(self.counts)

    def file(self, split: str) -> Path:
        """The Parquet file of a split."""
        if split not in self.counts:
            raise DatasetError(
                f"{self.path} has no split {split!r}; it has {', '.join(self.splits)}"
            )
        return self.path / f"{split}.parquet"

    def pieces(self, split: str) -> list[Tokens]:
        """The tokens of each performance: read-only views on one array."""
        file = self.file(split)
        tokens = np.empty(self.counts[split].tokens, np.uint16)
        ends: list[int] = []
        with _reading(file) as parquet:
            for values, lengths in _token_lists(parquet):
                begin = ends[-1] if ends else 0
                ends += (begin + np.cumsum(lengths)).tolist()
                if ends[-1] > len(tokens):
                    break
                tokens[begin : ends[-1]] = values
        if ends[-1:] != [len(tokens)] or len(ends) != self.counts[split].files:
            raise _damaged(file, f"it does not hold the {len(tokens)} tokens that {MANIFEST} names")
        if tokens.max(initial=0) >= self.codec.vocab_size:
            raise _damaged(file, f"token {tokens.max()} is not in the vocabulary")
        tokens.flags.writeable = False
        return np.split(tokens, ends[:-1])

    def rows(self, split: str) -> list[dict[str, Any]]:
        """What is known of each performance: path, split, duration (seconds), notes, sha256."""
        with _reading(self.file(split)) as parquet:
            rows: list[dict[str, Any]] = parquet.read(columns=_METADATA_COLUMNS).to_pylist()
        return rows


def _read_manifest(folder: Path) -> dict[str, Any]:
    """The contents of ``dataset.json``, of the format that is known here."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        what = "is no data set (it holds no dataset.json)" if folder.exists() else "does not exist"
        raise DatasetError(f"{folder} {what}; make one with: midirnn encode") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror})") from None
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


def _damaged(path: Path, reason: str) -> DatasetError:
    return DatasetError(f"{path} is damaged ({reason}); {_ENCODE_AGAIN}")


@contextmanager
def _reading(path: Path) -> Iterator[pq.ParquetFile]:
    """An open Parquet file, its errors made into :class:`DatasetError`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if not file.schema_arrow.equals(schema()):
                raise _damaged(path, "its columns are not those of a data set")
            yield file
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, str(error).splitlines()[0]) from None


def _token_lists(
    parquet: pq.ParquetFile,
) -> Iterator[tuple[Tokens, npt.NDArray[np.int32]]]:
    """The tokens of each row group, joined, and the lengths of its rows."""
    for group in range(parquet.num_row_groups):
        for rows in parquet.read_row_group(group, columns=["tokens"]).column(0).chunks:
            yield rows.flatten().to_numpy(), np.diff(rows.offsets.to_numpy())
