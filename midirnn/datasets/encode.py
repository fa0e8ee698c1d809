"""Encode files, and folders of them, as a data set."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from array import array
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from midirnn.codecs import CODECS, DEFAULT_CODEC, Codec, CorpusCodec
from midirnn.datasets.corpus import Result, read_corpus
from midirnn.datasets.filters import FILTERED, PieceFilter
from midirnn.datasets.lists import View
from midirnn.datasets.onefile import FILE_GIGABYTES, FILE_SECONDS, Encoded, FileRules
from midirnn.datasets.remote import check_target, is_url, upload
from midirnn.datasets.report import EncodeReport, count_kinds, kinds_line
from midirnn.datasets.resume import Encode, Journal
from midirnn.datasets.similar import find_similar, reading_journal
from midirnn.datasets.sources import (
    Job,
    Refusal,
    SourceFile,
    display_path,
    find_files,
    named_jobs,
)
from midirnn.datasets.splits import MOST_BALANCED, SplitShares, SplitTable
from midirnn.datasets.store import MANIFEST
from midirnn.datasets.workers import encode_all
from midirnn.datasets.writer import PART_TOKENS, DatasetWriter, Row, check_output
from midirnn.errors import DatasetError, OptionError
from midirnn.files import usable_processors
from midirnn.wording import counted

Progress = Callable[[int, int], None]
"""Called with the number of files done and the number of all files."""


ON_DAMAGE = ("refuse", "recover")
"""What to do with damaged files."""

ON_DUPLICATES = ("keep", "drop")
"""What to do with other versions of a performance."""


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
    file_gigabytes: float = FILE_GIGABYTES,
    part_tokens: int = PART_TOKENS,
    on_damage: str = "refuse",
    filter: PieceFilter | None = None,
    group_compositions: bool = False,
    duplicates: str = "keep",
    progress: Progress | None = None,
) -> EncodeReport:
    """Encode files and folders of them as a data set at ``output``, and return a report.

    Sources may be archives (.zip, .tar.gz), and sources and ``output`` URLs that fsspec opens.
    Files are split by the hashes of their bytes unless a table is given. The data set is the same,
    byte for byte, with any number of ``workers`` (processes; by default one per processor). An
    ``executor`` replaces them, also on other machines; ``workers`` is then the number of tasks that
    keep it busy. Files that cannot be used, or take longer than ``file_seconds``, are skipped and
    reported, also in ``refused.jsonl``. A run that was killed is continued by the next one with the
    same ``output``; the result has the same bytes as that of an uninterrupted run. A split of more
    than about ``part_tokens`` tokens has several Parquet files.

    Damaged files are refused; with ``on_damage="recover"`` their intact part is encoded, and the
    report says what is lost. A file that needs more than ``file_gigabytes`` of memory is refused,
    and so is one that the ``filter`` leaves out.

    With ``group_compositions`` all performances of a composition are in one split: pieces are
    compared by their notes. With ``duplicates="drop"`` only the longest of several versions or
    parts of a performance is encoded. Both read the files twice.

    With a codec of texts (:class:`~midirnn.codecs.CorpusCodec`) ``splits`` are shares of each
    file, by position, unless a table is given; files are encoded in this process.

    Raises :class:`DatasetError` if there is nothing to encode, if ``output`` exists and
    ``overwrite`` is false, or if it cannot be written; no files are left behind then.
    """
    codec = codec or CODECS[DEFAULT_CODEC]()
    splits = splits or SplitShares()
    if workers is not None and workers < 1:
        raise OptionError(f"workers is {workers}; at least 1 is needed")
    if part_tokens < 1:
        raise OptionError(f"part_tokens is {part_tokens}; at least 1 is needed")
    for name, value, allowed in (
        ("on_damage", on_damage, ON_DAMAGE),
        ("duplicates", duplicates, ON_DUPLICATES),
    ):
        if value not in allowed:
            raise OptionError(f"{name} is {value!r}; allowed are {', '.join(allowed)}")
    if group_compositions and isinstance(splits, SplitTable):
        raise OptionError("the table decides the splits; give a table or group_compositions")
    if isinstance(codec, CorpusCodec) and filter not in (None, PieceFilter()):
        raise OptionError(f"filters are for music; the codec {codec.name!r} reads texts")
    rules = FileRules(file_seconds, file_gigabytes, on_damage == "recover", filter or PieceFilter())
    chosen = {"group_compositions": group_compositions, "duplicates": duplicates}
    run = _Run(
        codec,
        splits,
        workers or usable_processors(),
        executor,
        rules,
        progress,
        sources,
        chosen,
        part_tokens,
    )
    if not is_url(output):
        return run.write(Path(output), overwrite)
    url = os.fspath(output)
    check_target(url, MANIFEST, overwrite=overwrite)
    # The next run with this target finds the same folder, and what was done.
    name = f"midirnn-{hashlib.sha256(url.encode()).hexdigest()[:16]}"
    folder = Path(tempfile.gettempdir(), name)
    report = run.write(folder, overwrite=True, deliver=partial(_deliver, folder, url))
    shutil.rmtree(folder, ignore_errors=True)
    return replace(report, output=url)


def _deliver(folder: Path, url: str) -> None:
    """Upload a data set. Raises :class:`DatasetError`, which says where the data set still is."""
    try:
        upload(folder, url, MANIFEST)
    except DatasetError as error:
        raise DatasetError(
            f"{error}; the finished data set is in {folder}: give the same command to try again"
        ) from error


@dataclass(frozen=True)
class _Run:
    """The arguments of :func:`encode_files`, checked and with defaults filled in."""

    codec: Codec[Any]
    splits: SplitShares | SplitTable
    workers: int
    executor: Executor | None
    rules: FileRules
    progress: Progress | None
    sources: Sequence[str | os.PathLike[str]]
    chosen: Mapping[str, Any]
    """``group_compositions`` and ``duplicates``."""
    part_tokens: int

    def write(
        self, output: Path, overwrite: bool, deliver: Callable[[], None] | None = None
    ) -> EncodeReport:
        """Write the data set; what is known of the files is kept until ``deliver`` has worked."""
        check_output(output, overwrite=overwrite)
        files, refused = find_files(self.sources, self.codec.suffixes)
        jobs = _plan(files, self.splits)
        named = len(self.splits.splits) if isinstance(self.splits, SplitTable) else len(jobs)
        missing = named - len(jobs)
        left_out = len(files) - len(jobs)
        journal = Journal(output.absolute(), self.codec, self.rules)
        reading = reading_journal(output, self.codec, self.rules)
        jobs, removed = self._without_similar(jobs, reading)
        refused += removed
        recovered: list[Refusal] = []
        with (
            DatasetWriter(output, overwrite=overwrite, part_tokens=self.part_tokens) as writer,
            ExitStack() as stack,
        ):
            codec, results = self._results(jobs, journal, recovered, stack)
            seen = _Seen()
            for done, (rows, refusals) in enumerate(results, 1):
                for row in rows:
                    seen.add(row)
                    writer.add(row)
                refused += refusals
                if self.progress is not None:
                    self.progress(done, len(jobs))
            if not writer.counts:
                raise nothing_to_use(refused)
            duplicates, across_splits = seen.duplicates()
            report = EncodeReport(
                output=output,
                counts=writer.counts,
                refused=tuple(refused),
                left_out=left_out,
                missing=missing,
                duplicates=duplicates,
                duplicates_across_splits=across_splits,
                recovered=tuple(recovered),
                empty=_empty(self.splits, writer.counts),
            )
            writer.finish(refused, self._manifest(codec, report))
        if deliver is not None:
            deliver()
        journal.forget()
        reading.forget()
        return report

    def _without_similar(
        self, jobs: Sequence[Job], journal: Journal
    ) -> tuple[Sequence[Job], list[Refusal]]:
        """Return the files to encode, split if by composition, and those that are left out."""
        by_group = self.chosen["group_compositions"]
        if not by_group and self.chosen["duplicates"] == "keep":
            return jobs, []
        similar = find_similar(
            jobs,
            self.codec,
            workers=self.workers,
            executor=self.executor,
            rules=self.rules,
            journal=journal,
            progress=self.progress,
        )
        shares = self.splits if by_group and isinstance(self.splits, SplitShares) else None
        kept, removed = similar.arrange(jobs, shares, self.chosen["duplicates"])
        if not kept:
            raise nothing_to_use(removed)
        return kept, removed

    def _results(
        self, jobs: Sequence[Job], journal: Journal, recovered: list[Refusal], stack: ExitStack
    ) -> tuple[Codec[Any], Iterator[Result]]:
        """Return the codec, fitted to the files if necessary, and the outcome of each file."""
        if isinstance(self.codec, CorpusCodec):
            shares = self.splits if isinstance(self.splits, SplitShares) else None
            corpus = read_corpus(self.codec, jobs, shares)
            return corpus.codec, corpus.results()
        encode = partial(
            encode_all,
            codec=self.codec,
            workers=self.workers,
            executor=self.executor,
            rules=self.rules,
        )
        results = closing(_encoded(jobs, self.splits, encode, journal, recovered))
        return self.codec, stack.enter_context(results)

    def _manifest(self, codec: Codec[Any], report: EncodeReport) -> dict[str, object]:
        """Return how the data set was made, for ``dataset.json``."""
        return {
            "codec": codec.settings(),
            "options": {
                "sources": [
                    source if is_url(source) else display_path(Path(source))
                    for source in self.sources
                ],
                "splits": self.splits.settings() | _position(codec, self.splits),
                **self._options(),
            },
            "refused": len(report.refused),
            "refused_by_kind": count_kinds(report.refused),
            "recovered": [asdict(file) for file in report.recovered],
            "left_out": report.left_out,
            "missing": report.missing,
            "duplicates": report.duplicates,
            "duplicates_across_splits": report.duplicates_across_splits,
        }

    def _options(self) -> dict[str, object]:
        """Return the options by which pieces were chosen, except those with default values."""
        usual = {"group_compositions": False, "duplicates": "keep"}
        chosen = {name: value for name, value in self.chosen.items() if value != usual[name]}
        unlimited = asdict(PieceFilter())
        limits = asdict(self.rules.filter).items()
        limited = {name: value for name, value in limits if value != unlimited[name]}
        return chosen | ({"filter": limited} if limited else {})


def _encoded(
    jobs: Sequence[Job],
    splits: SplitShares | SplitTable,
    encode: Encode,
    journal: Journal,
    recovered: list[Refusal],
) -> Generator[Result, None, None]:
    """Encode files, one piece each, in worker processes, except those done by an earlier run."""
    # Absolute, since an executor may work in another folder.
    paths = View(jobs, lambda job: job.path.absolute())
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
            # A small set is split once all files are known, so that no split stays empty.
            rows: list[Row] = []
            if len(jobs) > MOST_BALANCED or done == len(jobs):
                rows, waiting = list(_rows(waiting, splits)), []
            yield rows, refused


def _plan(files: Sequence[SourceFile], splits: SplitShares | SplitTable) -> Sequence[Job]:
    """Return the files to encode: all, or those that the table names."""
    if isinstance(splits, SplitShares):
        return named_jobs(files)
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
        example = display_path(Path(str(files[0].path)))
        raise DatasetError(
            f"{splits.path} names none of {counted(len(files))}; it names for example "
            f"{next(iter(splits.splits))!r}, and a file is {example!r}"
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
    """The files so far, to find those with the same bytes. Owns 12 bytes for each.

    Only 64 bits of each SHA-256 are kept: of data sets of a million files, one in 40 million has
    two that agree by chance.
    """

    def __init__(self) -> None:
        self._hashes = array("Q")
        self._splits = array("i")
        self._numbers: dict[str, int] = {}

    def add(self, row: Row) -> None:
        """Record the hash and the split of a row."""
        self._hashes.append(int(row.sha256[:16], 16))
        self._splits.append(self._numbers.setdefault(row.split, len(self._numbers)))

    def duplicates(self) -> tuple[int, int]:
        """Return how many files equal an earlier one, and for how many that is in another split."""
        hashes, splits = np.asarray(self._hashes), np.asarray(self._splits)
        order = np.argsort(hashes, kind="stable")
        hashes, splits = hashes[order], splits[order]
        is_first = np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)]
        firsts = splits[is_first][np.cumsum(is_first) - 1]
        return int((~is_first).sum()), int((splits != firsts).sum())


def _empty(splits: SplitShares | SplitTable, found: Collection[str]) -> tuple[str, ...]:
    """Return the splits that have a share but no file."""
    if isinstance(splits, SplitTable):
        return ()
    shares = {"train": 1.0, "validation": splits.validation, "test": splits.test}
    return tuple(name for name, share in shares.items() if share and name not in found)


def nothing_to_use(refused: Sequence[Refusal]) -> DatasetError:
    """Return the error of a run that can use none of its files."""
    first = refused[0]
    told = f"{first.path}: {first.reason}"
    if len(refused) == 1:
        return DatasetError(f"the only file cannot be used: {told}")
    filtered = sum(refusal.reason.startswith(FILTERED) for refusal in refused)
    of_filters = f"; the filters leave out {filtered:,}" if filtered else ""
    return DatasetError(
        f"none of {len(refused):,} files can be used ({kinds_line(refused)}{of_filters}). "
        f"The first: {told}"
    )


def _position(codec: Codec[Any], splits: SplitShares | SplitTable) -> dict[str, object]:
    """Return the entry for ``dataset.json`` if files were cut by position, else nothing."""
    cut = isinstance(codec, CorpusCodec) and isinstance(splits, SplitShares)
    return {"by": "position"} if cut else {}
