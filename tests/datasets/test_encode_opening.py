"""Opening a data set: read-only tokens, and a clear word when something is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midirnn.codecs import PerformanceCodec, TextCodec
from midirnn.datasets import Dataset, SplitShares, encode_files
from midirnn.datasets.store import codec_from_settings
from midirnn.errors import DatasetError
from tests.datasets.made import write_pieces
from tests.datasets.songs import write_songs


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    splits = SplitShares(validation=0.0, test=0.0)
    encode_files([write_songs(tmp_path / "songs", 4)], tmp_path / "out", splits=splits)
    return tmp_path / "out"


def edit_manifest(dataset: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = dataset / "dataset.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_pieces_are_read_only_views_on_one_array(dataset: Path) -> None:
    pieces = Dataset.open(dataset).pieces("train")
    assert len(pieces) == 4
    assert all(piece.dtype == np.uint16 for piece in pieces)
    assert len({id(piece.base) for piece in pieces}) == 1
    with pytest.raises(ValueError, match="read-only"):
        pieces[0][0] = 1


def test_a_split_that_is_not_there_is_refused_with_those_that_are(dataset: Path) -> None:
    for read in (Dataset.open(dataset).pieces, Dataset.open(dataset).rows):
        with pytest.raises(DatasetError, match="has no split 'tset'; it has train"):
            read("tset")


@pytest.mark.parametrize(
    ("pieces", "advice"),
    [
        (2, "Use --split train, or make .*: midirnn encode --overwrite --validation-share 0.2"),
        (1, "Use --split train, or encode more pieces: a single one cannot be divided"),
    ],
)
def test_the_advice_for_a_missing_split_can_be_followed(
    tmp_path: Path, pieces: int, advice: str
) -> None:
    write_pieces(tmp_path, [np.arange(9, dtype=np.uint16)] * pieces)
    with pytest.raises(DatasetError, match=f"{advice}$"):
        Dataset.open(tmp_path).pieces("validation")


def test_a_single_text_can_be_divided(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("All is one. " * 20, encoding="utf-8")
    whole = SplitShares(validation=0.0, test=0.0)
    encode_files([text], tmp_path / "out", codec=TextCodec(), splits=whole)
    with pytest.raises(DatasetError, match=r"encode --overwrite --test-share 0\.2$"):
        Dataset.open(tmp_path / "out").pieces("test")


def test_a_folder_that_is_missing_or_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist; make one with: midirnn encode"):
        Dataset.open(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="is not a data set"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "\x00"])
def test_a_manifest_that_is_no_json_is_damaged(dataset: Path, text: str) -> None:
    (dataset / "dataset.json").write_text(text)
    with pytest.raises(DatasetError, match=r"dataset\.json is damaged"):
        Dataset.open(dataset)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format_version=99), "has format version 99; this midirnn reads 1"),
        (lambda m: m.pop("format_version"), "has format version None"),
        (lambda m: m.pop("codec"), "is damaged"),
        (lambda m: m.pop("splits"), "is damaged"),
        (lambda m: m.update(splits=[]), "is damaged"),
        (lambda m: m["splits"]["train"].update(files=None, extra=1), "is damaged"),
        (
            lambda m: m["codec"].update(name="score"),
            "no codec 'score'; known are ensemble, pedal, performance",
        ),
        (lambda m: m["codec"].update(velocity_bins=-1), "velocity_bins is -1"),
        (lambda m: m["splits"].update(test={}), r"test\.parquet is missing"),
        (lambda m: m.update(parts={"train": 2}), r"train-00000-of-00002\.parquet is missing"),
        (lambda m: m.update(parts={"train": "two"}), "is damaged"),
        (lambda m: m.update(parts=[]), "is damaged"),
    ],
)
def test_a_manifest_that_says_what_it_should_not_is_refused(
    dataset: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit_manifest(dataset, change)
    with pytest.raises(DatasetError, match=message):
        Dataset.open(dataset)


def test_a_manifest_that_is_a_list_is_refused(dataset: Path) -> None:
    (dataset / "dataset.json").write_text("[]")
    with pytest.raises(DatasetError, match="format version None"):
        Dataset.open(dataset)


def test_a_split_that_is_cut_off_or_altered_is_damaged(dataset: Path) -> None:
    path = dataset / "train.parquet"
    data = path.read_bytes()
    flipped = data[:300] + bytes([data[300] ^ 1]) + data[301:]
    for cut in (b"", data[:100], data[:-20], data[:200] + bytes(200) + data[400:], flipped):
        path.write_bytes(cut)
        with pytest.raises(DatasetError, match=r"train\.parquet is damaged"):
            Dataset.open(dataset).pieces("train")


@pytest.mark.parametrize("count", [0, 1, 10**6])
def test_other_counts_than_the_file_holds_are_damage(dataset: Path, count: int) -> None:
    edit_manifest(dataset, lambda m: m["splits"]["train"].update(tokens=count))
    with pytest.raises(DatasetError, match=r"train\.parquet is damaged"):
        Dataset.open(dataset).pieces("train")


def test_tokens_of_a_larger_vocabulary_are_damage(dataset: Path) -> None:
    edit_manifest(dataset, lambda m: m["codec"].update(velocity_bins=1))
    with pytest.raises(DatasetError, match="is not in the vocabulary"):
        Dataset.open(dataset).pieces("train")


def test_another_parquet_file_is_no_split(dataset: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"tokens": [[1, 2]]}), dataset / "train.parquet")
    with pytest.raises(DatasetError, match="its columns are not those of a data set"):
        Dataset.open(dataset).rows("train")


def test_a_codec_is_made_from_its_settings() -> None:
    codec = PerformanceCodec(steps_per_second=125, velocity_bins=0)
    assert codec_from_settings(codec.settings()) == codec
