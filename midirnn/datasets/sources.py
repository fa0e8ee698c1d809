"""Find the files to encode in a list of files and folders."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midirnn.datasets.lists import DiskList
from midirnn.datasets.remote import AnyFile, RemoteFile, find_remote, remote_url
from midirnn.errors import DatasetError
from midirnn.files import reason_of


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to encode, and where it was found."""

    path: AnyFile
    root: Path
    """The source folder, or the file's own folder; for a remote file, the source."""
    inside: str = ""
    """The path of a remote file below its source."""


@dataclass(frozen=True, slots=True)
class Job:
    """A file to encode, the name under which it is stored, and its split if known."""

    path: AnyFile
    name: str
    split: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file or folder that was not used, and the reason."""

    path: str
    reason: str


def find_files(
    sources: Sequence[str | os.PathLike[str]], suffixes: Collection[str]
) -> tuple[Sequence[SourceFile], list[Refusal]]:
    """Return the files below some sources, in a fixed order, and folders that cannot be listed.

    Folders and their subfolders are searched for files with one of the ``suffixes``; a source that
    is itself a file is taken whatever its name. Links are followed, but no folder is searched twice
    and no file is taken twice. A source may be an archive, or a URL that fsspec opens. A long list
    of files is kept on disk. Raises :class:`DatasetError` for a source that does not exist, and if
    there is no file at all.
    """
    refused: list[Refusal] = []
    files = _source_files()
    remote: set[RemoteFile] = set()
    seen: set[tuple[int, int]] = set()
    aliases: set[str] = set()
    for given in sources:
        if (url := remote_url(given)) is not None:
            for file, inside in find_remote(os.fspath(given), url):
                if file.suffix.lower() in suffixes and file not in remote:
                    files.append(SourceFile(file, Path(given), inside))
                    if len(sources) > 1:
                        remote.add(file)
            continue
        source = Path(given)
        if not source.exists():
            raise DatasetError(f"{source}: there is no such file or folder")
        is_folder = source.is_dir()
        for path in _walk(source, suffixes, seen, refused) if is_folder else [source]:
            root = source if is_folder else source.parent
            files.append(SourceFile(path, root))
            if not is_folder or path.is_symlink():
                aliases.add(os.path.realpath(path))
    if aliases:
        files = _first_of(files, aliases)
    if not files:
        names = ", ".join(map(str, sources)) or "an empty list of sources"
        raise DatasetError(f"no files {', '.join('*' + s for s in suffixes)} in {names}")
    return files, refused


def _first_of(files: Sequence[SourceFile], aliases: Collection[str]) -> DiskList[SourceFile]:
    """Return the files without those that have the same real path as an earlier one.

    Only real paths among ``aliases`` can occur twice, since no folder is searched twice.
    """
    kept = _source_files()
    taken: set[str] = set()
    for file in files:
        real = os.path.realpath(file.path) if isinstance(file.path, Path) else ""
        if real not in taken:
            kept.append(file)
        if real in aliases:
            taken.add(real)
    return kept


def _source_files() -> DiskList[SourceFile]:
    return DiskList(
        lambda file: [_path_to_json(file.path), str(file.root), file.inside],
        lambda row: SourceFile(_path_from_json(row[0]), Path(row[1]), row[2]),
    )


def job_list() -> DiskList[Job]:
    """Return an empty list of jobs."""
    return DiskList(
        lambda job: [_path_to_json(job.path), job.name, job.split],
        lambda row: Job(_path_from_json(row[0]), *row[1:]),
    )


def _path_to_json(path: AnyFile) -> Any:
    return [path.url, path.path] if isinstance(path, RemoteFile) else str(path)


def _path_from_json(row: Any) -> AnyFile:
    return Path(row) if isinstance(row, str) else RemoteFile(*row)


def _walk(
    root: Path, suffixes: Collection[str], seen: set[tuple[int, int]], refused: list[Refusal]
) -> Iterator[Path]:
    """Yield the files below a folder, sorted within each folder."""

    def is_new(folder: Path) -> bool:
        try:
            status = folder.stat()
        except OSError:
            return True  # listing it fails with a reason
        identity = (status.st_dev, status.st_ino)
        found_before = identity in seen
        seen.add(identity)
        return not found_before

    def cannot_list(error: OSError) -> None:
        path = display_path(Path(error.filename))
        refused.append(Refusal(path, f"cannot be listed ({reason_of(error)})"))

    if not is_new(root):
        return
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=cannot_list):
        subfolders[:] = [name for name in sorted(subfolders) if is_new(Path(folder, name))]
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix.lower() in suffixes and _can_be_read_whole(path):
                yield path


def _can_be_read_whole(path: Path) -> bool:
    """Return False for pipes and devices, which may never end. Dead links are refused later."""
    try:
        return path.is_file() or not path.exists()
    except OSError:  # whatever it is, it is refused with this reason when it is read
        return True


def named_jobs(files: Iterable[SourceFile]) -> Sequence[Job]:
    """Return a job for each file, named by its path below the folder that holds all.

    If some are remote, names are paths below each one's source, preceded by the name of the source
    if there are several.
    """
    roots = {file.root: isinstance(file.path, RemoteFile) for file in files}
    several = len(roots) > 1
    local = not any(roots.values())
    folder = os.path.commonpath({root.absolute() for root in roots}) if local else ""
    jobs = job_list()
    for file in files:
        if folder:
            name = display_path(Path(os.path.relpath(str(file.path), folder)))
        else:
            name = f"{file.root.name}/{below(file)}" if several else below(file)
        jobs.append(Job(file.path, name, None))
    return jobs


def below(file: SourceFile) -> str:
    """Return the path of a file below its source."""
    if isinstance(file.path, RemoteFile):
        return file.inside
    return display_path(Path(os.path.relpath(file.path, file.root)))


def display_path(path: Path) -> str:
    """Return a path as text to print and store; bytes that are not UTF-8 become ``\\xe9``."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")
