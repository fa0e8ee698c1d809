"""A large split has several Parquet files; a data set is read where it is, also at a URL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from midirnn import Dataset, SplitShares, encode_files
from midirnn.cli.main import main
from midirnn.datasets import writer
from midirnn.datasets.mixture import Mixture
from midirnn.errors import DatasetError, OptionError
from tests.datasets.songs import write_songs

SHARES = SplitShares(0.2, 0.2)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("midi"), 12)


@pytest.fixture(autouse=True)
def small_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "TOKENS_PER_ROW_GROUP", 50)


def encoded(songs: Path, output: Path | str, part_tokens: int, workers: int = 1) -> Dataset:
    encode_files([songs], output, splits=SHARES, workers=workers, part_tokens=part_tokens)
    return Dataset.open(output)


def contents(dataset: Dataset) -> dict[str, Any]:
    """All that a data set gives."""
    return {
        split: [
            (row, piece.tolist(), stored.tolist())
            for row, piece, stored in zip(
                dataset.rows(split),
                dataset.pieces(split),
                dataset.stored_pieces(split, 0),
                strict=True,
            )
        ]
        for split in dataset.splits
    }


def test_a_large_split_has_several_files_with_the_same_pieces(songs: Path, tmp_path: Path) -> None:
    whole = encoded(songs, tmp_path / "whole", 10**9)
    parts = encoded(songs, tmp_path / "parts", 150)
    count = len(parts.files("train"))
    assert count > 1
    assert [file.name for file in parts.files("train")] == [
        f"train-{number:05d}-of-{count:05d}.parquet" for number in range(count)
    ]
    assert contents(parts) == contents(whole)
    assert "parts" not in whole.manifest
    assert whole.file("train").name == "train.parquet"
    with pytest.raises(DatasetError, match=f"has {count} files of train"):
        parts.file("train")


def test_parts_have_the_same_bytes_with_any_number_of_workers(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("midirnn.datasets.workers.CHUNK", 2)
    for name, workers in (("one", 1), ("two", 2)):
        encoded(songs, tmp_path / name, 300, workers)
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("one", "two")
    )
    assert one == two


def test_many_short_pieces_do_not_wait_for_the_tokens_of_a_row_group(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "TOKENS_PER_ROW_GROUP", 10**9)
    monkeypatch.setattr(writer, "MOST_ROWS", 2)
    dataset = encoded(songs, tmp_path / "out", 10**9)
    with pq.ParquetFile(dataset.file("train")) as file:
        rows = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    assert rows[:-1] == [2] * (len(rows) - 1)
    assert sum(rows) == dataset.counts["train"].files


def test_a_missing_part_is_told(songs: Path, tmp_path: Path) -> None:
    dataset = encoded(songs, tmp_path / "out", 300)
    file = dataset.files("train")[1]
    assert isinstance(file, Path)
    file.unlink()
    with pytest.raises(DatasetError, match=r"train-00001-of-\d{5}\.parquet is missing"):
        Dataset.open(tmp_path / "out")


def test_a_part_has_at_least_a_token(songs: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="part_tokens is 0; at least 1 is needed"):
        encoded(songs, tmp_path / "out", 0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_other_libraries_find_the_parts_by_themselves(songs: Path, tmp_path: Path) -> None:
    datasets, polars = pytest.importorskip("datasets"), pytest.importorskip("polars")
    dataset = encoded(songs, tmp_path / "out", 300)
    frame = polars.read_parquet(str(tmp_path / "out" / "train-*.parquet"))
    rows = [(row["path"], piece) for row, piece, _ in contents(dataset)["train"]]
    assert list(zip(frame["path"], frame["tokens"].to_list(), strict=True)) == rows
    loaded = datasets.load_dataset(
        "parquet",
        data_files={split: str(tmp_path / "out" / f"{split}*.parquet") for split in dataset.splits},
        cache_dir=str(tmp_path / "cache"),
    )
    assert [(row["path"], row["tokens"]) for row in loaded["train"]] == rows


def test_a_data_set_at_a_url_is_read_where_it_is(
    songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("fsspec")
    here = encoded(songs, tmp_path / "here", 300)
    there = encoded(songs, "memory://bucket/parts", 300)
    assert there.name == "parts"
    assert contents(there) == contents(here)
    for place in ("memory://bucket/parts", str(tmp_path / "here")):
        assert main(["stats", place, "--json"]) == 0
    of_both = capsys.readouterr().out.split("\n}\n")
    assert json.loads(of_both[0] + "}") == json.loads(of_both[1] + "}")
    mixture = Mixture.open(["memory://bucket/parts:2", str(tmp_path / "here")])
    assert (mixture.names, mixture.weights) == (["parts", "here"], (2.0, 1.0))
    with pytest.raises(OptionError, match="is given twice"):
        Mixture.open(["memory://bucket/parts", "memory://bucket/parts"])


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://nothing/here", "is not a data set"),
        ("nosuch://bucket/data", "nosuch://bucket/data cannot be read"),
    ],
)
def test_a_url_without_a_data_set_is_an_error_of_one_line(url: str, message: str) -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(DatasetError, match=message) as raised:
        Dataset.open(url)
    assert len(str(raised.value).splitlines()) == 1
