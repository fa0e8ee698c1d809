"""Encode files, and folders of them, as a data set."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from midirnn.codecs import CODECS, DEFAULT_CODEC, Codec, CorpusCodec
from midirnn.datasets.corpus import Result, read_corpus
from midirnn.datasets.report import EncodeReport
from midirnn.datasets.resume import Encode, Journal
from midirnn.datasets.sources import (
    Job,
    Refusal,
    SourceFile,
    common_folder,
    display_path,
    find_files,
)
from midirnn.datasets.splits import MOST_BALANCED, SplitShares, SplitTable
from midirnn.datasets.workers import FILE_SECONDS, Encoded, encode_all
from midirnn.datasets.writer import DatasetWriter, Row, check_output
from midirnn.errors import DatasetError, OptionError
from midirnn.files import usable_processors

Progress = Callable[[int, int], None]
"""Called with the number of files that are done, and of all files."""


ON_DAMAGE = ("refuse", "recover")
"""What to do with damaged files."""


def encode_files(
    sources: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    codec: Codec[Any] | None = None,
    splits: SplitShares | SplitTable | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    overwrite: bool = False,
    file_seconds: float = FILE_SECONDS,
    on_damage: str = "refuse",
    progress: Progress | None = None,
) -> EncodeReport:
    """Encode files and folders of them as a data set at ``output``, and return a report.

    Files are split by the hashes of their bytes unless a table is given. The data set is the same,
    byte for byte, with any number of ``workers`` (processes; by default one per processor). An
    ``executor`` replaces them, on other machines too; ``workers`` is then the number of tasks that
    keep it busy. Files that cannot be used, or take longer than ``file_seconds``, are skipped and
    reported, in ``refused.jsonl`` too. A run that was killed is continued by the next one to the
    same ``output``: no file is encoded twice, and the bytes are those of a run that was not killed.

    Damaged files are refused; with ``on_damage="recover"`` what is whole of them is encoded, and
    the report says what is lost.

    With a codec of texts (:class:`~midirnn.codecs.CorpusCodec`) ``splits`` are shares of each
    file, by position, unless a table is given; files are encoded in this process.

    Raises :class:`DatasetError` if there is nothing to encode, if ``output`` exists and
    ``overwrite`` is false, or if it cannot be written; no files are left then.
    """
    codec = codec or CODECS[DEFAULT_CODEC]()
    splits = splits or SplitShares()
    if workers is not None and workers < 1:
        raise OptionError(f"workers is {workers}; at least 1 is needed")
    if not 0.0 < file_seconds < 1e6:
        raise OptionError(f"file_seconds is {file_seconds:g}; allowed are above 0, below 1000000")
    if on_damage not in ON_DAMAGE:
        raise OptionError(f"on_damage is {on_damage!r}; allowed are {', '.join(ON_DAMAGE)}")
    recover = on_damage == "recover"
    workers = workers or usable_processors()
    check_output(Path(output), overwrite=overwrite)
    files, refused = find_files(sources, codec.suffixes)
    jobs = _plan(files, splits)
    journal = Journal(Path(output).absolute(), codec, recover)
    recovered: list[Refusal] = []
    with DatasetWriter(output, overwrite=overwrite) as writer, ExitStack() as stack:
        seen = _Seen()
        results: Iterator[Result]
        if isinstance(codec, CorpusCodec):
            corpus = read_corpus(codec, jobs, splits if isinstance(splits, SplitShares) else None)
            codec, results = corpus.codec, corpus.results()
        else:
            encode = partial(
                encode_all,
                codec=codec,
                workers=workers,
                executor=executor,
                seconds=file_seconds,
                recover=recover,
            )
            results = stack.enter_context(
                closing(_encoded(jobs, splits, encode, journal, recovered))
            )
        for done, (rows, refusals) in enumerate(results, 1):
            for row in rows:
                seen.add(row)
                writer.add(row)
            refused += refusals
            if progress is not None:
                progress(done, len(jobs))
        if not writer.counts:
            raise _nothing_to_use(refused)
        report = EncodeReport(
            output=Path(output),
            counts=writer.counts,
            refused=tuple(refused),
            left_out=len(files) - len(jobs),
            missing=len(splits.splits) - len(jobs) if isinstance(splits, SplitTable) else 0,
            duplicates=seen.duplicates,
            duplicates_across_splits=seen.across_splits,
            recovered=tuple(recovered),
            empty=_empty(splits, writer.counts),
        )
        writer.finish(refused, _manifest(codec, splits, sources, report))
    journal.forget()
    return report


def _encoded(
    jobs: Sequence[Job],
    splits: SplitShares | SplitTable,
    encode: Encode,
    journal: Journal,
    recovered: list[Refusal],
) -> Generator[Result, None, None]:
    """Encode files, each of which is a piece, in worker processes, but for those done before."""
    paths = [job.path.absolute() for job in jobs]  # an executor may work in another folder
    waiting: list[tuple[Job, Encoded]] = []
    with closing(journal.outcomes(paths, encode)) as outcomes:
        for done, (job, outcome) in enumerate(zip(jobs, outcomes, strict=True), 1):
            refused: list[Refusal] = []
            if isinstance(outcome, Encoded):
                waiting.append((job, outcome))
                if outcome.damage:
                    recovered.append(Refusal(job.name, outcome.damage))
            else:
                refused.append(Refusal(job.name, outcome))
            # Few files are divided when all are known, so that no split is left without any.
            rows: list[Row] = []
            if len(jobs) > MOST_BALANCED or done == len(jobs):
                rows, waiting = list(_rows(waiting, splits)), []
            yield rows, refused


def _plan(files: Sequence[SourceFile], splits: SplitShares | SplitTable) -> list[Job]:
    """Return the files to encode: all, or those that the table names."""
    if isinstance(splits, SplitShares):
        folder = common_folder(files)
        return [
            Job(file.path, display_path(Path(os.path.relpath(file.path, folder))), None)
            for file in files
        ]
    jobs: dict[str, Job] = {}
    for file in files:
        found = splits.find(file)
        if found is not None:
            name, split = found
            job = jobs.setdefault(name, Job(file.path, name, split))
            if job.path != file.path:
                raise DatasetError(
                    f"{splits.path} names two files by {name!r}: {job.path} and {file.path}"
                )
    if not jobs:
        raise DatasetError(
            f"{splits.path} names none of the {len(files)} files; it names for example "
            f"{next(iter(splits.splits))!r}, and a file is {display_path(files[0].path)!r}"
        )
    return list(jobs.values())


def _rows(
    encoded: Sequence[tuple[Job, Encoded]], splits: SplitShares | SplitTable
) -> Iterator[Row]:
    """Yield the rows of encoded files."""
    by_hash: dict[str, str] = {}
    if isinstance(splits, SplitShares):
        by_hash = splits.split_few([outcome.sha256 for _, outcome in encoded])
    for job, outcome in encoded:
        split = job.split or by_hash[outcome.sha256]
        yield Row(outcome.tokens, job.name, split, outcome.duration, outcome.notes, outcome.sha256)


class _Seen:
    """Counts files with the same bytes as earlier ones. Owns the first split of each SHA-256."""

    def __init__(self) -> None:
        self.duplicates = 0
        self.across_splits = 0
        self._splits: dict[str, str] = {}

    def add(self, row: Row) -> None:
        """Count a row."""
        split = self._splits.get(row.sha256)
        if split is None:
            self._splits[row.sha256] = row.split
        else:
            self.duplicates += 1
            self.across_splits += split != row.split


def _empty(splits: SplitShares | SplitTable, found: Collection[str]) -> tuple[str, ...]:
    """Return the splits that have a share, but no file."""
    if isinstance(splits, SplitTable):
        return ()
    shares = {"train": 1.0, "validation": splits.validation, "test": splits.test}
    return tuple(name for name, share in shares.items() if share and name not in found)


def _nothing_to_use(refused: Sequence[Refusal]) -> DatasetError:
    first = refused[0]
    return DatasetError(
        f"none of {len(refused)} files can be used; the first: {first.path}: {first.reason}"
    )


def _position(codec: Codec[Any], splits: SplitShares | SplitTable) -> dict[str, object]:
    """Return what says that files were cut, for ``dataset.json``; nothing if they were not."""
    cut = isinstance(codec, CorpusCodec) and isinstance(splits, SplitShares)
    return {"by": "position"} if cut else {}


def _manifest(
    codec: Codec[Any],
    splits: SplitShares | SplitTable,
    sources: Sequence[str | os.PathLike[str]],
    report: EncodeReport,
) -> dict[str, object]:
    """Return how the data set was made, for ``dataset.json``."""
    return {
        "codec": codec.settings(),
        "options": {
            "sources": [display_path(Path(source)) for source in sources],
            "splits": splits.settings() | _position(codec, splits),
        },
        "refused": len(report.refused),
        "recovered": [asdict(file) for file in report.recovered],
        "left_out": report.left_out,
        "missing": report.missing,
        "duplicates": report.duplicates,
        "duplicates_across_splits": report.duplicates_across_splits,
    }
