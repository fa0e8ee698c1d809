"""Data sets are fetched whole, as their publisher describes them, or not at all."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from midirnn.cli.main import main
from midirnn.datasets import Dataset, fetch
from midirnn.errors import DatasetError, OptionError
from midirnn.midifile import midi_bytes
from tests.datasets.songs import song

TABLE = "songs-1.0/songs-1.0.csv"
MOST = 1 << 20


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def songs() -> dict[str, bytes]:
    """Three songs with the publisher's table of splits."""
    splits = ("train", "validation", "test")
    rows = "".join(f"{split},{number}.mid\n" for number, split in enumerate(splits))
    files = {f"songs-1.0/{n}.mid": midi_bytes(song(n, notes=200)) for n in range(3)}
    return {**files, TABLE: b"split,midi_filename\n" + rows.encode()}


@dataclass
class Publisher:
    """A server that sends one file, with the faults that are put into ``faults``, one a request."""

    content: bytes
    url: str = ""
    requests: list[str] = field(default_factory=list)
    """The range that each request asked for."""
    faults: list[Callable[[Any], bool]] = field(default_factory=list)
    """Each answers a request in its own way and returns true, or leaves it to the server."""


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    publisher = Publisher(zipped(songs()))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server calls
            publisher.requests.append(self.headers.get("Range", ""))
            if publisher.faults and publisher.faults.pop(0)(self):
                return
            send(self, publisher.content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    monkeypatch.setattr(fetch, "WAIT_SECONDS", 0.0)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        publisher.url = f"http://127.0.0.1:{server.server_port}/songs.zip"
        yield publisher
        server.shutdown()
        thread.join()


def send(request: Any, content: bytes, most: int | None = None) -> None:
    """Answer as a server does that knows ranges; after ``most`` bytes it hangs up."""
    asked = request.headers.get("Range", "")
    begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
    if begin >= len(content):
        request.send_error(416)
        return
    request.send_response(206 if asked else 200)
    request.send_header("Content-Length", str(len(content) - begin))
    request.end_headers()
    request.wfile.write(content[begin:][:most])


def download(publisher: Publisher, target: Path, content: bytes | None = None) -> None:
    sha256 = hashlib.sha256(content or publisher.content).hexdigest()
    fetch.download(publisher.url, target, sha256, MOST)


def cutting(publisher: Publisher, most: int) -> Callable[[Any], bool]:
    def fault(request: Any) -> bool:
        send(request, publisher.content, most)
        return True

    return fault


def saying(code: int) -> Callable[[Any], bool]:
    def fault(request: Any) -> bool:
        request.send_error(code)
        return True

    return fault


def redirecting(url: str) -> Callable[[Any], bool]:
    def fault(request: Any) -> bool:
        request.send_response(302)
        request.send_header("Location", url)
        request.end_headers()
        return True

    return fault


def test_a_download_that_is_cut_off_goes_on_where_it_was(
    tmp_path: Path, publisher: Publisher
) -> None:
    publisher.faults = [cutting(publisher, 700), saying(503), cutting(publisher, 50)]
    download(publisher, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == publisher.content
    assert publisher.requests == ["", "bytes=700-", "bytes=700-", "bytes=750-"]


def test_a_server_that_stalls_is_asked_again(
    tmp_path: Path, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "STALL_SECONDS", 1.0)
    released = threading.Event()

    def stall(request: Any) -> bool:
        request.send_response(200)
        request.send_header("Content-Length", str(len(publisher.content)))
        request.end_headers()
        request.wfile.write(publisher.content[:100])
        request.wfile.flush()
        released.wait(20)
        return True

    publisher.faults = [stall]
    download(publisher, tmp_path / "x")
    released.set()
    assert publisher.requests[:2] == ["", "bytes=100-"]
    assert (tmp_path / "x").read_bytes() == publisher.content


def test_the_next_call_goes_on_after_one_that_gave_up(tmp_path: Path, publisher: Publisher) -> None:
    publisher.faults = [cutting(publisher, 600), *[saying(503)] * fetch.TRIES]
    with pytest.raises(DatasetError, match="the same command goes on from 600 bytes"):
        download(publisher, tmp_path / "x")
    publisher.requests.clear()
    publisher.faults.clear()
    download(publisher, tmp_path / "x")
    assert publisher.requests == ["bytes=600-"]
    publisher.requests.clear()
    download(publisher, tmp_path / "x")  # which is there
    assert publisher.requests == []


def test_a_server_without_ranges_sends_it_all_again(tmp_path: Path, publisher: Publisher) -> None:
    def whole(request: Any) -> bool:
        del request.headers["Range"]
        return False

    publisher.faults = [cutting(publisher, 600), whole]
    download(publisher, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == publisher.content


def test_a_beginning_of_another_file_is_thrown_away(tmp_path: Path, publisher: Publisher) -> None:
    for beginning in (b"x" * 300, b"x" * (len(publisher.content) + 1)):
        (tmp_path / "x").write_bytes(beginning)
        download(publisher, tmp_path / "x")
        assert (tmp_path / "x").read_bytes() == publisher.content


def test_another_checksum_is_an_error_and_leaves_nothing(
    tmp_path: Path, publisher: Publisher
) -> None:
    with pytest.raises(DatasetError, match="is not what its publisher describes: its SHA-256 is"):
        download(publisher, tmp_path / "x", b"something else")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_no_redirect_leads_to_a_file_of_this_machine(
    tmp_path: Path, publisher: Publisher, url: str
) -> None:
    publisher.faults = [redirecting(url)]
    with pytest.raises(DatasetError, match=r"is not (downloaded|allowed)"):
        download(publisher, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_to_another_server_is_followed(tmp_path: Path, publisher: Publisher) -> None:
    publisher.faults = [redirecting(publisher.url + "?again")]
    download(publisher, tmp_path / "x")
    assert len(publisher.requests) == 2


def test_a_server_that_never_ends_is_left(tmp_path: Path, publisher: Publisher) -> None:
    def endless(request: Any) -> bool:
        request.send_response(200)
        request.end_headers()
        try:
            while True:
                request.wfile.write(bytes(1 << 16))
        except OSError:
            return True

    publisher.faults = [endless]
    with pytest.raises(DatasetError, match="is larger than 1,048,576 bytes"):
        download(publisher, tmp_path / "x")


def test_a_file_that_is_not_there_is_asked_for_once(tmp_path: Path, publisher: Publisher) -> None:
    publisher.faults = [saying(404)]
    with pytest.raises(DatasetError, match="the server says: 404 Not Found"):
        download(publisher, tmp_path / "x")
    assert len(publisher.requests) == 1


def test_a_host_that_is_not_known_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(DatasetError, match=r"the address of songs\.invalid cannot be looked up"):
        fetch.download("http://songs.invalid/songs.zip", tmp_path / "x", "0" * 64, 1000)


# Archives.


def tarred(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zipped_link() -> bytes:
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(1 << 27))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped({"../outside.mid": b"x"}), "would not be below its folder"),
        (zipped({"/tmp/outside.mid": b"x"}), "would not be below its folder"),
        (zipped({"a/../../outside.mid": b"x"}), "would not be below its folder"),
        (zipped({"..\\outside.mid": b"x"}), "would not be below its folder"),
        (zipped_link(), "is not a file"),
        (tarred((tarfile.TarInfo("../outside.mid"), b"x")), "would not be below its folder"),
        (tarred((link("a", "/etc"), b""), (tarfile.TarInfo("a/x"), b"x")), "is not a file"),
        (tarred((link("a", "/etc/passwd", tarfile.LNKTYPE), b"")), "is not a file"),
        (tarred((link("a", "", tarfile.CHRTYPE), b"")), "is not a file"),
        (zipped({"a.mid": b"x" * 500})[:-100], "cannot be unpacked"),
        (tarred((tarfile.TarInfo("a"), bytes(5000)))[:40], "cannot be unpacked"),
        (bomb(), "unpacks to over"),
    ],
    ids=[
        "zip above",
        "zip absolute",
        "zip above by way of a folder",
        "zip above with backslashes",
        "zip link",
        "tar above",
        "tar through a link",
        "tar hard link",
        "tar device",
        "zip cut off",
        "tar cut off",
        "zip bomb",
    ],
)
def test_an_archive_writes_nothing_outside_of_its_folder(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "archive").write_bytes(content)
    folder = tmp_path / "deep" / "folder"
    folder.mkdir(parents=True)
    with pytest.raises(DatasetError, match=message):
        fetch.unpack(tmp_path / "archive", folder)
    assert list(tmp_path.rglob("*outside*")) == []
    assert not (tmp_path / "deep" / "passwd").exists()


def test_an_honest_tar_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(tarred((tarfile.TarInfo("a/b.mid"), b"content")))
    fetch.unpack(tmp_path / "archive", tmp_path)
    assert (tmp_path / "a" / "b.mid").read_bytes() == b"content"


# The command.


@pytest.fixture
def published(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> Publisher:
    sha256 = hashlib.sha256(publisher.content).hexdigest()
    known = fetch.Published(publisher.url, sha256, 1, "CC0", "Three songs", TABLE)
    monkeypatch.setattr(fetch, "PUBLISHED", {"songs": known})
    return publisher


def test_the_publishers_splits_are_used(
    tmp_path: Path, published: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, dataset = tmp_path / "songs", tmp_path / "data"
    argv = ["fetch", "songs", "-o", str(folder), "--encode", str(dataset)]
    assert main(argv) == 0
    assert "Three songs. Licence: CC0" in capsys.readouterr().out
    counts = Dataset.open(dataset).counts
    assert {split: count.files for split, count in counts.items()} == {
        "train": 1,
        "validation": 1,
        "test": 1,
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "songs"]
    assert main(argv) == 1
    assert "songs exists; remove it" in capsys.readouterr().err


def test_a_data_set_that_exists_is_found_out_before_the_download(
    tmp_path: Path, published: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = tmp_path / "data"
    dataset.mkdir()
    (dataset / "dataset.json").write_text("{}")
    argv = ["fetch", "songs", "-o", str(tmp_path / "songs"), "--encode", str(dataset)]
    assert main(argv) == 1
    assert f"{dataset} exists; remove it, or choose another --encode" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_the_command_that_encodes_it_is_told(
    tmp_path: Path, published: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "songs"
    assert main(["fetch", "songs", "-o", str(folder)]) == 0
    told = capsys.readouterr().out.splitlines()[1]
    assert told == f"encode it with: midirnn encode {folder} -o DATASET --splits {folder / TABLE}"


def test_a_failed_fetch_leaves_the_download_alone_and_no_folder(
    tmp_path: Path, published: Publisher
) -> None:
    published.faults = [cutting(published, 600), *[saying(503)] * fetch.TRIES]
    assert main(["fetch", "songs", "-o", str(tmp_path / "songs")]) == 1
    assert [path.name for path in tmp_path.iterdir()] == [".songs.download.zip"]
    assert main(["fetch", "songs", "-o", str(tmp_path / "songs")]) == 0
    assert published.requests[-1] == "bytes=600-"


def test_an_unknown_name_is_an_error_that_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no data set 'bach'; known are maestro"):
        fetch.fetch("bach", tmp_path / "x")


def test_what_is_published_is_described_whole() -> None:
    for name, published in fetch.PUBLISHED.items():
        assert len(published.sha256) == 64, name
        assert published.url.startswith("http"), name
