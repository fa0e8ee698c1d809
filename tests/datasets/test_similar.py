"""Duplicates and performances of one composition are found by their notes, whatever their names."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midirnn import OptionError, Performance, SplitShares, SplitTable, encode_files, write_midi
from midirnn.cli.main import main
from midirnn.codecs import TextCodec
from midirnn.datasets import Dataset, SimilarPieces, clean_files, resume, workers
from midirnn.datasets.similar import SimilarPiece
from tests.datasets.songs import song, write_song

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
NOTES = 240


def played(composition: int, player: int) -> Performance:
    """A composition as somebody plays it: in a tempo of their own, unsteadily, with slips."""
    score = song(composition, NOTES)
    rng = np.random.default_rng(1000 * composition + player)
    tempo = rng.uniform(0.7, 1.4)
    start = score.start * tempo + rng.normal(0, 0.004, NOTES).clip(-0.01, 0.01) + 0.05
    keep = rng.random(NOTES) > 0.03
    return score.replace(
        start=start,
        end=start + 0.2,
        velocity=rng.integers(30, 110, NOTES),
        pedal_time=score.pedal_time * tempo,
    ).select(keep)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight compositions by three players each; a copy, a transcription of one, and a part of one.

    The names of the files say nothing.
    """
    folder = tmp_path_factory.mktemp("played")
    for number in range(24):
        write_midi(played(number // 3, number % 3), folder / f"{number * 7 % 24:02d}.mid")
    first = played(0, 0)
    write_midi(first, folder / "copy.mid")
    half = first.duration / 2
    write_midi(first.slice(0, half), folder / "part.mid")
    named = first.replace(parts=(first.parts[0].__class__(name="Another name", channel=3),))
    write_midi(named.stretch(1.1), folder / "retimed.mid")
    write_song(folder / "tiny.mid", seed=99, notes=5)
    (folder / "bad.mid").write_bytes(b"MThd")
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> SimilarPieces:
    return clean_files([folder], workers=1)


def members(groups: Mapping[str, str]) -> set[frozenset[str]]:
    """The paths of each group."""
    return {frozenset(p for p in groups if groups[p] == group) for group in groups.values()}


def compositions() -> set[frozenset[str]]:
    names = {f"{number * 7 % 24:02d}.mid": str(number // 3) for number in range(24)}
    names |= dict.fromkeys(("copy.mid", "part.mid", "retimed.mid"), "0") | {"tiny.mid": "tiny"}
    return members(names)


def test_performances_of_a_composition_are_one_group(found: SimilarPieces) -> None:
    assert members({piece.path: piece.group for piece in found.pieces}) == compositions()
    assert found.groups == 9


def test_copies_and_parts_are_duplicates_of_the_longest_version(found: SimilarPieces) -> None:
    duplicates = {piece.path: piece.duplicate_of for piece in found.duplicates}
    assert duplicates == dict.fromkeys(("copy.mid", "part.mid", "retimed.mid"), "00.mid")


def test_files_that_cannot_be_read_are_told_with_the_reason(found: SimilarPieces) -> None:
    assert [refusal.path for refusal in found.refused] == ["bad.mid"]


def test_the_fingerprints_do_not_depend_on_the_number_of_workers(
    folder: Path, found: SimilarPieces
) -> None:
    assert clean_files([folder], workers=2) == found


def test_a_group_has_one_split_and_every_split_has_a_group(found: SimilarPieces) -> None:
    splits = found.splits(SplitShares(0.2, 0.2))
    assert set(splits.values()) == {"train", "validation", "test"}
    for group in compositions():
        assert len({splits[path] for path in group}) == 1


def test_pairs_are_compared_with_known_groups() -> None:
    pieces = [SimilarPiece(str(n), "0", 1.0, 1, "ab"[n > 2]) for n in range(5)]  # 0 1 2 | 3 4
    found = SimilarPieces(tuple(pieces), ())
    known = {"0": "x", "1": "x", "2": "y", "3": "y", "4": "y", "5": "y"}
    assert found.agreement(known) == (2 / 4, 2 / 4, 4)


def splits_of(dataset: Dataset) -> dict[str, str]:
    return {row["path"]: split for split in dataset.splits for row in dataset.rows(split)}


def test_a_data_set_keeps_a_composition_in_one_split(folder: Path, tmp_path: Path) -> None:
    shares = SplitShares(0.2, 0.2)
    report = encode_files(
        [folder],
        tmp_path / "out",
        splits=shares,
        group_compositions=True,
        duplicates="drop",
        workers=1,
    )
    splits = splits_of(Dataset.open(tmp_path / "out"))
    assert len(splits) == 25
    for group in compositions():
        assert len({splits[path] for path in group if path in splits}) == 1
    reasons = {refusal.path: refusal.reason for refusal in report.refused}
    assert reasons.pop("bad.mid")
    assert set(reasons.values()) == {"is a duplicate of 00.mid"}
    assert Dataset.open(tmp_path / "out").manifest["options"]["duplicates"] == "drop"


def test_a_table_of_splits_and_groups_exclude_each_other(folder: Path, tmp_path: Path) -> None:
    table = SplitTable(folder / "t.csv", {"00.mid": "train"})
    with pytest.raises(OptionError, match="the table decides the splits"):
        encode_files([folder], tmp_path / "out", splits=table, group_compositions=True)
    with pytest.raises(OptionError, match="duplicates is 'hide'; allowed are keep, drop"):
        encode_files([folder], tmp_path / "out", duplicates="hide")


def test_texts_have_no_notes_to_compare(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("some text\n" * 50)
    with pytest.raises(Exception, match="the codec 'text' has no notes to compare pieces by"):
        encode_files([tmp_path], tmp_path / "out", codec=TextCodec(), duplicates="drop")


def test_the_command_writes_a_table_that_encode_takes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = tmp_path / "clean.csv", tmp_path / "out"
    known = tmp_path / "known.csv"
    rows = [
        f"{p},g{n}" for n, group in enumerate(sorted(map(sorted, compositions()))) for p in group
    ]
    known.write_text("path,group\n" + "\n".join(rows) + "\n")
    argv = ["clean", str(folder), "-o", str(table), "--min-notes", "10", "--workers", "1"]
    assert main([*argv, "--check", str(known)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{table}: 27 pieces, 8 compositions"
    assert printed[1].startswith("duplicates: 3 pieces")
    assert printed[2].endswith("precision 1.0000, recall 1.0000")
    assert printed[3] == "refused: 2 files (1 cut off, 1 too few notes)"
    argv = ["encode", str(folder), "-o", str(out), "--splits", str(table)]
    assert main([*argv, "--where", "duplicate_of=", "--workers", "1"]) == 0
    assert len(splits_of(Dataset.open(out))) == 24


def test_a_table_to_compare_with_that_is_missing_is_found_out_before_anything_is_read(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "clean.csv"
    argv = ["clean", str(folder), "-o", str(table), "--workers", "1", "--check", "nope.csv"]
    assert main(argv) == 1
    assert "nope.csv: there is no such table" in capsys.readouterr().err
    assert not table.exists()


def test_a_table_replaces_no_file_that_is_not_one(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    piece = write_song(tmp_path / "a.mid", seed=1)
    before = piece.read_bytes()
    assert main(["clean", str(folder), "-o", str(piece), "--workers", "1"]) == 1
    assert "its name must end in .csv" in capsys.readouterr().err
    assert piece.read_bytes() == before


def test_without_datasketch_nothing_is_read_or_written(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "datasketch", None)
    table = tmp_path / "clean.csv"
    assert main(["clean", str(folder), "-o", str(table), "--workers", "1"]) == 1
    assert "midirnn[clean]" in capsys.readouterr().err
    assert not table.exists()


def test_files_of_which_none_can_be_used_are_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.mid").write_bytes(b"MThd")
    table = tmp_path / "clean.csv"
    assert main(["clean", str(tmp_path), "-o", str(table), "--workers", "1"]) == 1
    assert "the only file cannot be used: a.mid: " in capsys.readouterr().err
    assert not table.exists()


def test_of_two_folders_the_table_names_files_from_its_own(folder: Path, tmp_path: Path) -> None:
    other = write_song(tmp_path / "other" / "x.mid", seed=50).parent
    table, out = tmp_path / "tables" / "clean.csv", tmp_path / "out"
    sources = [str(folder), str(other)]
    assert main(["clean", *sources, "-o", str(table), "--workers", "1"]) == 0
    assert main(["encode", *sources, "-o", str(out), "--splits", str(table)]) == 0
    assert len(splits_of(Dataset.open(out))) == 29


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX only")
def test_files_whose_names_are_not_utf8_are_told_apart_and_found_in_the_table(
    tmp_path: Path,
) -> None:
    names = (b"caf\xe8.mid", b"caf\xe9.mid", b"caf\xea.mid")
    for name, composition in zip(names, (1, 1, 2), strict=True):
        try:
            write_midi(played(composition, 0), tmp_path / "songs" / os.fsdecode(name))
        except OSError:
            pytest.skip("this file system takes UTF-8 names only")
    shares = SplitShares(0.0, 0.0)
    clean_files([tmp_path / "songs"], tmp_path / "clean.csv", shares=shares, workers=1)
    table = SplitTable.read(tmp_path / "clean.csv", ["duplicate_of="])
    encode_files([tmp_path / "songs"], tmp_path / "table", splits=table, workers=1)
    encode_files([tmp_path / "songs"], tmp_path / "drop", splits=shares, duplicates="drop")
    for name in ("table", "drop"):
        rows = Dataset.open(tmp_path / name).rows("train")
        assert [row["path"] for row in rows] == [r"caf\xe8.mid", r"caf\xea.mid"]


@pytest.mark.skipif(not (SHARED / "splits.csv").is_file(), reason="needs the data sets themselves")
def test_compositions_that_people_have_named_are_found() -> None:
    """Of all of MAESTRO and ASAP midirnn clean --check tells; here of some composers of both."""
    maestro, asap = SHARED / "performances" / "maestro", SHARED / "scores_and_performances" / "asap"
    sources = [
        *(maestro / name for name in ("Alban_Berg", "Alexander_Scriabin", "Robert_Schumann")),
        *(asap / name for name in ("Scriabin", "Schumann", "Prokofiev")),
    ]
    found = clean_files(sources)
    with (SHARED / "splits.csv").open(encoding="utf-8", newline="") as file:
        known = {row["path"]: row["group"] for row in csv.DictReader(file)}
    precision, recall, pairs = found.agreement(known)
    assert pairs > 900
    assert precision > 0.95
    assert recall > 0.95


@pytest.mark.parametrize("stop", [3, 20])
def test_a_run_that_ends_early_is_continued_by_the_next(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    monkeypatch.setattr(resume, "SAVE_SECONDS", 0.0)
    read: list[str] = []
    encode_file = workers.encode_file

    def counting(path: Path, *rest: Any) -> Any:
        read.append(path.name)
        return encode_file(path, *rest)

    def end(done: int, total: int) -> None:
        if done == stop:
            raise InterruptedError

    monkeypatch.setattr(workers, "encode_file", counting)
    clean_files([folder], tmp_path / "whole.csv", workers=1)
    files = read.copy()
    read.clear()
    with pytest.raises(InterruptedError):
        clean_files([folder], tmp_path / "out.csv", workers=1, progress=end)
    assert not (tmp_path / "out.csv").exists()
    clean_files([folder], tmp_path / "out.csv", workers=1)
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert len(read) <= len(files) + 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "whole.csv"]


def test_a_data_set_by_compositions_reads_no_file_again_after_its_end(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "SAVE_SECONDS", 0.0)
    read: list[str] = []
    encode_file = workers.encode_file
    steps: list[int] = []

    def counting(path: Path, *rest: Any) -> Any:
        read.append(path.name)
        return encode_file(path, *rest)

    def end(done: int, total: int) -> None:
        steps.append(done)
        if steps.count(5) == 2:  # in the second of both readings
            raise InterruptedError

    def encode(output: str, progress: Any = None) -> None:
        encode_files(
            [folder],
            tmp_path / output,
            splits=SplitShares(0.2, 0.2),
            group_compositions=True,
            workers=1,
            progress=progress,
        )

    monkeypatch.setattr(workers, "encode_file", counting)
    encode("whole")
    twice = len(read)
    read.clear()
    with pytest.raises(InterruptedError):
        encode("out", end)
    encode("out")
    assert len(read) <= twice + 1
    for file in (tmp_path / "whole").iterdir():
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]
