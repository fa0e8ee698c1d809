"""Pieces that stay on the disk: the same as in memory, and only what is asked for is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.codecs import Augmentation, PerformanceCodec, Tokens
from midirnn.datasets import Dataset, store, writer
from midirnn.datasets.draws import PieceDraw, evenly, excerpts, lengths_of
from midirnn.datasets.store import StoredPieces
from midirnn.errors import DatasetError
from tests.datasets.made import write_pieces

CODEC = PerformanceCodec()


def pieces(count: int = 20, longest: int = 60) -> list[Tokens]:
    """Pieces of any tokens, some of them empty."""
    rng = np.random.default_rng(count)
    lengths = rng.integers(0, longest, count)
    lengths[::7] = 0
    return [rng.integers(0, CODEC.vocab_size, n).astype(np.uint16) for n in lengths]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A data set of 20 pieces in many row groups."""
    monkeypatch.setattr(writer, "TOKENS_PER_ROW_GROUP", 100)
    return Dataset.open(write_pieces(tmp_path / "data", pieces(), pieces(5)))


@pytest.fixture
def groups_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The row groups that are read, as they are."""
    read: list[int] = []
    token_lists = store._token_lists

    def noted(parquet: pq.ParquetFile, group: int) -> Any:
        read.append(group)
        return token_lists(parquet, group)

    monkeypatch.setattr(store, "_token_lists", noted)
    return read


def without_lengths(dataset: Dataset) -> Dataset:
    """The data set as it was written before files named their lengths."""
    for split in dataset.splits:
        with pq.ParquetFile(dataset.file(split)) as file:
            tables = [file.read_row_group(group) for group in range(file.num_row_groups)]
        schema = tables[0].drop_columns(["length"]).schema
        with pq.ParquetWriter(dataset.file(split), schema) as parquet:
            for table in tables:
                parquet.write_table(table.drop_columns(["length"]))
    return Dataset.open(dataset.path)


class TestPieces:
    @pytest.mark.parametrize("cached_tokens", [0, 150, 10**6])
    def test_they_are_those_that_were_written(self, made: Dataset, cached_tokens: int) -> None:
        stored = made.stored_pieces("train", cached_tokens)
        assert len(stored) == 20
        assert len(stored._places) > 3
        order = np.random.default_rng(0).permutation(20).tolist()
        for index in [*order, *range(20)]:
            np.testing.assert_array_equal(stored[index], pieces()[index])
        assert stored[-1].tolist() == pieces()[-1].tolist()
        assert [p.tolist() for p in stored[3:9:2]] == [p.tolist() for p in pieces()[3:9:2]]
        assert [p.tolist() for p in stored] == [p.tolist() for p in made.pieces("train")]
        with pytest.raises(IndexError):
            stored[20]

    def test_their_lengths_are_known_without_reading_them(
        self, made: Dataset, groups_read: list[int]
    ) -> None:
        stored = made.stored_pieces("train")
        assert stored.lengths.tolist() == lengths_of(stored).tolist() == list(map(len, pieces()))
        assert groups_read == []

    def test_files_that_do_not_name_lengths_are_counted(self, made: Dataset) -> None:
        old = without_lengths(made)
        stored = old.stored_pieces("train")
        assert stored.lengths.tolist() == list(map(len, pieces()))
        assert [p.tolist() for p in stored] == [p.tolist() for p in old.pieces("train")]

    def test_only_the_row_group_of_a_piece_is_read_and_once_while_it_is_kept(
        self, made: Dataset, groups_read: list[int]
    ) -> None:
        stored = made.stored_pieces("train")
        for group in (3, 0, 3, 2, 0):
            stored[int(stored._first_rows[group])]
        assert groups_read == [3, 0, 2]

    def test_no_more_is_kept_than_was_allowed_and_the_oldest_goes_first(
        self, made: Dataset, groups_read: list[int]
    ) -> None:
        stored = made.stored_pieces("train", cached_tokens=300)
        for index in np.random.default_rng(1).integers(0, 20, 200).tolist():
            stored[index]
            assert stored._kept() <= 300
        starts = stored._first_rows
        for group in (0, 1, 0, 2, 3):
            stored[int(starts[group])]
        groups_read.clear()
        stored[int(starts[3])]
        assert groups_read == []

    def test_a_piece_does_not_keep_its_row_group_in_memory(self, made: Dataset) -> None:
        piece = made.stored_pieces("train")[3]
        assert piece.base is None
        assert piece.dtype == np.uint16


class TestDamage:
    def test_a_file_that_is_cut_off_is_told_at_once_and_one_that_is_altered_when_it_is_read(
        self, made: Dataset
    ) -> None:
        path = made.file("train")
        data = path.read_bytes()
        path.write_bytes(data[:-20])
        with pytest.raises(DatasetError, match=r"train\.parquet is damaged"):
            made.stored_pieces("train")
        path.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
        stored = made.stored_pieces("train")
        with pytest.raises(DatasetError, match=r"train\.parquet is damaged"):
            list(stored)

    def test_other_counts_than_the_file_holds_are_damage(self, made: Dataset) -> None:
        manifest = json.loads((made.path / "dataset.json").read_text())
        for change in ({"tokens": 1}, {"files": 1}):
            manifest["splits"]["train"] |= change
            (made.path / "dataset.json").write_text(json.dumps(manifest))
            with pytest.raises(DatasetError, match=r"does not hold the \d+ tokens"):
                Dataset.open(made.path).stored_pieces("train")

    def test_lengths_that_are_not_those_of_the_tokens_are_damage(self, made: Dataset) -> None:
        table = pq.read_table(made.file("train"))
        lengths = table["length"].to_numpy().copy()
        lengths[1], lengths[2] = lengths[2], lengths[1]
        column = pa.array(lengths, pa.int32())
        pq.write_table(table.set_column(6, "length", column), made.file("train"))
        with pytest.raises(DatasetError, match="the lengths of row group 0 are wrong"):
            made.stored_pieces("train")[0]

    def test_tokens_of_a_larger_vocabulary_are_damage(self, made: Dataset) -> None:
        stored = StoredPieces(made.files("train"), vocab_size=100)
        with pytest.raises(DatasetError, match="is not in the vocabulary"):
            list(stored)


@pytest.fixture(scope="module")
def drawn_from(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return Dataset.open(write_pieces(tmp_path_factory.mktemp("drawn") / "data", pieces()))


class TestDraw:
    @given(seed=st.integers(0, 10**6), cached_tokens=st.sampled_from([0, 200, 10**6]))
    def test_from_the_disk_the_same_is_drawn_as_from_memory(
        self, drawn_from: Dataset, seed: int, cached_tokens: int
    ) -> None:
        augmentation = Augmentation(transpose=0)
        memory = PieceDraw(drawn_from.pieces("train"), augmentation, CODEC)
        disk = PieceDraw(drawn_from.stored_pieces("train", cached_tokens), augmentation, CODEC)
        one, two = np.random.default_rng(seed), np.random.default_rng(seed)
        for _ in range(5):
            np.testing.assert_array_equal(memory(one), disk(two))

    def test_a_piece_is_drawn_as_often_as_it_is_long_and_an_empty_one_never(self) -> None:
        lengths = [0, 10, 0, 0, 90, 0]
        draw = PieceDraw([np.zeros(n, np.uint16) for n in lengths], Augmentation(), CODEC)
        rng = np.random.default_rng(0)
        drawn = [len(draw(rng)) for _ in range(1000)]
        assert set(drawn) == {10, 90}
        assert 60 <= drawn.count(10) <= 145

    @pytest.mark.parametrize("place", [0.0, 0.1, 0.5, np.nextafter(1.0, 0.0)])
    def test_no_place_on_the_line_falls_on_an_empty_piece(self, place: float) -> None:
        class At(np.random.Generator):
            def random(self) -> float:  # type: ignore[override]
                return place

        draw = PieceDraw(
            [np.zeros(n, np.uint16) for n in (0, 10, 0, 40, 50, 0)], Augmentation(), CODEC
        )
        expected = {0.0: 10, 0.1: 40, 0.5: 50}.get(place, 50)
        assert len(draw(At(np.random.PCG64(0)))) == expected


class TestExcerpts:
    def test_they_are_the_beginnings_of_all_pieces_that_have_any(self) -> None:
        made = [np.arange(n, dtype=np.uint16) for n in (900, 0, 100, 500)]
        assert [e.tolist() for e in excerpts(made, 600)] == [
            list(range(200)), list(range(100)), list(range(200)),
        ]  # fmt: skip

    def test_of_many_pieces_some_are_taken_evenly_and_only_those_are_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups_read: list[int]
    ) -> None:
        monkeypatch.setattr(writer, "TOKENS_PER_ROW_GROUP", 1)
        many = [np.full(300, n % 388, np.uint16) for n in range(40)]
        stored = Dataset.open(write_pieces(tmp_path / "data", many)).stored_pieces("train", 0)
        found = excerpts(stored, 4 * 128)
        assert [len(excerpt) for excerpt in found] == [128] * 4
        assert [int(excerpt[0]) for excerpt in found] == [0, 10, 20, 30]
        assert groups_read == [0, 10, 20, 30]

    def test_without_pieces_there_are_none(self) -> None:
        assert excerpts([], 100) == []
        assert excerpts([np.empty(0, np.uint16)], 100) == []


class TestEvenly:
    @pytest.mark.parametrize(
        ("count", "picked"),
        [(0, []), (1, [0]), (2, [0, 3]), (4, [0, 1, 3, 5]), (7, [0, 1, 2, 3, 4, 5, 6])],
    )
    def test_pieces_are_picked_from_all_over(self, count: int, picked: list[int]) -> None:
        assert evenly(range(7), count) == picked

    def test_more_than_half_reach_to_the_end(self) -> None:
        picked = evenly(range(148), 75)
        assert len(picked) == len(set(picked)) == 75
        assert picked[-1] == 146

    @pytest.mark.parametrize("count", [3, 10**6])
    def test_there_are_no_more_than_there_are(self, count: int) -> None:
        assert evenly([1, 2, 3], count) == [1, 2, 3]
        assert evenly([], count) == []
