"""Archives and URLs are read in place, and a URL can be the target."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from midirnn import SplitShares, SplitTable, encode_files
from midirnn.cli.main import main
from midirnn.codecs import TextCodec
from midirnn.datasets import Dataset
from midirnn.errors import DatasetError
from tests.datasets.songs import write_songs

fsspec = pytest.importorskip("fsspec")
ALL_TRAIN = SplitShares(0.0, 0.0)


@pytest.fixture
def memory() -> Iterator[Any]:
    """The filesystem of memory:// addresses, empty before and after."""
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    yield filesystem
    filesystem.store.clear()


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    folder = write_songs(tmp_path / "songs", 6)
    (folder / "bad.mid").write_bytes(b"MThd")
    (folder / "notes.txt").write_text("no music")
    return folder


def packed(songs: Path, path: Path) -> Path:
    """An archive with the files of a folder in a folder of its own, in an order of its own."""
    files = sorted((file for file in songs.rglob("*") if file.is_file()), reverse=True)
    names = {file: f"songs-1.0/{file.relative_to(songs)}" for file in files}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file, name in names.items():
                archive.write(file, name)
    else:
        with tarfile.open(path, "w:gz") as tar:
            for file, name in names.items():
                tar.add(file, name)
    return path


def pieces(folder: Path) -> dict[str, bytes]:
    """The tokens of each piece, by the last part of its name."""
    dataset = Dataset.open(folder)
    rows = zip(dataset.rows("train"), dataset.pieces("train"), strict=True)
    return {Path(row["path"]).name: tokens.tobytes() for row, tokens in rows}


@pytest.mark.parametrize("name", ["songs.zip", "songs.tar.gz", "songs.tgz"])
@pytest.mark.parametrize("workers", [1, 2])
def test_an_archive_is_read_in_place(
    tmp_path: Path, songs: Path, name: str, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("midirnn.datasets.workers.CHUNK", 2)
    encode_files([songs], tmp_path / "plain", splits=ALL_TRAIN, workers=1)
    report = encode_files(
        [packed(songs, tmp_path / name)], tmp_path / "out", splits=ALL_TRAIN, workers=workers
    )
    assert pieces(tmp_path / "out") == pieces(tmp_path / "plain")
    assert [refusal.path for refusal in report.refused] == ["songs-1.0/bad.mid"]


def test_a_table_names_files_in_an_archive_with_or_without_its_folder(
    tmp_path: Path, songs: Path
) -> None:
    archive = packed(songs, tmp_path / "songs.zip")
    rows = {"song00.mid": "train", "songs-1.0/deep/song01.mid": "test"}
    table = SplitTable(tmp_path / "elsewhere" / "t.csv", rows)
    report = encode_files([archive], tmp_path / "out", splits=table)
    assert {split: count.files for split, count in report.counts.items()} == {"train": 1, "test": 1}


@pytest.mark.parametrize("names", [("a.zip", "b.zip"), ("a.zip", "plain")])
def test_of_several_sources_the_table_of_clean_names_files_as_encode_does(
    tmp_path: Path, songs: Path, names: tuple[str, str]
) -> None:
    pytest.importorskip("datasketch")
    archive, other = packed(songs, tmp_path / names[0]), tmp_path / names[1]
    write_songs(tmp_path / "plain", 3)
    if other.suffix:
        packed(tmp_path / "plain", other)
    table, sources = tmp_path / "tables" / "clean.csv", [str(archive), str(other)]
    table.parent.mkdir()
    argv = ["--workers", "1"]
    assert main(["clean", *sources, "-o", str(table), *argv]) == 0
    out = tmp_path / "out"
    assert main(["encode", *sources, "-o", str(out), "--splits", str(table), *argv]) == 0
    dataset = Dataset.open(out)
    assert sum(len(dataset.rows(split)) for split in dataset.splits) == 9


def test_several_sources_are_told_apart_by_their_names(tmp_path: Path, songs: Path) -> None:
    first, second = (packed(songs, tmp_path / name) for name in ("a.zip", "b.zip"))
    encode_files([first, second], tmp_path / "out", splits=ALL_TRAIN)
    names = [row["path"] for row in Dataset.open(tmp_path / "out").rows("train")]
    assert len(set(names)) == len(names) == 12
    assert {name.partition("/")[0] for name in names} == {"a.zip", "b.zip"}


def test_a_run_to_a_url_from_a_url_leaves_what_one_on_the_disk_leaves(
    tmp_path: Path, songs: Path, memory: Any
) -> None:
    memory.put(str(songs), "/bucket/songs", recursive=True)
    encode_files([songs], tmp_path / "plain", splits=ALL_TRAIN, workers=1)
    report = encode_files(["memory://bucket/songs"], "memory://bucket/out", splits=ALL_TRAIN)
    assert report.output == "memory://bucket/out"
    memory.get("/bucket/out", str(tmp_path / "out"), recursive=True)
    assert pieces(tmp_path / "out") == pieces(tmp_path / "plain")
    with pytest.raises(DatasetError, match="memory://bucket/out exists; replace it"):
        encode_files([songs], "memory://bucket/out")
    encode_files([songs], "memory://bucket/out", overwrite=True)


def test_what_is_no_data_set_is_not_overwritten_at_a_url_either(songs: Path, memory: Any) -> None:
    memory.pipe("/bucket/holiday/photo.jpg", b"x")
    with pytest.raises(DatasetError, match="is not a data set"):
        encode_files([songs], "memory://bucket/holiday", overwrite=True)


def test_a_killed_run_to_a_url_goes_on(
    tmp_path: Path, songs: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("midirnn.datasets.resume.SAVE_SECONDS", 0.0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    archive = packed(songs, tmp_path / "songs.zip")
    url = "memory://bucket/out"
    with pytest.raises(KeyboardInterrupt):
        encode_files([archive], url, splits=ALL_TRAIN, workers=1, progress=stop)
    assert memory.find("/bucket") == []
    read = []
    plain = __import__("midirnn.datasets.workers", fromlist=["x"]).encode_file
    monkeypatch.setattr(
        "midirnn.datasets.workers.encode_file",
        lambda path, *rest: read.append(path.name) or plain(path, *rest),
    )
    encode_files([archive], url, splits=ALL_TRAIN, workers=1)
    assert 0 < len(read) < 7
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("failing", ["put_file", "mv"])
def test_an_upload_that_fails_loses_nothing_and_the_next_run_goes_on_from_it(
    tmp_path: Path, songs: Path, memory: Any, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    monkeypatch.setattr("midirnn.datasets.resume.SAVE_SECONDS", 0.0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    url = "memory://bucket/out"
    (songs / "bad.mid").unlink()
    encode_files([songs / "song00.mid"], url, splits=ALL_TRAIN)
    before = {path: memory.cat_file(path) for path in memory.find("/bucket/out")}

    def fail(*arguments: Any, **options: Any) -> None:
        raise OSError("the network is down")

    with monkeypatch.context() as patched:
        patched.setattr(type(memory), failing, fail)
        message = "the network is down.*the finished data set is in .*midirnn-"
        with pytest.raises(DatasetError, match=message) as raised:
            encode_files([songs], url, splits=ALL_TRAIN, workers=1, overwrite=True)
    kept = Path(str(raised.value).partition("data set is in ")[2].partition(":")[0])
    assert len(pieces(kept)) == 6
    if failing == "put_file":
        found = {path: memory.cat_file(path) for path in memory.find("/bucket/out")}
        assert before.items() <= found.items()
    monkeypatch.setattr("midirnn.datasets.workers.encode_file", fail)
    report = encode_files([songs], url, splits=ALL_TRAIN, workers=1, overwrite=True)
    assert (report.counts["train"].files, report.refused) == (6, ())
    names = {Path(path).name for path in memory.find("/bucket/out")}
    assert sorted(names) == ["dataset.json", "refused.jsonl", "train.parquet"]
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("memory://nowhere/at/all", "holds no files"),
        ("nonsense://x/y", "cannot be opened"),
    ],
)
def test_a_url_that_opens_nothing_is_an_error_of_one_line(
    tmp_path: Path, memory: Any, capsys: pytest.CaptureFixture[str], source: str, message: str
) -> None:
    assert main(["encode", source, "-o", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert source in error
    assert message in error
    assert error.count("\n") == 1


def test_a_damaged_archive_is_an_error_of_one_line(tmp_path: Path, songs: Path) -> None:
    archive = packed(songs, tmp_path / "songs.zip")
    archive.write_bytes(archive.read_bytes()[:200])
    with pytest.raises(DatasetError, match="cannot be opened"):
        encode_files([archive], tmp_path / "out")


def test_texts_are_read_from_an_archive_too(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("to be or not to be\n" * 40)
    archive = packed(folder, tmp_path / "texts.zip")
    for source, out in ((folder, "plain"), (archive, "packed")):
        encode_files([source], tmp_path / out, codec=TextCodec())
    found, expected = (Dataset.open(tmp_path / out).pieces("train") for out in ("packed", "plain"))
    assert [tokens.tolist() for tokens in found] == [tokens.tolist() for tokens in expected]
