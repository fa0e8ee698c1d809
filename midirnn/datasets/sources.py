"""Finding the MIDI files that a list of files and folders means."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from midirnn.errors import DatasetError

SUFFIXES = (".mid", ".midi")
"""Names of MIDI files end in one of these, in capitals or not."""


@dataclass(frozen=True)
class MidiSource:
    """A file to encode and the folder in which it was found (its own if it was named itself)."""

    path: str
    root: str


@dataclass(frozen=True)
class Refusal:
    """A file or folder that was not used, and why."""

    path: str
    reason: str


def find_midi(sources: Sequence[str | os.PathLike[str]]) -> tuple[list[MidiSource], list[Refusal]]:
    """The MIDI files meant by files and folders, in a fixed order, and folders not to be listed.

    Folders are searched to their depth. Links are followed, but no folder is searched twice and
    no file is taken twice. Raises :class:`DatasetError` for a source that does not exist, and if
    there is no MIDI file at all.
    """
    refused: list[Refusal] = []
    files: dict[str, MidiSource] = {}
    seen: set[tuple[int, int]] = set()
    for source in map(os.fspath, sources):
        if not Path(source).exists():
            raise DatasetError(f"{source}: there is no such file or folder")
        found = _walk(source, seen, refused) if Path(source).is_dir() else [source]
        root = source if Path(source).is_dir() else os.path.dirname(source) or os.curdir
        for path in found:
            files.setdefault(os.path.realpath(path), MidiSource(path, root))
    if not files:
        names = ", ".join(map(os.fspath, sources)) or "an empty list of sources"
        raise DatasetError(f"no MIDI files ({', '.join('*' + s for s in SUFFIXES)}) in {names}")
    return list(files.values()), refused


def _walk(root: str, seen: set[tuple[int, int]], refused: list[Refusal]) -> Iterator[str]:
    """Paths of the MIDI files below a folder, sorted within each folder."""

    def is_new(folder: str) -> bool:
        status = os.stat(folder)
        identity = (status.st_dev, status.st_ino)
        return identity not in seen and not seen.add(identity)  # type: ignore[func-returns-value]

    def cannot_list(error: OSError) -> None:
        refused.append(Refusal(display_path(error.filename), f"cannot be listed ({error.strerror})"))

    if not is_new(root):
        return
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=cannot_list):
        subfolders[:] = [name for name in sorted(subfolders) if is_new(os.path.join(folder, name))]
        for name in sorted(names):
            path = os.path.join(folder, name)
            if name.lower().endswith(SUFFIXES) and _is_no_pipe(path):
                yield path


def _is_no_pipe(path: str) -> bool:
    """Whether a path is a file or a dead link, and no pipe or device, which may never end."""
    return os.path.isfile(path) or not os.path.exists(path)


def common_folder(sources: Iterable[MidiSource]) -> str:
    """The deepest folder that holds all sources."""
    return os.path.commonpath([os.path.abspath(source.root) for source in sources])


def display_path(path: str) -> str:
    """A path as text that can be printed and stored: bytes that are no UTF-8 are replaced."""
    return os.fsencode(path).decode("utf-8", "replace").replace(os.sep, "/")
