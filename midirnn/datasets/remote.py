"""Files that are not on a disk of this machine: in an archive, or wherever fsspec reaches.

A location is a URL of fsspec (``s3://bucket/folder``, ``zip://::https://host/file.zip``), or the
path of an archive, which is read in place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from midirnn.errors import DatasetError, MissingExtraError
from midirnn.files import reason_of

ARCHIVES = {
    ".zip": ("zip", None),
    ".tar": ("tar", None),
    ".tar.gz": ("tar", "gzip"),
    ".tgz": ("tar", "gzip"),
    ".tar.bz2": ("tar", "bz2"),
    ".tar.xz": ("tar", "xz"),
}
"""The suffixes of archives, the fsspec protocol that reads each, and its compression."""


def is_url(location: str | os.PathLike[str]) -> bool:
    """Return whether a location is a URL, not a path."""
    return isinstance(location, str) and "://" in location


def remote_url(source: str | os.PathLike[str]) -> str | None:
    """Return the URL with which fsspec opens a source; None for a file or folder on disk."""
    text = os.fspath(source)
    kind, _ = _archive(text)
    if is_url(source):
        return f"{kind}://::{text}" if kind and "::" not in text else text
    if kind and Path(source).is_file():
        return f"{kind}://::{Path(source).absolute().as_uri()}"
    return None


def _archive(name: str) -> tuple[str | None, str | None]:
    """Return the protocol and the compression of an archive; None for other files."""
    lower = name.lower()
    found = (about for end, about in ARCHIVES.items() if lower.endswith(end))
    return next(found, (None, None))


@dataclass(frozen=True)
class RemoteFile:
    """A file in a filesystem of fsspec."""

    url: str
    """The URL that opens the filesystem: that of an archive or a folder."""
    path: str
    """The path of the file in it."""

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(self.path).name

    @property
    def suffix(self) -> str:
        """The suffix of its name: ``.mid``."""
        return PurePosixPath(self.path).suffix

    def __str__(self) -> str:
        return f"{self.path} in {self.url}"

    def absolute(self) -> RemoteFile:
        """Return the file itself, as :meth:`Path.absolute` does for a path."""
        return self

    def read_bytes(self) -> bytes:
        """Return its contents. Raises :class:`OSError` if it cannot be read."""
        with _os_errors():
            return bytes(_filesystem(self.url)[0].cat_file(self.path))

    def open(self) -> Any:
        """Return a file object, which fetches only what is read.

        Raises :class:`OSError` if it cannot be opened.
        """
        with _os_errors():
            return _filesystem(self.url)[0].open(self.path)

    def is_file(self) -> bool:
        """Return whether it is there. Raises :class:`OSError`."""
        with _os_errors():
            return bool(_filesystem(self.url)[0].isfile(self.path))

    def mark(self) -> str:
        """Return a string that changes when the file does. Raises :class:`OSError`."""
        with _os_errors():
            return str(_filesystem(self.url)[0].ukey(self.path))


def find_remote(source: str, url: str) -> Iterator[tuple[RemoteFile, str]]:
    """Yield the files of a source, in a fixed order, each with its path below the source.

    In an archive this is the order in which they are stored: reading them in it is fastest.
    Raises :class:`DatasetError` if the source cannot be opened.
    """
    try:
        with _os_errors():
            filesystem, root = _filesystem(url)
            found = list(filesystem.find(root))
    except OSError as error:
        raise DatasetError(f"{source} cannot be opened ({reason_of(error)})") from None
    if not found:
        raise DatasetError(f"{source} holds no files")
    order = {name: place for place, name in enumerate(getattr(filesystem, "index", ()))}
    for path in sorted(found, key=lambda path: (order.get(path, 0), path)):
        inside = path.removeprefix(root).lstrip("/") or PurePosixPath(path).name
        yield RemoteFile(url, path), inside


AnyFile = Path | RemoteFile
"""A file on disk or elsewhere."""


def file_in(folder: str | os.PathLike[str], name: str) -> AnyFile:
    """Return the file of that name in a folder, which may be a URL.

    Raises :class:`OSError` for a URL that cannot be opened.
    """
    if not is_url(folder):
        return Path(folder, name)
    url = os.fspath(folder)
    with _os_errors():
        return RemoteFile(url, f"{_filesystem(url)[1]}/{name}")


@contextmanager
def on_disk(path: AnyFile, data: bytes) -> Iterator[Path]:
    """Yield a path to the file on disk: its own, or that of a temporary copy."""
    if isinstance(path, Path):
        yield path
        return
    with TemporaryDirectory(prefix="midirnn-") as folder:
        copy = Path(folder, f"file{path.suffix}")
        copy.write_bytes(data)
        yield copy


# Targets.

ARRIVING = "midirnn-upload"
"""The folder, at a target, of the files of an upload until all have arrived."""


def check_target(url: str, manifest: str, *, overwrite: bool) -> None:
    """Refuse to overwrite anything but a data set, and that only with ``overwrite``."""
    with _dataset_errors(url):
        filesystem, root = _filesystem(url)
        if not filesystem.exists(root) or not filesystem.ls(root):
            return
        is_dataset = filesystem.exists(f"{root}/{manifest}")
        is_unfinished = filesystem.exists(f"{root}/{ARRIVING}")
    if not is_dataset and is_unfinished:  # by an upload that failed
        return
    if not is_dataset:
        raise DatasetError(f"{url} exists and is not a data set; choose another --output")
    if not overwrite:
        raise DatasetError(f"{url} exists; replace it with --overwrite or choose another --output")


def upload(folder: Path, url: str, manifest: str) -> None:
    """Copy the files of a folder to a URL. The manifest exists only while all others do.

    What was there before is removed once all files have arrived.
    """
    with _dataset_errors(url):
        filesystem, root = _filesystem(url)
        arriving = f"{root}/{ARRIVING}"
        if filesystem.exists(arriving):
            filesystem.rm(arriving, recursive=True)
        filesystem.makedirs(arriving, exist_ok=True)
        names = sorted((file.name for file in folder.iterdir()), key=lambda n: (n == manifest, n))
        for name in names:
            filesystem.put_file(str(folder / name), f"{arriving}/{name}")
        if filesystem.exists(f"{root}/{manifest}"):
            filesystem.rm(f"{root}/{manifest}")
        filesystem.invalidate_cache(root)
        for path in filesystem.ls(root, detail=False):
            if PurePosixPath(path).name != ARRIVING:
                filesystem.rm(path, recursive=True)
        for name in names:
            filesystem.mv(f"{arriving}/{name}", f"{root}/{name}")
        if filesystem.exists(arriving):
            filesystem.rm(arriving, recursive=True)


@lru_cache(maxsize=16)
def _filesystem(url: str) -> tuple[Any, str]:
    """Return the filesystem of a URL, kept open for further files, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise MissingExtraError("fsspec", "remote", f"opening {url}") from None
    _, compression = _archive(url)
    options = {"tar": {"compression": compression}} if compression else {}
    filesystem, root = url_to_fs(url, **options)
    return filesystem, root.rstrip("/")


@contextmanager
def _os_errors() -> Iterator[None]:
    """Raise the errors of a filesystem, each of which has its own, as :class:`OSError`."""
    try:
        yield
    except (OSError, MissingExtraError):
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {reason_of(error)}") from error


@contextmanager
def _dataset_errors(url: str) -> Iterator[None]:
    try:
        with _os_errors():
            yield
    except OSError as error:
        raise DatasetError(f"{url} cannot be written ({reason_of(error)})") from error
