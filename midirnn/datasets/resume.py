"""The outcomes of an encoding run so far, saved so that a run that was killed can be continued.

They are saved in the order of the files, in parts, in a hidden folder beside the data set. The data
set itself is written anew from them, so that its bytes are those of an uninterrupted run.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from midirnn.codecs import Codec
from midirnn.datasets.onefile import Encoded, FileRules, Outcome
from midirnn.datasets.remote import AnyFile, RemoteFile
from midirnn.files import write_file

SAVE_SECONDS = 10.0
"""A part is saved this often; a shorter run leaves none."""

SAVE_TOKENS = 5_000_000
"""A part with more tokens than this is saved earlier."""

VERSION = 1
"""The version of the parts. Parts of another version are not used."""

_LOCK = "lock"


_Kept = tuple[str, Outcome]
"""A string that changes when a file does, and the outcome of the file."""

Encode = Callable[[Sequence[AnyFile]], Generator[Outcome, None, None]]


class Journal:
    """The outcomes of earlier runs, and those of this one. Owns a hidden folder beside ``output``.

    Only one process holds it at a time. Another one that writes to the same ``output`` saves
    nothing.
    """

    def __init__(self, output: Path, codec: Codec[Any], rules: FileRules | None = None) -> None:
        self.folder = output.with_name(f".{output.name}.partial")
        ruled = asdict(rules or FileRules())
        self._about = json.dumps(
            [VERSION, version("midirnn"), type(codec).__qualname__, codec.settings(), ruled],
            sort_keys=True,
        )
        self._lock = -1
        self._is_ours = False

    def outcomes(self, paths: Sequence[AnyFile], encode: Encode) -> Generator[Outcome, None, None]:
        """Yield the outcome of each file: those known, then what ``encode(paths)`` yields.

        A file that has changed since is encoded again, and so are those after it.
        """
        begin = 0
        try:
            self._is_ours = self._take()
            for outcome in self._known(paths):
                begin += 1
                yield outcome
            rest = encode(paths[begin:])
            try:
                yield from self._keeping(rest, paths[begin:], begin)
            finally:
                rest.close()
        finally:
            self._release()

    def forget(self) -> None:
        """Remove what was saved."""
        if self._is_ours:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _known(self, paths: Sequence[AnyFile]) -> Iterator[Outcome]:
        """Yield the outcomes of earlier runs for these files, as far as they are intact."""
        position = 0
        while self._is_ours:
            rows = self._read(position)
            pairs = zip(rows, paths[position:], strict=False)
            fresh = list(takewhile(lambda pair: pair[0][0] == _mark(pair[1]), pairs))
            yield from (outcome for (_, outcome), _ in fresh)
            position += len(fresh)
            if not fresh:
                return

    def _keeping(
        self, outcomes: Iterable[Outcome], paths: Sequence[AnyFile], position: int
    ) -> Iterator[Outcome]:
        """Yield the outcomes, and save them from time to time."""
        waiting: list[_Kept] = []
        tokens, saved = 0, time.monotonic()
        for outcome, path in zip(outcomes, paths, strict=True):
            waiting.append((_mark(path), outcome))
            tokens += len(outcome.tokens) if isinstance(outcome, Encoded) else 0
            yield outcome
            if tokens > SAVE_TOKENS or time.monotonic() - saved > SAVE_SECONDS:
                if self._is_ours:
                    self._write(position, waiting)
                position += len(waiting)
                waiting, tokens, saved = [], 0, time.monotonic()

    def _part(self, position: int) -> Path:
        return self.folder / f"{position:09d}"

    def _write(self, position: int, rows: list[_Kept]) -> None:
        """Save a part. Errors, such as a full disk, are ignored."""
        lines = [
            [mark, outcome]
            if isinstance(outcome, str)
            else [
                mark,
                len(outcome.tokens),
                outcome.duration,
                outcome.notes,
                outcome.sha256,
                outcome.damage,
            ]
            for mark, outcome in rows
        ]
        tokens = [outcome.tokens for _, outcome in rows if isinstance(outcome, Encoded)]
        head = json.dumps([self._about, lines]).encode()
        body = np.concatenate([np.empty(0, np.uint16), *tokens]).astype("<u2").tobytes()
        content = len(head).to_bytes(8, "little") + head + body
        with suppress(OSError):
            write_file(self._part(position), hashlib.sha256(content).digest() + content)

    def _read(self, position: int) -> list[_Kept]:
        """Return a part if it is intact and of these settings; else an empty list."""
        try:
            content = self._part(position).read_bytes()
        except OSError:
            return []
        checksum, content = content[:32], content[32:]
        if hashlib.sha256(content).digest() != checksum:
            return []
        size = int.from_bytes(content[:8], "little")
        about, lines = json.loads(content[8 : 8 + size])
        tokens = np.frombuffer(content, "<u2", offset=8 + size).astype(np.uint16)
        rows: list[_Kept] = []
        for mark, *outcome in lines if about == self._about else ():
            if len(outcome) == 1:
                rows.append((mark, outcome[0]))
                continue
            length, duration, notes, sha256, damage = outcome
            rows.append((mark, Encoded(tokens[:length], duration, notes, sha256, damage)))
            tokens = tokens[length:]
        return rows

    def _take(self) -> bool:
        """Lock the folder; return whether it is ours."""
        if find_spec("fcntl") is None:
            return False
        import fcntl

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _release(self) -> None:
        """Unlock the folder, and remove it if nothing is in it."""
        if self._is_ours and not any(path.name != _LOCK for path in self.folder.glob("*")):
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _mark(path: AnyFile) -> str:
    """Return a string that changes when a file does: its path, size and modification time."""
    try:
        if isinstance(path, RemoteFile):
            return f"{path} {path.mark()}"
        status = path.stat()
    except OSError:
        return f"{path} is not there"
    return f"{path} {status.st_size} {status.st_mtime_ns}"
