"""``midirnn stats`` and ``midirnn decode``: a look into a data set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from midirnn.cli.main import main
from midirnn.datasets import Dataset
from midirnn.datasets.statistics import measure_split
from midirnn.midifile import read_midi
from tests.datasets.songs import write_songs

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    songs = write_songs(folder / "songs", 6)
    assert main(["encode", str(songs), "-o", str(folder / "data"), "--workers", "1"]) == 0
    return folder / "data"


class TestStats:
    def test_the_counts_are_those_of_the_pieces(self, data: Path) -> None:
        dataset = Dataset.open(data)
        for split in dataset.splits:
            measured = measure_split(dataset, split)
            pieces = dataset.pieces(split)
            decoded = [dataset.codec.decode(piece) for piece in pieces]
            assert measured.token_counts.sum() == measured.tokens == sum(map(len, pieces))
            assert measured.pitch_counts.sum() == sum(map(len, decoded))
            assert measured.velocity_counts[decoded[0].velocity].all()
            assert measured.tokens_per_file["median"] == np.median([len(p) for p in pieces])
            shares = measured.shares(dataset.codec.groups())
            assert sum(shares.values()) == pytest.approx(1.0)

    def test_it_prints_a_column_for_each_split_and_draws_a_picture(
        self, data: Path, tmp_path: Path, capsys: Capture
    ) -> None:
        picture = tmp_path / "a.png"
        assert main(["stats", str(data), "--plot", str(picture)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["train", "validation", "test"]
        counts = Dataset.open(data).counts.values()
        assert lines[1].split() == ["files", *(str(count.files) for count in counts)]
        assert picture.read_bytes().startswith(b"\x89PNG")

    def test_json_has_all_of_a_split(self, data: Path, capsys: Capture) -> None:
        assert main(["stats", str(data), "--json", "--split", "test"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert list(report) == ["test"]
        assert sum(report["test"]["token_counts"]) == report["test"]["tokens"]

    def test_a_split_that_is_not_there_is_one_line(self, data: Path, capsys: Capture) -> None:
        assert main(["stats", str(data), "--split", "exam"]) == 1
        assert "has no split 'exam'" in capsys.readouterr().err


class TestDecode:
    def test_a_piece_is_named_by_its_path_or_its_number(self, data: Path, tmp_path: Path) -> None:
        dataset = Dataset.open(data)
        path = dataset.rows("train")[1]["path"]
        for name, piece in (("a.mid", path), ("b.mid", "train:1")):
            assert main(["decode", str(data), piece, "-o", str(tmp_path / name)]) == 0
        assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()
        tokens = dataset.codec.encode(read_midi(tmp_path / "a.mid"))
        assert np.array_equal(tokens, dataset.pieces("train")[1])

    def test_val_is_the_validation_split(self, data: Path, tmp_path: Path) -> None:
        for split in ("val", "validation"):
            argv = ["decode", str(data), f"{split}:0", "-o", str(tmp_path / f"{split}.mid")]
            assert main(argv) == 0
        assert (tmp_path / "val.mid").read_bytes() == (tmp_path / "validation.mid").read_bytes()

    def test_a_path_is_suggested_once(self, data: Path, tmp_path: Path, capsys: Capture) -> None:
        path = Dataset.open(data).rows("train")[0]["path"]
        argv = ["decode", str(data), path.removesuffix(".mid"), "-o", str(tmp_path / "a.mid")]
        assert main(argv) == 1
        assert capsys.readouterr().err.count(repr(path)) == 1

    @pytest.mark.parametrize(
        ("piece", "message"),
        [
            ("train:99", " pieces in train: 0 to "),
            ("song0", "has no piece 'song0'; did you mean "),
            ("zzz", "has no piece 'zzz'"),
            ("val:99", " in validation: 0 to "),
        ],
    )
    def test_one_that_is_not_there_is_one_line(
        self, data: Path, tmp_path: Path, capsys: Capture, piece: str, message: str
    ) -> None:
        assert main(["decode", str(data), piece, "-o", str(tmp_path / "a.mid")]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
