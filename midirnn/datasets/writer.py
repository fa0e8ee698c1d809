"""Write a data set to a hidden folder, which is renamed when it is complete."""

from __future__ import annotations

import json
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterable
from contextlib import suppress
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
from midirnn.datasets.store import FORMAT_VERSION, MANIFEST, SplitCounts, part_names, schema
from midirnn.errors import DatasetError
from midirnn.files import one_line_errors, put_in_place, recover_folder, set_aside
from midirnn.locks import lock_folder

if TYPE_CHECKING:
    import pyarrow.parquet as pq

TOKENS_PER_ROW_GROUP = 1_000_000
"""The approximate number of tokens in a row group: 2 MB, a useful amount to read at a time."""

MOST_ROWS = 10_000
"""The maximum number of rows in a row group: of short pieces, about 10 MB in memory."""

PART_TOKENS = 100_000_000
"""The approximate maximum of tokens in a Parquet file; a larger split has several files."""

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

    :meth:`finish` renames that folder to ``output``; on any other exit it is removed, so that
    ``output`` is either complete or unchanged. The folder is locked: those of runs that were killed
    are removed by the next one.
    """

    def __init__(
        self,
        output: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        part_tokens: int = PART_TOKENS,
    ) -> None:
        self.output = Path(output)
        self._overwrite = overwrite
        self._part_tokens = part_tokens
        self._splits: dict[str, _Split] = {}
        check_output(self.output, overwrite=overwrite)
        _remove_abandoned(self.output.absolute())
        # The name is random, so that two processes that encode to one place do not mix their files.
        place = self.output.absolute()  # the folder "." has no name
        self._folder = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
        with one_line_errors(self.output, DatasetError):
            self._folder.mkdir(parents=True)
        self._lock = lock_folder(self._folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            for split in self._splits.values():
                with suppress(OSError):  # the folder is removed anyway, and the first error counts
                    split.close()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1

    @property
    def counts(self) -> dict[str, SplitCounts]:
        """The size of each split so far."""
        names = sorted(self._splits, key=by_split_order)
        return {name: self._splits[name].counts for name in names}

    def add(self, row: Row) -> None:
        """Write a row to the files of its split, at once or with later ones."""
        if row.split not in self._splits:
            self._splits[row.split] = _Split(self._folder / row.split, self._part_tokens)
        with one_line_errors(self.output, DatasetError):
            self._splits[row.split].add(row)

    def finish(self, refused: Iterable[Refusal], manifest: dict[str, Any]) -> None:
        """Write the last rows, the refused files and ``dataset.json``; rename the folder."""
        with one_line_errors(self.output, DatasetError):
            for split in self._splits.values():
                split.finish()
            _write_lines(self._folder / REFUSED, map(_refusal_line, refused))
            text = json.dumps(self._manifest() | manifest, indent=2, ensure_ascii=False)
            _write_lines(self._folder / MANIFEST, [text])
            check_output(self.output, overwrite=self._overwrite)  # another run may have ended
            put_in_place(self._folder, self.output)

    def _manifest(self) -> dict[str, Any]:
        packages = ("midirnn", "numpy", "pyarrow")
        parts = {name: self._splits[name].parts for name in self.counts}
        return {
            "format_version": FORMAT_VERSION,
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in packages},
            },
            "splits": {split: asdict(count) for split, count in self.counts.items()},
            **({"parts": parts} if any(n > 1 for n in parts.values()) else {}),
        }


class _Split:
    """The Parquet files of a split. Owns the one being written, and the rows waiting for it."""

    def __init__(self, path: Path, part_tokens: int) -> None:
        self.counts = SplitCounts()
        self.parts = 0
        self._path = path  # without a number and a suffix
        self._part_tokens = part_tokens
        self._written = 0  # tokens of this part
        self._waiting: list[Row] = []
        self._writer: pq.ParquetWriter | None = None

    def add(self, row: Row) -> None:
        """Write a row, at once or with later ones."""
        before = self.counts
        self.counts = replace(
            before,
            files=before.files + 1,
            tokens=before.tokens + len(row.tokens),
            notes=before.notes + row.notes,
            hours=before.hours + row.duration / 3600,
        )
        self._waiting.append(row)
        is_full = self.counts.tokens // TOKENS_PER_ROW_GROUP > before.tokens // TOKENS_PER_ROW_GROUP
        if is_full or len(self._waiting) == MOST_ROWS:
            self._write_rows()

    def finish(self) -> None:
        """Write the waiting rows, and give the files their names."""
        self._write_rows()
        self.close()
        for part, name in enumerate(part_names(self._path.name, self.parts)):
            self._part(part).rename(self._path.with_name(name))

    def close(self) -> None:
        """Close the file being written."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _part(self, number: int) -> Path:
        """Return the temporary path of a part: the number of parts is not known yet."""
        return self._path.with_name(f"{self._path.name}.{number}.part")

    def _write_rows(self) -> None:
        """Write the waiting rows as a row group."""
        import pyarrow as pa

        rows, self._waiting = self._waiting, []
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
        if self._written >= self._part_tokens:
            self.close()
        if self._writer is None:
            self._begin_part()
        assert self._writer is not None
        self._writer.write_table(pa.table(columns, schema=schema()), row_group_size=len(rows))
        self._written += len(tokens)

    def _begin_part(self) -> None:
        import pyarrow.parquet as pq

        self._writer = pq.ParquetWriter(
            self._part(self.parts), schema(), compression="zstd", write_page_checksum=True
        )
        self.parts += 1
        self._written = 0


def _remove_abandoned(output: Path) -> None:
    """Remove the hidden folders that runs with this ``output`` left when they were killed."""
    name = re.compile(re.escape(f".{output.name}.") + "[0-9a-f]{8}")
    with suppress(OSError):  # the folder that is to hold the output may not exist yet
        for folder in output.parent.iterdir():
            if name.fullmatch(folder.name) and (lock := lock_folder(folder)) >= 0:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def check_output(output: Path, *, overwrite: bool) -> None:
    """Refuse to overwrite anything but a data set, and that only with ``overwrite``.

    A data set that was being replaced when a run was killed is brought back first.
    """
    with one_line_errors(output, DatasetError):
        if (set_aside(output) / MANIFEST).is_file():  # not one that was being removed
            recover_folder(output)
        if not output.exists() or (output.is_dir() and not any(output.iterdir())):
            return
        is_dataset = (output / MANIFEST).is_file()
    if not is_dataset:
        raise DatasetError(f"{output} exists and is not a data set; choose another --output")
    if not overwrite:
        raise DatasetError(
            f"{output} exists; replace it with --overwrite or choose another --output"
        )


def _refusal_line(refusal: Refusal) -> str:
    """Return the line of ``refused.jsonl`` for a file."""
    return json.dumps(asdict(refusal) | {"kind": kind_of(refusal.reason)}, ensure_ascii=False)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
