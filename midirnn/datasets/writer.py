"""Write a data set to a hidden folder, which is renamed when it is complete."""

from __future__ import annotations

import json
import os
import platform
import secrets
import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from midirnn.codecs import Tokens
from midirnn.datasets.report import kind_of
from midirnn.datasets.sources import Refusal
from midirnn.datasets.splits import by_split_order
from midirnn.datasets.store import FORMAT_VERSION, MANIFEST, SplitCounts, schema
from midirnn.errors import DatasetError
from midirnn.files import one_line_errors, put_in_place

if TYPE_CHECKING:
    import pyarrow.parquet as pq

TOKENS_PER_ROW_GROUP = 1_000_000
"""About how many tokens a row group has: 2 MB, a useful amount to read at a time."""

REFUSED = "refused.jsonl"


@dataclass(frozen=True)
class Row:
    """One encoded piece; ``duration`` is in seconds."""

    tokens: Tokens
    path: str
    split: str
    duration: float
    notes: int
    sha256: str

    @property
    def length(self) -> int:
        """The number of tokens."""
        return len(self.tokens)


class DatasetWriter:
    """A context in which a data set is written. Owns a hidden folder beside ``output``.

    :meth:`finish` renames that folder to ``output``; on any other way out it is removed, so that
    ``output`` is complete, or what it was before.
    """

    def __init__(self, output: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self.output = Path(output)
        self._counts: dict[str, SplitCounts] = {}
        self._files = ExitStack()
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._waiting: dict[str, list[Row]] = {}
        check_output(self.output, overwrite=overwrite)
        # The name is random, so that two processes that encode to one place do not mix their files.
        self._folder = self.output.with_name(f".{self.output.name}.{secrets.token_hex(4)}")
        with one_line_errors(self.output, DatasetError):
            self._folder.mkdir(parents=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._files.close()
        except OSError:
            pass  # the folder is removed anyway, and the first error counts
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def counts(self) -> dict[str, SplitCounts]:
        """The size of each split so far."""
        return {split: self._counts[split] for split in sorted(self._counts, key=by_split_order)}

    def add(self, row: Row) -> None:
        """Write a row to the file of its split, at once or with later ones."""
        count = self._counts.get(row.split, SplitCounts())
        self._counts[row.split] = replace(
            count,
            files=count.files + 1,
            tokens=count.tokens + len(row.tokens),
            notes=count.notes + row.notes,
            hours=count.hours + row.duration / 3600,
        )
        self._waiting.setdefault(row.split, []).append(row)
        written = count.tokens // TOKENS_PER_ROW_GROUP
        if self._counts[row.split].tokens // TOKENS_PER_ROW_GROUP > written:
            self._write_rows(row.split)

    def finish(self, refused: Iterable[Refusal], manifest: dict[str, Any]) -> None:
        """Write the remaining rows, the list of refused files and ``dataset.json``; rename it."""
        for split in self._waiting:
            self._write_rows(split)
        with one_line_errors(self.output, DatasetError):
            self._files.close()
            lines = [
                json.dumps(asdict(refusal) | {"kind": kind_of(refusal.reason)}, ensure_ascii=False)
                for refusal in refused
            ]
            _write_text(self._folder / REFUSED, "".join(f"{line}\n" for line in lines))
            text = json.dumps(self._manifest() | manifest, indent=2, ensure_ascii=False)
            _write_text(self._folder / MANIFEST, text + "\n")
            put_in_place(
                self._folder, self.output, self._folder.with_name(f"{self._folder.name}.old")
            )

    def _manifest(self) -> dict[str, Any]:
        packages = ("midirnn", "numpy", "pyarrow")
        return {
            "format_version": FORMAT_VERSION,
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in packages},
            },
            "splits": {split: asdict(count) for split, count in self.counts.items()},
        }

    def _write_rows(self, split: str) -> None:
        """Write the rows that wait as a row group."""
        import pyarrow as pa

        rows, self._waiting[split] = self._waiting[split], []
        if not rows:
            return
        offsets = np.cumsum([0] + [len(row.tokens) for row in rows], dtype=np.int32)
        tokens = pa.array(np.concatenate([row.tokens for row in rows]), pa.uint16())
        columns = {
            field.name: pa.array([getattr(row, field.name) for row in rows], field.type)
            for field in schema()
            if field.name != "tokens"
        }
        columns = {"tokens": pa.ListArray.from_arrays(offsets, tokens), **columns}
        with one_line_errors(self.output, DatasetError):
            self._writer(split).write_table(
                pa.table(columns, schema=schema()), row_group_size=len(rows)
            )

    def _writer(self, split: str) -> pq.ParquetWriter:
        import pyarrow.parquet as pq

        if split not in self._writers:
            writer = pq.ParquetWriter(
                self._folder / f"{split}.parquet",
                schema(),
                compression="zstd",
                write_page_checksum=True,
            )
            self._writers[split] = self._files.enter_context(writer)
        return self._writers[split]


def check_output(output: Path, *, overwrite: bool) -> None:
    """Refuse to overwrite anything but a data set, and that only with ``overwrite``."""
    with one_line_errors(output, DatasetError):
        if not output.exists() or (output.is_dir() and not any(output.iterdir())):
            return
        is_dataset = (output / MANIFEST).is_file()
    if not is_dataset:
        raise DatasetError(f"{output} exists and is not a data set; choose another --output")
    if not overwrite:
        raise DatasetError(
            f"{output} exists; replace it with --overwrite or choose another --output"
        )


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
