"""Other libraries open a data set as it is; token ids of other libraries are written and read."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midirnn import Dataset, PerformanceCodec, SplitShares, encode_files, read_midi, write_midi
from midirnn.cli.main import main
from midirnn.codecs import MidiTokCodec
from midirnn.errors import CodecError
from tests.datasets.songs import song, write_songs

FILES = 12


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("midi"), FILES)


@pytest.fixture(scope="module")
def dataset(songs: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("data") / "songs"
    encode_files([songs], folder, splits=SplitShares(0.2, 0.2), workers=1)
    return Dataset.open(folder)


def rows_of(dataset: Dataset) -> dict[str, list[tuple[str, int, list[int]]]]:
    """The path, the notes and the tokens of each piece, by split."""
    return {
        split: [
            (row["path"], row["notes"], tokens.tolist())
            for row, tokens in zip(dataset.rows(split), dataset.pieces(split), strict=True)
        ]
        for split in dataset.splits
    }


def parquet(dataset: Dataset) -> dict[str, str]:
    return {split: str(dataset.file(split)) for split in dataset.splits}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_hugging_face_datasets_loads_it(dataset: Dataset, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(
        "parquet", data_files=parquet(dataset), cache_dir=str(tmp_path / "cache")
    )
    found = {
        split: [(row["path"], row["notes"], row["tokens"]) for row in loaded[split]]
        for split in loaded
    }
    assert found == rows_of(dataset)


def test_pandas_reads_it(dataset: Dataset) -> None:
    pandas = pytest.importorskip("pandas")
    for split, rows in rows_of(dataset).items():
        frame = pandas.read_parquet(dataset.file(split))
        columns = zip(frame["path"], frame["notes"], frame["tokens"], strict=True)
        assert [(path, notes, list(tokens)) for path, notes, tokens in columns] == rows


def test_polars_scans_it(dataset: Dataset) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.scan_parquet(str(dataset.path / "*.parquet")).sort("path").collect()
    expected = sorted(row for rows in rows_of(dataset).values() for row in rows)
    assert frame.select("path", "notes", "tokens").rows() == [tuple(row) for row in expected]
    assert frame["tokens"].list.len().to_list() == frame["length"].to_list()


def test_duckdb_queries_it(dataset: Dataset) -> None:
    duckdb = pytest.importorskip("duckdb")
    query = (
        "SELECT split, count(*), sum(notes), sum(len(tokens)) "
        f"FROM read_parquet('{dataset.path}/*.parquet') GROUP BY split"
    )
    found = {split: figures for split, *figures in duckdb.sql(query).fetchall()}
    assert found == {s: [c.files, c.notes, c.tokens] for s, c in dataset.counts.items()}


# Token ids of other libraries.


def encoded(songs: Path, output: Path, *flags: str) -> Dataset:
    assert main(["encode", str(songs), "-o", str(output), "--workers", "1", *flags]) == 0
    return Dataset.open(output)


def test_magenta_ids_are_those_of_the_codec_that_keeps_overlaps(
    songs: Path, tmp_path: Path
) -> None:
    dataset = encoded(songs, tmp_path / "out", "--format", "magenta", "--velocity-bins", "16")
    assert dataset.codec == PerformanceCodec(velocity_bins=16, overlaps="keep")


def test_miditok_ids_are_those_of_miditok(tmp_path: Path) -> None:
    """Where a pitch does not sound twice at once: what ends which note is for the reader to say."""
    miditok, symusic = (pytest.importorskip(name) for name in ("miditok", "symusic"))
    songs = tmp_path / "songs"
    for seed in range(3):
        piece = song(seed, notes=48)
        pitch = np.random.default_rng(seed).permutation(np.arange(36, 84))
        write_midi(piece.replace(pitch=pitch.astype(np.uint8)), songs / f"{seed}.mid")
    dataset = encoded(songs, tmp_path / "out", "--format", "miditok")
    tokenizer = miditok.MIDILike()
    for split in dataset.splits:
        for row, tokens in zip(dataset.rows(split), dataset.pieces(split), strict=True):
            (expected,) = tokenizer(symusic.Score(str(songs / row["path"])))
            assert tokens.tolist() == expected.ids


@pytest.mark.parametrize("tokenizer", ["MIDILike", "REMI", "TSD", "Structured"])
def test_a_piece_comes_back_from_miditok_on_its_grid(tokenizer: str) -> None:
    pytest.importorskip("miditok")
    codec = MidiTokCodec(tokenizer)
    piece = song(3)
    again = codec.decode(codec.encode(piece))
    assert sorted(again.pitch.tolist()) == sorted(piece.pitch.tolist())
    assert np.abs(np.sort(again.start) - np.sort(piece.start)).max() < 0.1
    groups = codec.groups().values()
    assert sum(ids.stop - ids.start for ids in groups) == codec.vocab_size
    assert len(codec.encode(codec.decode([]))) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tokenizer": "Octuple"}, "tokenizer is 'Octuple'; allowed are MIDILike"),
        ({"parameters": "x"}, "parameters is 'x'; write them as a JSON object"),
        ({"parameters": "[1]"}, "write them as a JSON object"),
    ],
)
def test_settings_that_miditok_has_not_are_refused(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(CodecError, match=message):
        MidiTokCodec(**arguments)


@pytest.mark.parametrize("format", ["magenta", "miditok"])
@pytest.mark.parametrize("shape", ["list", "object", "tracks"])
def test_ids_that_another_program_wrote_become_midi(
    tmp_path: Path, format: str, shape: str, songs: Path
) -> None:
    if format == "miditok":
        pytest.importorskip("miditok")
    codec: Any = MidiTokCodec() if format == "miditok" else PerformanceCodec(overlaps="keep")
    ids = codec.encode(song(1)).tolist()
    content = {"list": ids, "object": {"ids": ids}, "tracks": {"ids": [ids]}}[shape]
    (tmp_path / "ids.json").write_text(json.dumps(content))
    argv = ["decode", str(tmp_path / "ids.json"), "-o", str(tmp_path / "x.mid")]
    assert main([*argv, "--format", format]) == 0
    write_midi(codec.decode(ids), tmp_path / "expected.mid")
    assert read_midi(tmp_path / "x.mid") == read_midi(tmp_path / "expected.mid")


def test_ids_of_a_piece_are_written_as_json(dataset: Dataset, tmp_path: Path) -> None:
    argv = ["decode", str(dataset.path), "train:1", "-o", str(tmp_path / "x.json")]
    assert main(argv) == 0
    ids = json.loads((tmp_path / "x.json").read_text())["ids"]
    assert ids == dataset.pieces("train")[1].tolist()


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        ("[1, 2", ["--format", "magenta"], "is not JSON"),
        ('{"tokens": []}', ["--format", "magenta"], "holds no list of token ids"),
        ("[400]", ["--format", "magenta"], "token 400 is not in the vocabulary"),
        ("[]", ["--format", "abc"], "--format is 'abc'; it can be magenta or miditok"),
        ("[]", [], "name the piece"),
    ],
)
def test_what_holds_no_ids_is_an_error_of_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, flags: list[str], message: str
) -> None:
    (tmp_path / "ids.json").write_text(content)
    assert main(["decode", str(tmp_path / "ids.json"), "-o", str(tmp_path / "x.mid"), *flags]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_format_and_a_codec_exclude_each_other(
    songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["encode", str(songs), "-o", str(tmp_path / "out"), "--format", "magenta"]
    assert main([*argv, "--codec", "text"]) == 1
    assert "give --format or --codec" in capsys.readouterr().err


@pytest.mark.skipif("CI" not in os.environ, reason="extras may be missing here")
@pytest.mark.parametrize("library", ["datasets", "pandas", "polars", "duckdb", "miditok"])
def test_nothing_here_is_skipped_in_continuous_integration(library: str) -> None:
    importlib.import_module(library)
