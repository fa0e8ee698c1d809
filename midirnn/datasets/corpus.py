"""Encode a corpus: files that may be cut, with a codec that takes its vocabulary from them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midirnn.codecs import Codec, CorpusCodec
from midirnn.codecs.passages import Passage
from midirnn.datasets.remote import RemoteFile, on_disk
from midirnn.datasets.sources import Job, Refusal
from midirnn.datasets.splits import SPLIT_ORDER, SplitShares
from midirnn.datasets.writer import Row
from midirnn.errors import DatasetError, MidirnnError
from midirnn.files import reason_of

Result = tuple[list[Row], list[Refusal]]
"""The outcome of one file: the rows of its pieces, and what could not be used."""


@dataclass(frozen=True)
class Corpus:
    """Files that have been read, with the codec fitted to their training pieces."""

    codec: Codec[Any]
    contents: list[tuple[Job, dict[str, list[Passage]] | Refusal]]
    """Each file's pieces by split, or why there are none."""

    def results(self) -> Iterator[Result]:
        """Encode each file in turn."""
        for job, content in self.contents:
            yield ([], [content]) if isinstance(content, Refusal) else self._encoded(job, content)

    def _encoded(self, job: Job, content: dict[str, list[Passage]]) -> Result:
        assert isinstance(self.codec, CorpusCodec)
        rows, refused, number = [], [], 0
        pieces = sum(map(len, content.values()))
        for split, passages in content.items():
            for passage in passages:
                number += 1
                name = f"{job.name}#{number}" if pieces > 1 else job.name
                sha256 = hashlib.sha256(passage.text.encode()).hexdigest()
                try:
                    tokens = self.codec.encode_passage(passage)
                except MidirnnError as error:
                    refused.append(Refusal(job.name, f"{split}: {error}"))
                    continue
                rows.append(Row(tokens, name, split, 0.0, 0, sha256))
        return rows, refused


def read_corpus(codec: CorpusCodec, jobs: Sequence[Job], shares: SplitShares | None) -> Corpus:
    """Read files and fit the codec to their training pieces.

    Files without a split of their own are cut by position, according to ``shares``: training comes
    first, then validation, then testing. Raises :class:`DatasetError` if nothing is left to train
    on.
    """
    codec = codec.for_files([Path(job.path.name) for job in jobs])
    contents = [(job, _read(codec, job, shares)) for job in jobs]
    training = [
        passage
        for _, content in contents
        if not isinstance(content, Refusal)
        for passage in content.get("train", [])
    ]
    if training:
        codec = codec.fit(training)
    elif not all(isinstance(content, Refusal) for _, content in contents):
        raise DatasetError(
            "no text is for training, and the characters come from the training text; give a "
            "longer text, or a table of splits in which a file is for 'train'"
        )
    return Corpus(codec, contents)  # type: ignore[arg-type]  # it is a Codec too


def _read(
    codec: CorpusCodec, job: Job, shares: SplitShares | None
) -> dict[str, list[Passage]] | Refusal:
    """Return a file's pieces by split."""
    try:
        data = job.path.read_bytes() if isinstance(job.path, RemoteFile) else b""
        with on_disk(job.path, data) as path:
            passages = codec.passages(path)
    except MidirnnError as error:
        return Refusal(job.name, str(error).removeprefix(f"{path} "))
    except OSError as error:
        return Refusal(job.name, f"cannot be read ({reason_of(error)})")
    if job.split is not None:
        return {job.split: passages}
    assert shares is not None
    ends = (1.0 - shares.validation - shares.test, 1.0 - shares.test, 1.0)
    parts = zip(SPLIT_ORDER, codec.cut(passages, ends), strict=True)
    return {split: part for split, part in parts if part}
