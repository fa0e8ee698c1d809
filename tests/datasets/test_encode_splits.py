"""Which split a file goes into: by hash, or by a table."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.datasets import Dataset, SplitShares, SplitTable, encode_files
from midirnn.errors import DatasetError, OptionError
from tests.datasets.songs import write_song, write_songs


def write_table(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def splits_of(dataset: Path) -> dict[str, str]:
    opened = Dataset.open(dataset)
    return {row["path"]: split for split in opened.splits for row in opened.rows(split)}


@given(st.binary())
def test_the_split_of_a_hash_is_one_of_three_and_stays(content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()
    split = SplitShares().split_of(digest)
    assert split in ("train", "validation", "test")
    assert SplitShares().split_of(digest) == split


def test_splits_by_hash_have_the_shares_that_were_asked_for() -> None:
    shares = SplitShares(validation=0.2, test=0.1)
    digests = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(5000)]
    splits = [shares.split_of(digest) for digest in digests]
    assert splits.count("validation") / 5000 == pytest.approx(0.2, abs=0.02)
    assert splits.count("test") / 5000 == pytest.approx(0.1, abs=0.02)


def test_splits_by_hash_do_not_depend_on_names_or_other_files(tmp_path: Path) -> None:
    shares = SplitShares(validation=0.3, test=0.3)
    for seed in range(8):
        write_song(tmp_path / "songs" / f"{seed}.mid", seed)
    write_song(tmp_path / "moved" / "renamed.mid", seed=3)
    encode_files([tmp_path / "songs"], tmp_path / "a", splits=shares)
    encode_files([tmp_path / "moved"], tmp_path / "b", splits=shares)
    assert splits_of(tmp_path / "b")["renamed.mid"] == splits_of(tmp_path / "a")["3.mid"]


@given(st.integers(1, 40), st.integers(0, 99))
def test_of_few_files_each_split_gets_one_if_there_are_enough(count: int, seed: int) -> None:
    shares = SplitShares(validation=0.05, test=0.05)
    digests = [hashlib.sha256(f"{seed} {i}".encode()).hexdigest() for i in range(count)]
    splits = shares.split_few(digests)
    assert splits == shares.split_few(digests[::-1])
    moved = [digest for digest in digests if splits[digest] != shares.split_of(digest)]
    assert len(moved) <= 2
    if count >= 3:
        assert set(splits.values()) == {"train", "validation", "test"}
    else:
        assert not moved


def test_a_share_of_0_gets_none() -> None:
    digests = [hashlib.sha256(bytes([i])).hexdigest() for i in range(9)]
    assert set(SplitShares(0.0, 0.0).split_few(digests).values()) == {"train"}
    assert "test" not in SplitShares(0.1, 0.0).split_few(digests).values()


def test_five_files_make_a_data_set_for_training_validating_and_testing(tmp_path: Path) -> None:
    for seed in range(5):
        write_song(tmp_path / "songs" / f"{seed}.mid", seed)
    report = encode_files([tmp_path / "songs"], tmp_path / "out")
    assert {split: count.files for split, count in report.counts.items()} == {
        "train": 3,
        "validation": 1,
        "test": 1,
    }


@pytest.mark.parametrize("name", ["val", "valid", "Valid", "dev", "VALIDATION"])
def test_other_names_of_the_usual_splits_are_understood(tmp_path: Path, name: str) -> None:
    write_song(tmp_path / "a.mid", 1)
    write_song(tmp_path / "b.mid", 2)
    table = write_table(tmp_path / "t.csv", "path,split", f"a.mid,{name}", "b.mid,Train")
    encode_files(
        [tmp_path / "a.mid", tmp_path / "b.mid"], tmp_path / "out", splits=SplitTable.read(table)
    )
    assert splits_of(tmp_path / "out") == {"a.mid": "validation", "b.mid": "train"}


def test_a_stored_split_is_found_by_its_usual_name(tmp_path: Path) -> None:
    write_song(tmp_path / "a.mid", 1)
    shares = SplitShares(0.0, 0.0)
    encode_files([tmp_path / "a.mid"], tmp_path / "out", splits=shares)
    (tmp_path / "out" / "train.parquet").rename(tmp_path / "out" / "val.parquet")
    manifest = tmp_path / "out" / "dataset.json"
    manifest.write_text(manifest.read_text().replace('"train": {', '"val": {'))
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.splits == ("validation",)
    for name in ("val", "validation"):
        assert len(dataset.pieces(name)) == len(dataset.stored_pieces(name)) == 1


@pytest.mark.parametrize("other", ["./a.mid", "x/../a.mid", "songs/a.mid"])
def test_a_file_in_two_spellings_and_two_splits_is_refused(tmp_path: Path, other: str) -> None:
    write_song(tmp_path / "songs" / "a.mid")
    table = write_table(tmp_path / "t.csv", "path,split", "a.mid,train", f"{other},test")
    with pytest.raises(DatasetError, match=r"one file two splits: .*a\.mid"):
        encode_files([tmp_path / "songs"], tmp_path / "out", splits=SplitTable.read(table))
    same = write_table(tmp_path / "u.csv", "path,split", "a.mid,train", f"{other},train")
    report = encode_files([tmp_path / "songs"], tmp_path / "out", splits=SplitTable.read(same))
    assert report.counts["train"].files == 1


def test_equal_files_are_in_the_same_split(tmp_path: Path) -> None:
    for copy in range(6):
        write_song(tmp_path / "songs" / f"{copy}.mid", seed=1)
    report = encode_files([tmp_path / "songs"], tmp_path / "out", splits=SplitShares(0.4, 0.4))
    assert len(report.counts) == 1
    assert report.duplicates_across_splits == 0


@pytest.mark.parametrize(("validation", "test"), [(-0.1, 0.1), (0.1, 1.0), (0.5, 0.5)])
def test_shares_that_leave_nothing_are_refused(validation: float, test: float) -> None:
    with pytest.raises(OptionError, match="share"):
        SplitShares(validation, test)


def test_a_table_decides_by_paths_from_its_own_folder(tmp_path: Path) -> None:
    write_songs(tmp_path / "data" / "songs", 4)
    table = write_table(
        tmp_path / "data" / "splits.csv",
        "path,composer,split",
        "songs/song00.mid,A,train",
        "./songs/deep/song01.mid,B,test",
        "songs/gone.mid,C,test",
    )
    report = encode_files([tmp_path / "data"], tmp_path / "out", splits=SplitTable.read(table))
    assert splits_of(tmp_path / "out") == {
        "songs/song00.mid": "train",
        "./songs/deep/song01.mid": "test",
    }
    assert (report.left_out, report.missing) == (2, 1)


def test_a_table_decides_by_paths_from_the_source_too(tmp_path: Path) -> None:
    write_songs(tmp_path / "songs", 2)
    table = write_table(tmp_path / "elsewhere" / "t.csv", "path,split", "deep/song01.mid,test")
    encode_files([tmp_path / "songs"], tmp_path / "out", splits=SplitTable.read(table))
    assert splits_of(tmp_path / "out") == {"deep/song01.mid": "test"}


def test_a_table_is_found_through_links(tmp_path: Path) -> None:
    write_songs(tmp_path / "data" / "songs", 1)
    table = write_table(tmp_path / "data" / "t.csv", "path,split", "songs/song00.mid,test")
    (tmp_path / "link").symlink_to(tmp_path / "data" / "songs")
    encode_files([tmp_path / "link"], tmp_path / "out", splits=SplitTable.read(table))
    assert splits_of(tmp_path / "out") == {"songs/song00.mid": "test"}


def test_the_table_of_maestro_can_be_used_as_it_is(tmp_path: Path) -> None:
    write_song(tmp_path / "2004" / "a.midi")
    table = write_table(
        tmp_path / "maestro.csv", "\ufeffcomposer,split,midi_filename", "Bach,test,2004/a.midi"
    )
    encode_files([tmp_path / "2004"], tmp_path / "out", splits=SplitTable.read(table))
    assert splits_of(tmp_path / "out") == {"2004/a.midi": "test"}


def test_conditions_pick_rows(tmp_path: Path) -> None:
    table = write_table(
        tmp_path / "t.csv",
        "path,split,kind,duplicate_of",
        "a.mid,train,performance,",
        "b.mid,train,performance,a.mid",
        "c.mid,train,score,",
    )
    picked = SplitTable.read(table, ["kind=performance", "duplicate_of="])
    assert picked.splits == {"a.mid": "train"}


def test_equal_bytes_in_two_splits_of_a_table_are_counted(tmp_path: Path) -> None:
    write_song(tmp_path / "a.mid")
    write_song(tmp_path / "b.mid")
    table = write_table(tmp_path / "t.csv", "path,split", "a.mid,train", "b.mid,test")
    report = encode_files([tmp_path], tmp_path / "out", splits=SplitTable.read(table))
    assert (report.duplicates, report.duplicates_across_splits) == (1, 1)


@pytest.mark.parametrize(
    ("lines", "where", "message"),
    [
        (["file,split", "a.mid,train"], [], "has no column 'path'; its columns are file, split"),
        (["path,part", "a.mid,train"], [], "has no column 'split'"),
        (["path,split"], [], "has no rows"),
        ([], [], "has no column 'path'"),
        (["path,split", "a.mid,../x"], [], r"the split '../x'"),
        (["path,split", "a.mid,"], [], "the split ''"),
        (["path,split", "a.mid,train", "a.mid,test"], [], "two splits: train and test"),
        (["path,split", "a.mid,train"], ["split=tset"], "has split=tset; split there is 'train'"),
        (["path,split", "a.mid,train"], ["kind=x"], "has no column 'kind'"),
        (["path,split", "a.mid,train"], ["split"], "write column=value"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    tmp_path: Path, lines: list[str], where: list[str], message: str
) -> None:
    table = write_table(tmp_path / "t.csv", *lines)
    with pytest.raises((DatasetError, OptionError), match=message):
        SplitTable.read(table, where)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such table"):
        SplitTable.read(tmp_path / "t.csv")


def test_a_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"path,split\n\xff\xfe,train\n")
    with pytest.raises(DatasetError, match="is not a CSV file in UTF-8"):
        SplitTable.read(tmp_path / "t.csv")


def test_a_table_that_names_no_file_is_an_error_with_an_example(tmp_path: Path) -> None:
    write_song(tmp_path / "a.mid")
    table = write_table(tmp_path / "t.csv", "path,split", "b.mid,train")
    with pytest.raises(DatasetError, match=r"names none of 1 file; .* 'b\.mid', .*a\.mid"):
        encode_files([tmp_path], tmp_path / "out", splits=SplitTable.read(table))


def test_two_files_that_a_table_cannot_tell_apart_are_an_error(tmp_path: Path) -> None:
    write_song(tmp_path / "one" / "a.mid", 1)
    write_song(tmp_path / "two" / "a.mid", 2)
    table = write_table(tmp_path / "t.csv", "path,split", "a.mid,train")
    with pytest.raises(DatasetError, match=r"names two files by 'a\.mid'"):
        encode_files(
            [tmp_path / "one", tmp_path / "two"], tmp_path / "out", splits=SplitTable.read(table)
        )
