"""Download data sets from their publishers: checked, resumed, unpacked only below their folder."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import socket
import stat
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, ClassVar

from midirnn.errors import DatasetError, OptionError
from midirnn.files import one_line_errors, put_in_place, reason_of

STALL_SECONDS = 30.0
"""A server that sends nothing for this long is asked again."""

TRIES = 5
"""After this many failures in a row, without anything new received, a download is given up."""

WAIT_SECONDS = 1.0
"""The wait before a second try; it doubles before each further one."""

MOST_UNPACKED = 50
"""An archive that unpacks to more than this many times its size, and over 64 MiB, is refused."""

_BLOCK = 1 << 18
_SCHEMES = ("http", "https")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Published:
    """A data set as its publisher offers it."""

    url: str
    sha256: str
    megabytes: int
    """About the size of the archive."""
    licence: str
    about: str
    table: str | None = None
    """The publisher's table of splits, below the folder to which the archive is unpacked."""


PUBLISHED = {
    "maestro": Published(
        "https://storage.googleapis.com/magentadata/datasets/maestro/v3.0.0/maestro-v3.0.0-midi.zip",
        "70470ee253295c8d2c71e6d9d4a815189e35c89624b76d22fce5a019d5dde12c",
        58,
        "CC BY-NC-SA 4.0",
        "MAESTRO v3: 199 hours of piano competitions (Hawthorne et al., 2019)",
        "maestro-v3.0.0/maestro-v3.0.0.csv",
    ),
    "lakh": Published(
        "http://hog.ee.columbia.edu/craffel/lmd/lmd_full.tar.gz",
        "6fcfe2ac49ca08f3f214cec86ab138d4fc4dabcd7f27f491a838dae6db45a12b",
        1769,
        "CC BY 4.0 (the collection; the songs are others')",
        "Lakh: 178,561 files of all kinds (Raffel, 2016)",
    ),
}
"""What can be fetched, by name. The checksums are the publishers' own."""


def fetch(name: str, output: Path, progress: Progress | None = None) -> Published:
    """Download a data set and unpack it to a new folder ``output``.

    An interrupted download is resumed: what has been received is kept beside ``output``. Raises
    :class:`OptionError` for an unknown name, and :class:`DatasetError` if the folder exists, if the
    download fails, is not what the publisher describes, or cannot be unpacked.
    """
    if name not in PUBLISHED:
        raise OptionError(f"there is no data set {name!r}; known are {', '.join(PUBLISHED)}")
    published = PUBLISHED[name]
    if output.exists():
        raise DatasetError(f"{output} exists; remove it, or choose another --output")
    ending = "".join(PurePosixPath(published.url).suffixes[-2:])
    archive = output.with_name(f".{output.name}.download{'.zip' if '.zip' in ending else ending}")
    download(published.url, archive, published.sha256, published.megabytes * 2_000_000, progress)
    fresh = output.with_name(f".{output.name}.new")
    try:
        with one_line_errors(output, DatasetError):
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            unpack(archive, fresh)
            if published.table and not (fresh / published.table).is_file():
                raise DatasetError(f"{published.url} has no table {published.table}")
            put_in_place(fresh, output)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    archive.unlink(missing_ok=True)
    return published


# Downloads.


class _StoppedError(Exception):
    """A server stopped sending; what it sent is kept."""


def download(
    url: str,
    target: Path,
    sha256: str,
    most_bytes: int,
    progress: Progress | None = None,
) -> None:
    """Download a file, unless it exists with this SHA-256 already.

    ``target`` grows while the server sends, and the next call resumes at its end. A file with
    another checksum is removed.
    """
    with one_line_errors(target, DatasetError):
        target.parent.mkdir(parents=True, exist_ok=True)
        began = _size(target)
        if began and _digest(target) == sha256:
            return
    failures = 0
    while True:
        before = _size(target)
        try:
            _receive(url, target, most_bytes, progress)
            break
        except _StoppedError as error:
            failures = 1 if _size(target) > before else failures + 1
            if failures >= TRIES:
                raise DatasetError(
                    f"{url} cannot be downloaded ({error}); the same command goes on from "
                    f"{_size(target):,} bytes"
                ) from None
            time.sleep(WAIT_SECONDS * 2 ** (failures - 1))
    found = _digest(target)
    if found == sha256:
        return
    target.unlink()
    if began:  # what was there may have been the beginning of another file
        download(url, target, sha256, most_bytes, progress)
        return
    raise DatasetError(
        f"{url} is not what its publisher describes: its SHA-256 is {found}, not {sha256}"
    )


def _receive(url: str, target: Path, most_bytes: int, progress: Progress | None) -> None:
    """Append the rest of the file to the target.

    Raises :class:`_StoppedError` if the server stops, and :class:`DatasetError` if trying again is
    of no use.
    """
    have = _size(target)
    with closing(_open(url, have)) as response:
        goes_on = response.status == http.HTTPStatus.PARTIAL_CONTENT
        have = have if goes_on else 0
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else 0
        with one_line_errors(target, DatasetError), target.open("ab" if goes_on else "wb") as file:
            for block in _blocks(response):
                have += len(block)
                if have > most_bytes:
                    raise DatasetError(f"{url} is larger than {most_bytes:,} bytes; this is wrong")
                file.write(block)
                if progress is not None:
                    progress(have, total)
    if total and have < total:
        raise _StoppedError(f"the server stopped after {have:,} of {total:,} bytes")


def _blocks(response: Any) -> Iterator[bytes]:
    """Yield what the server sends."""
    while True:
        try:
            block = response.read1(_BLOCK)  # what has arrived, not a whole block
        except http.client.IncompleteRead as error:
            yield error.partial
            raise _StoppedError("the server stopped in the middle") from None
        except (OSError, http.client.HTTPException) as error:
            raise _StoppedError(reason_of(error)) from None
        if not block:
            return
        yield block


def _open(url: str, begin: int) -> Any:
    """Request a file from byte ``begin`` on; the response is empty if it ends before that."""
    _check_scheme(url)
    headers = {"User-Agent": "midirnn"} | ({"Range": f"bytes={begin}-"} if begin else {})
    request = urllib.request.Request(url, headers=headers)
    opener = urllib.request.build_opener(_Redirects)
    try:
        return opener.open(request, timeout=STALL_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return _Nothing()
        if error.code >= 500 or error.code == http.HTTPStatus.TOO_MANY_REQUESTS:
            raise _StoppedError(f"the server says: {error.code} {error.reason}") from None
        raise DatasetError(
            f"{url} cannot be downloaded (the server says: {error.code} {error.reason})"
        ) from None
    except urllib.error.URLError as error:
        reason = error.reason if isinstance(error.reason, Exception) else error
        if isinstance(reason, socket.gaierror):
            host = urllib.parse.urlsplit(url).hostname
            raise _StoppedError(
                f"the address of {host} cannot be looked up: is this machine online?"
            ) from None
        raise _StoppedError(reason_of(reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise _StoppedError(reason_of(error)) from None


class _Nothing:
    """The empty response to a request from beyond the end of a file."""

    status = http.HTTPStatus.PARTIAL_CONTENT
    headers: ClassVar[dict[str, str]] = {}

    def read1(self, size: int) -> bytes:
        return b""

    def close(self) -> None:
        pass


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to other servers, never to a file of this machine."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str) -> None:
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme not in _SCHEMES:
        raise DatasetError(f"{url} is not downloaded: only {' and '.join(_SCHEMES)} URLs are")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Archives.


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the files of a zip or tar archive below a folder.

    Raises :class:`DatasetError` for an archive that is damaged, that holds a path outside of the
    folder, a link or a device, or that unpacks to much more than its size.
    """
    most = max(_size(archive) * MOST_UNPACKED, 1 << 26)
    unpacked = 0
    try:
        for name, is_folder, content in _members(archive):
            target = _inside(folder, name, archive)
            if is_folder:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with content() as source, target.open("xb") as file:
                while block := source.read(_BLOCK):
                    unpacked += len(block)
                    if unpacked > most:
                        raise DatasetError(f"{archive} unpacks to over {most:,} bytes")
                    file.write(block)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError) as error:
        raise DatasetError(f"{archive} cannot be unpacked ({reason_of(error)})") from None


def _inside(folder: Path, name: str, archive: Path) -> Path:
    """Return the path to which a file of an archive is unpacked."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name or not path.parts:
        raise DatasetError(f"{archive} holds {name!r}, which would not be below its folder")
    return folder / path


_Member = tuple[str, bool, Callable[[], IO[bytes]]]


def _members(archive: Path) -> Iterator[_Member]:
    """Yield the name of each member, whether it is a folder, and a function that opens it."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                mode = info.external_attr >> 16
                if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise DatasetError(f"{archive} holds {info.filename!r}, which is not a file")
                yield info.filename, info.is_dir(), partial(opened.open, info)
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            if not (member.isreg() or member.isdir()):
                raise DatasetError(f"{archive} holds {member.name!r}, which is not a file")
            yield member.name, member.isdir(), partial(_extracted, tar, member)


def _extracted(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(member)
    assert file is not None
    return file
