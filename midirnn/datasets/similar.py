"""Find the pieces that are the same performance, and those that are the same composition."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from midirnn.codecs import Codec
from midirnn.datasets.fingerprints import (
    COMPOSITION_HASHES,
    FingerprintCodec,
    Pairs,
    Signatures,
    min_hash,
)
from midirnn.datasets.lists import View
from midirnn.datasets.onefile import Encoded, FileRules
from midirnn.datasets.resume import Journal
from midirnn.datasets.sources import Job, Refusal
from midirnn.datasets.splits import SplitShares
from midirnn.datasets.workers import encode_all
from midirnn.errors import DatasetError
from midirnn.files import one_line_errors, usable_processors, write_file

SAME_COMPOSITION = 0.15
"""The minimum share of the shorter piece's n-grams that two performances of a composition have in
common. In MAESTRO and ASAP other pairs have less than 0.12."""

LEAST_JACCARD = 4 / COMPOSITION_HASHES
"""Signatures that agree in fewer places may do so by chance."""

LEAST_SHARED = 12.0
"""The minimum number of common n-grams: in short pieces a few mean nothing."""

SAME_PERFORMANCE = 0.5
"""The same minimum share for two versions, or a part, of one performance."""

_COLUMNS = ("path", "split", "group", "duplicate_of", "seconds", "notes", "sha256")


@dataclass(frozen=True)
class SimilarPiece:
    """A piece, with its group of similar ones."""

    path: str
    sha256: str
    seconds: float
    notes: int
    group: str
    """The same for all performances of a composition."""
    duplicate_of: str = ""
    """The path of the longest version of the same performance; "" if that is this one."""


@dataclass(frozen=True)
class SimilarPieces:
    """The outcome of :func:`find_similar`, in the order of the files."""

    pieces: tuple[SimilarPiece, ...]
    refused: tuple[Refusal, ...]
    """Files that cannot be used, or that a filter leaves out, with reasons."""

    @property
    def groups(self) -> int:
        """The number of compositions."""
        return len({piece.group for piece in self.pieces})

    @property
    def duplicates(self) -> list[SimilarPiece]:
        """The pieces that are another version, or a part, of a longer one."""
        return [piece for piece in self.pieces if piece.duplicate_of]

    def splits(self, shares: SplitShares) -> dict[str, str]:
        """Return the split of each piece: the same for a whole group, by its lowest hash."""
        key: dict[str, str] = {}
        for piece in self.pieces:
            key[piece.group] = min(key.get(piece.group, piece.sha256), piece.sha256)
        of_key = shares.split_few(list(key.values()))
        return {piece.path: of_key[key[piece.group]] for piece in self.pieces}

    def arrange(
        self, jobs: Sequence[Job], shares: SplitShares | None, duplicates: str
    ) -> tuple[list[Job], list[Refusal]]:
        """Return the files to encode, with splits by ``shares``, and those that are left out."""
        splits = self.splits(shares) if shares else {}
        dropped = {p.path: p.duplicate_of for p in self.duplicates} if duplicates == "drop" else {}
        known = {piece.path for piece in self.pieces} - dropped.keys()
        kept = [
            Job(job.path, job.name, splits.get(job.name, job.split))
            for job in jobs
            if job.name in known
        ]
        reasons = [Refusal(path, f"is a duplicate of {of}") for path, of in dropped.items()]
        return kept, [*self.refused, *reasons]

    def write(
        self, path: Path, shares: SplitShares, name: Callable[[str], str] = lambda path: path
    ) -> None:
        """Write a table of splits with a row for each piece; its path is ``name(path)``."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        splits = self.splits(shares)
        for p in self.pieces:
            version = name(p.duplicate_of) if p.duplicate_of else ""
            figures = (f"{p.seconds:.3f}", p.notes, p.sha256)
            writer.writerow([name(p.path), splits[p.path], p.group, version, *figures])
        with one_line_errors(path, DatasetError):
            write_file(path, text.getvalue())

    def agreement(self, known: Mapping[str, str]) -> tuple[float, float, int]:
        """Compare the groups with known ones, given for each path, by pairs of pieces.

        Returns the precision and the recall of pairs in one group, and the number of known pairs.
        """
        both = Counter((p.group, known[p.path]) for p in self.pieces if p.path in known)
        ours, theirs = Counter[str](), Counter[str]()
        for (group, other), count in both.items():
            ours[group] += count
            theirs[other] += count
        right, found, all_known = (
            sum(n * (n - 1) // 2 for n in counts.values()) for counts in (both, ours, theirs)
        )
        return right / max(1, found), right / max(1, all_known), all_known


def find_similar(
    jobs: Sequence[Job],
    codec: Codec[Any],
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    rules: FileRules | None = None,
    journal: Journal | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SimilarPieces:
    """Read files as ``codec`` does and compare their pieces, all with all.

    Takes about 3 KB of memory for each piece. With a ``journal`` (:func:`reading_journal`) files
    that an earlier run has read are not read again.
    """
    min_hash()  # where it is missing, every file would be refused
    reader: Any = FingerprintCodec(codec)
    paths = View(jobs, lambda job: job.path.absolute())
    refused: list[Refusal] = []
    found: list[tuple[str, Encoded]] = []
    read = partial(
        encode_all,
        codec=reader,
        workers=workers or usable_processors(),
        executor=executor,
        rules=rules,
    )
    outcomes = journal.outcomes(paths, read) if journal else read(paths)
    with closing(outcomes):
        for done, (job, outcome) in enumerate(zip(jobs, outcomes, strict=True), 1):
            if isinstance(outcome, Encoded):
                found.append((job.name, outcome))
            else:
                refused.append(Refusal(job.name, outcome))
            if progress is not None:
                progress(done, len(jobs))
    return SimilarPieces(tuple(_compared(found)), tuple(refused))


def reading_journal(output: Path, codec: Codec[Any], rules: FileRules | None = None) -> Journal:
    """Return a journal, beside ``output``, of the files that are read for comparison."""
    reader: Any = FingerprintCodec(codec)
    return Journal(output.absolute().with_name(f"{output.name}.reading"), reader, rules)


def _compared(found: Sequence[tuple[str, Encoded]]) -> Iterator[SimilarPiece]:
    """Yield each piece with its group and the piece that it is a version of."""
    compositions, performances = Signatures.of([encoded.tokens for _, encoded in found])
    same = _same_bytes([encoded.sha256 for _, encoded in found])
    versions = np.concatenate([same, _versions(performances)])
    related = np.concatenate([versions, _of_one_composition(compositions)])
    version_of, group_of = (_merged(len(found), pairs) for pairs in (versions, related))
    longest: dict[int, int] = {}
    for index, version in enumerate(version_of):
        best = longest.setdefault(version, index)
        if found[index][1].notes > found[best][1].notes:
            longest[version] = index
    numbers = {group: number for number, group in enumerate(dict.fromkeys(group_of), 1)}
    for index, (name, encoded) in enumerate(found):
        best = longest[version_of[index]]
        yield SimilarPiece(
            path=name,
            sha256=encoded.sha256,
            seconds=encoded.duration,
            notes=encoded.notes,
            group=f"g{numbers[group_of[index]]:06d}",
            duplicate_of=found[best][0] if best != index else "",
        )


def _same_bytes(hashes: Sequence[str]) -> Pairs:
    """Return pairs of files with the same bytes."""
    first: dict[str, int] = {}
    pairs = [(first.setdefault(sha256, index), index) for index, sha256 in enumerate(hashes)]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)


def _versions(performances: Signatures) -> Pairs:
    """Return pairs of versions of a performance, or of a part of it."""
    pairs = performances.candidates(rows=1)
    shared = performances.shared(pairs)
    return pairs[(shared.contained >= SAME_PERFORMANCE) & (shared.ngrams >= LEAST_SHARED)]


def _of_one_composition(compositions: Signatures) -> Pairs:
    """Return pairs of performances of a composition."""
    pairs = compositions.candidates(rows=2)
    shared = compositions.shared(pairs)
    enough = (shared.jaccard >= LEAST_JACCARD) & (shared.ngrams >= LEAST_SHARED)
    return pairs[enough & (shared.contained >= SAME_COMPOSITION)]


def _merged(count: int, pairs: Pairs) -> list[int]:
    """Return for each piece the first of those that pairs connect it with."""
    parent = list(range(count))

    def first(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for one, other in pairs.tolist():
        low, high = sorted((first(one), first(other)))
        parent[high] = low
    return [first(index) for index in range(count)]
